/* What the time line of the budget writes down: the work between two calls of hal_at(). */
#ifndef HWLOOP_BUDGET_H
#define HWLOOP_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "../../hal/stm32f405/selects.h"

struct budget_window {
    uint32_t ticks;                     /* that the rules give it */
    uint32_t instructions;
    bool finished;                      /* results were taken in it, and their codes digested */
    uint32_t bus_nanoseconds[BUSES];    /* the bits alone */
    uint32_t bus_frames[BUSES];
};

enum { BUDGET_WINDOWS = 256 };

extern struct budget_window budget_window[BUDGET_WINDOWS];
extern uint32_t budget_windows;

void budget_start(void);
/* Forget the windows; `with_spi`: transfers go into the SPI queue, else they are only noted. */
void budget_begin(bool with_spi);
uint32_t budget_now(void);

#endif
