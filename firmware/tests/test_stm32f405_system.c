/* Resets, watchdog, supply and sleep of the STM32F405. */
#include "check.h"
#include "fake_registers.h"

#include "../hal/hal.h"
#include "../hal/stm32f405/port.h"
#include "../hal/stm32f405/system.h"
#include "../src/protocol.h"

enum {
    ENABLE_LOW = 1 << 16, DRIVE_LOW = 1 << 28,
    MOST_READS = 1000000
};

static uint8_t cause_of(uint32_t flags)
{
    registers_reset();
    register_preset(RCC_CSR, flags);
    uint8_t cause = system_reset_cause();
    CHECK((register_value(RCC_CSR) & RCC_CSR_RMVF) != 0);
    return cause;
}

static void tells_causes_of_a_reset_apart(void)
{
    CHECK_EQUAL(cause_of(RCC_CSR_PORRST | RCC_CSR_BORRST | RCC_CSR_PINRST), HWL_RESET_CAUSE_POWER);
    CHECK_EQUAL(cause_of(RCC_CSR_BORRST | RCC_CSR_PINRST), HWL_RESET_CAUSE_BROWN_OUT);
    CHECK_EQUAL(cause_of(RCC_CSR_IWDGRST | RCC_CSR_PINRST), HWL_RESET_CAUSE_WATCHDOG);
    CHECK_EQUAL(cause_of(RCC_CSR_WWDGRST | RCC_CSR_PINRST), HWL_RESET_CAUSE_WATCHDOG);
    CHECK_EQUAL(cause_of(RCC_CSR_SFTRST | RCC_CSR_PINRST), HWL_RESET_CAUSE_SOFTWARE);
    CHECK_EQUAL(cause_of(RCC_CSR_PINRST), HWL_RESET_CAUSE_PIN);
    CHECK_EQUAL(cause_of(0), HWL_RESET_CAUSE_POWER);
}

static void a_falling_supply_grounds_and_resets(void)
{
    registers_reset();
    if (setjmp(register_reset_jump) == 0) {
        system_supply_interrupt();
        CHECK(false); /* it came back */
    }
    uint32_t pins = register_write_number(GPIOD + GPIO_BSRR, 0);
    CHECK((pins & ENABLE_LOW) != 0);
    CHECK((pins & DRIVE_LOW) != 0);
    CHECK_EQUAL(register_value(TIM4 + TIM_CCMR1), TIM_CCMR1_FORCE_LOW);
    CHECK_EQUAL(register_value(GPIOD + GPIO_MODER) >> 24 & 3, 1);
    CHECK_EQUAL(cause_of(RCC_CSR_SFTRST), HWL_RESET_CAUSE_BROWN_OUT);
    CHECK_EQUAL(cause_of(RCC_CSR_SFTRST), HWL_RESET_CAUSE_SOFTWARE);
}

static void watches_the_supply(void)
{
    registers_reset();
    CHECK(system_watch_supply());
    CHECK_EQUAL(register_value(PWR_CR), PWR_CR_PVDE | PWR_CR_PLS_2V9);
    CHECK_EQUAL(register_value(EXTI_RTSR) & register_value(EXTI_IMR), EXTI_PVD);
    CHECK_EQUAL(register_value(NVIC_ISER), 1 << 1);
}

static void a_supply_that_stays_low_is_not_waited_for(void)
{
    registers_reset();
    register_preset(PWR_CSR, PWR_CSR_PVDO);
    CHECK(!system_watch_supply());
    CHECK(register_reads < MOST_READS);
    /* What it does next is watched all the same. */
    CHECK_EQUAL(register_value(NVIC_ISER), 1 << 1);
}

static void starts_milliseconds_and_watchdog(void)
{
    registers_reset();
    system_start(168000000);
    CHECK_EQUAL(register_value(SYSTICK_LOAD), 167999);
    CHECK_EQUAL(register_write_number(IWDG_KR, 0), IWDG_KEY_START);
    CHECK_EQUAL(register_value(IWDG_PR), 2);
    CHECK_EQUAL(register_value(IWDG_RLR), 1000);
    CHECK_EQUAL(register_value(IWDG_KR), IWDG_KEY_FEED);
    CHECK_EQUAL(hal_milliseconds(), 0);
    system_tick_interrupt();
    CHECK_EQUAL(hal_milliseconds(), 1);
}

static void a_watchdog_that_never_takes_its_settings_is_not_waited_for(void)
{
    registers_reset();
    register_preset(IWDG_SR, 3);
    system_start(16000000);
    CHECK(register_reads < MOST_READS);
    CHECK_EQUAL(register_value(IWDG_KR), IWDG_KEY_FEED);
}

static uint32_t sleeps;

static void tick_while_asleep(void)
{
    CHECK(register_masked);
    sleeps++;
    system_tick_interrupt();
}

static void byte_while_asleep(void)
{
    tick_while_asleep();
    if (sleeps == 3)
        port_host_interrupt();
}

static void sleeps_ten_milliseconds(void)
{
    registers_reset();
    port_start(84000000);
    sleeps = 0;
    register_sleep = tick_while_asleep;
    hal_idle();
    CHECK_EQUAL(sleeps, 10);
    CHECK(!register_masked);
}

static void wakes_with_a_byte_and_does_not_sleep_on_one(void)
{
    registers_reset();
    port_start(84000000);
    register_usart_hears("ab");
    sleeps = 0;
    register_sleep = byte_while_asleep;
    hal_idle();
    CHECK_EQUAL(sleeps, 3);
    hal_idle();
    CHECK_EQUAL(sleeps, 3);
}

int main(void)
{
    RUN(tells_causes_of_a_reset_apart);
    RUN(a_falling_supply_grounds_and_resets);
    RUN(watches_the_supply);
    RUN(a_supply_that_stays_low_is_not_waited_for);
    RUN(starts_milliseconds_and_watchdog);
    RUN(a_watchdog_that_never_takes_its_settings_is_not_waited_for);
    RUN(sleeps_ten_milliseconds);
    RUN(wakes_with_a_byte_and_does_not_sleep_on_one);
    return check_result();
}
