/* Time, watchdog, interrupts and resets of the microcontroller. */
#ifndef HWLOOP_SYSTEM_H
#define HWLOOP_SYSTEM_H

#include <stdbool.h>
#include <stdint.h>

#include "clock.h"

/* Milliseconds, interrupts and the watchdog (about 0.5 s). */
void system_start(uint32_t core_hertz);
/* Watch the supply: below 2.9 V every line is grounded and the board resets. False: it is too low already. */
bool system_watch_supply(void);
/* Why it started (enum hwl_reset_cause); forgets it, so that the next reset is told apart. */
uint8_t system_reset_cause(void);
/* Ground every line and reset. */
_Noreturn void system_reset(void);

void system_tick_interrupt(void);       /* SysTick */
void system_supply_interrupt(void);     /* PVD */

#endif
