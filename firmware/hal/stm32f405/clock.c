#include "clock.h"

#include "registers.h"

enum {
    READY_READS = 200000,               /* at least 25 ms at 16 MHz: a crystal starts within 5 ms */
    PLL_M = 8, PLL_N = 336,             /* 8 MHz / 8 x 336 / 2 = 168 MHz: the field of P is 0, which divides by 2 */
    PLL_Q = 7
};

static const struct clocks internal = {16000000, 16000000, 16000000, 16000000};
static const struct clocks full = {168000000, 42000000, 84000000, 84000000};

bool clock_wait(uint32_t address, uint32_t mask, uint32_t wanted, uint32_t reads)
{
    while (reads-- > 0)
        if ((reg_read(address) & mask) == wanted)
            return true;
    return false;
}

static void switch_off(void)
{
    reg_clear(RCC_CFGR, RCC_CFGR_SW);
    reg_clear(RCC_CR, RCC_CR_PLLON | RCC_CR_HSEON);
}

struct clocks clock_start(void)
{
    reg_enable(RCC_APB1ENR, RCC_APB1ENR_PWR);
    reg_set(PWR_CR, PWR_CR_VOS); /* full core voltage, needed above 144 MHz */
    reg_set(RCC_CR, RCC_CR_HSEON);
    if (!clock_wait(RCC_CR, RCC_CR_HSERDY, RCC_CR_HSERDY, READY_READS)) {
        switch_off();
        return internal;
    }
    reg_write(RCC_PLLCFGR, (uint32_t)PLL_M | (uint32_t)PLL_N << 6 | RCC_PLLCFGR_SRC_HSE | (uint32_t)PLL_Q << 24);
    reg_set(RCC_CR, RCC_CR_PLLON);
    if (!clock_wait(RCC_CR, RCC_CR_PLLRDY, RCC_CR_PLLRDY, READY_READS)) {
        switch_off();
        return internal;
    }
    /* Slow enough for the flash and the buses before the core becomes fast. */
    reg_write(FLASH_ACR, FLASH_ACR_5_WAITS | FLASH_ACR_PREFETCH_AND_CACHES);
    reg_change(RCC_CFGR, RCC_CFGR_PRESCALERS, RCC_CFGR_APB1_BY_4 | RCC_CFGR_APB2_BY_2);
    reg_change(RCC_CFGR, RCC_CFGR_SW, RCC_CFGR_SW_PLL);
    if (!clock_wait(RCC_CFGR, RCC_CFGR_SWS, RCC_CFGR_SWS_PLL, READY_READS)) {
        reg_clear(RCC_CFGR, RCC_CFGR_PRESCALERS);
        switch_off();
        return internal;
    }
    /* A crystal that dies would stop the timer that ends a pulse: then an NMI, whose handler grounds the pins. */
    reg_set(RCC_CR, RCC_CR_CSSON);
    return full;
}
