/* Clocks of the STM32F405: full speed, and each thing that may not come up. */
#include "check.h"
#include "fake_registers.h"

#include "../hal/stm32f405/clock.h"

enum { MOST_READS = 1000000 };

static void crystal_and_pll_give_168_megahertz(void)
{
    registers_reset();
    registers_start_clocks();
    struct clocks clocks = clock_start();
    CHECK_EQUAL(clocks.core_hertz, 168000000);
    CHECK_EQUAL(clocks.apb1_hertz, 42000000);
    CHECK_EQUAL(clocks.apb2_hertz, 84000000);
    CHECK_EQUAL(clocks.timer_hertz, 84000000);
    /* 8 MHz / 8 x 336 / 2, from the crystal. */
    CHECK_EQUAL(register_value(RCC_PLLCFGR) & 0x3F, 8);
    CHECK_EQUAL(register_value(RCC_PLLCFGR) >> 6 & 0x1FF, 336);
    CHECK_EQUAL(register_value(RCC_PLLCFGR) >> 16 & 3, 0);
    CHECK((register_value(RCC_PLLCFGR) & RCC_PLLCFGR_SRC_HSE) != 0);
    CHECK_EQUAL(register_value(FLASH_ACR) & 7, 5);
    CHECK((register_value(RCC_CR) & RCC_CR_CSSON) != 0);    /* a crystal that dies is an NMI */
    CHECK_EQUAL(register_value(RCC_CFGR) & RCC_CFGR_PRESCALERS, RCC_CFGR_APB1_BY_4 | RCC_CFGR_APB2_BY_2);
}

static void goes_on_with_16_megahertz(void)
{
    struct clocks clocks = clock_start();
    CHECK_EQUAL(clocks.core_hertz, 16000000);
    CHECK_EQUAL(clocks.apb1_hertz, 16000000);
    CHECK_EQUAL(clocks.apb2_hertz, 16000000);
    CHECK_EQUAL(clocks.timer_hertz, 16000000);
    CHECK(register_reads < MOST_READS);
    CHECK_EQUAL(register_value(RCC_CR) & (RCC_CR_HSEON | RCC_CR_PLLON), 0);
    CHECK_EQUAL(register_value(RCC_CFGR) & RCC_CFGR_SW, 0);
    CHECK_EQUAL(register_value(RCC_CFGR) & RCC_CFGR_PRESCALERS, 0);
}

static void without_a_crystal(void)
{
    registers_reset();
    goes_on_with_16_megahertz();
}

static void without_a_pll(void)
{
    registers_reset();
    register_follows(RCC_CR, RCC_CR_HSEON, RCC_CR, RCC_CR_HSERDY);
    goes_on_with_16_megahertz();
}

static void without_a_switch_over(void)
{
    registers_reset();
    register_follows(RCC_CR, RCC_CR_HSEON, RCC_CR, RCC_CR_HSERDY);
    register_follows(RCC_CR, RCC_CR_PLLON, RCC_CR, RCC_CR_PLLRDY);
    goes_on_with_16_megahertz();
}

int main(void)
{
    RUN(crystal_and_pll_give_168_megahertz);
    RUN(without_a_crystal);
    RUN(without_a_pll);
    RUN(without_a_switch_over);
    return check_result();
}
