/* Clocks: 168 MHz from an 8 MHz crystal where it starts, the internal 16 MHz where it does not. */
#ifndef HWLOOP_CLOCK_H
#define HWLOOP_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct clocks {
    uint32_t core_hertz;
    uint32_t apb1_hertz;
    uint32_t apb2_hertz;
    uint32_t timer_hertz;           /* TIM2 and TIM4 */
};

/* Every wait is bounded; gives what really runs. */
struct clocks clock_start(void);

/* Read `address` until the bits of `mask` are `wanted`; false where that does not happen in `reads` reads. */
bool clock_wait(uint32_t address, uint32_t mask, uint32_t wanted, uint32_t reads);

#endif
