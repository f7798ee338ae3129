/* When things happen: bench ticks on TIM2, pulses of DRIVE by TIM4. */
#ifndef HWLOOP_TIMELINE_H
#define HWLOOP_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

void timeline_start(uint32_t timer_hertz);
/* The next hal_at() begins a new line. False: a timer stood still since the last call. Waits, bounded, for a pulse. */
bool timeline_finish(void);
/* How often something was late, since the start: the line was moved, so that no time after it became shorter. */
uint32_t timeline_late(void);

#endif
