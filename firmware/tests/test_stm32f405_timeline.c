/* The time line: bench ticks on TIM2, pulses of DRIVE by TIM4. */
#include "check.h"
#include "fake_registers.h"

#include "../hal/hal.h"
#include "../hal/stm32f405/selects.h"
#include "../hal/stm32f405/spi.h"
#include "../hal/stm32f405/timeline.h"
#include "../src/wiring.h"

enum { MOST_READS = 1000000, DRIVE_MODE_SHIFT = 24, ENABLE_HIGH = 1 };

static void start(uint32_t timer_hertz)
{
    registers_reset();
    spi_start();
    timeline_start(timer_hertz);
}

static uint32_t count_now(void)
{
    return register_value(TIM2 + TIM_CNT);
}

static void waits_by_the_timer(void)
{
    start(84000000);
    hal_at(1000); /* begins the line */
    uint32_t begun = count_now();
    hal_at(1010);
    CHECK_EQUAL(count_now() - begun, 84);
    for (uint64_t ticks = 1011; ticks <= 1020; ticks++)
        hal_at(ticks); /* 8.4 counts each: nothing is lost */
    CHECK_EQUAL(count_now() - begun, 168);
    CHECK_EQUAL(timeline_late(), 0);
    CHECK(timeline_finish());
    start(16000000);
    hal_at(0);
    begun = count_now();
    hal_at(100);
    CHECK_EQUAL(count_now() - begun, 160);
}

static void waits_over_the_wrap_of_the_timer_and_for_long(void)
{
    start(84000000);
    register_timer_step = 1000;
    register_preset(TIM2 + TIM_CNT, UINT32_MAX - 5000);
    hal_at(0);
    uint32_t begun = count_now();
    hal_at(20000000); /* 2 s, fed to the watchdog on the way */
    CHECK(count_now() - begun >= 168000000 && count_now() - begun < 168100000);
    CHECK(register_writes_to(IWDG_KR) >= 19);
}

static void what_is_late_moves_the_line(void)
{
    start(84000000);
    hal_at(0);
    uint32_t begun = count_now();
    register_preset(TIM2 + TIM_CNT, begun + 500);
    hal_at(10); /* 84 counts are long over */
    CHECK_EQUAL(timeline_late(), 1);
    uint32_t late = count_now();
    hal_at(20);
    CHECK_EQUAL(count_now() - late, 84);
    CHECK_EQUAL(timeline_late(), 1);
}

static void time_does_not_run_backwards(void)
{
    start(84000000);
    hal_at(1000);
    uint32_t reads = register_reads;
    hal_at(10);
    CHECK(register_reads - reads < 5);
    uint32_t begun = count_now();
    hal_at(20);
    CHECK(count_now() - begun >= 83);
}

static void a_line_begins_anew_after_a_finish(void)
{
    start(84000000);
    hal_at(0);
    CHECK(timeline_finish());
    uint32_t reads = register_reads;
    hal_at(1000000);
    CHECK(register_reads - reads < 5);
}

static void a_timer_that_stands_still_is_told_at_the_end(void)
{
    start(84000000);
    hal_at(0);
    register_timer_step = 0;
    hal_at(100);
    CHECK(register_reads < MOST_READS);
    hal_pin(HWL_PIN_DRIVE, true);
    CHECK_EQUAL(register_value(TIM4 + TIM_CCMR1), TIM_CCMR1_FORCE_LOW);
    hal_pulse(10);
    CHECK_EQUAL(register_value(TIM4 + TIM_CR1) & TIM_CR1_CEN, 0);
    CHECK(!timeline_finish());
    CHECK(timeline_finish());
}

static void drive_belongs_to_its_timer_and_starts_low(void)
{
    start(84000000);
    CHECK_EQUAL(register_value(GPIOD + GPIO_MODER) >> DRIVE_MODE_SHIFT & 3, 2);
    CHECK_EQUAL(register_value(TIM4 + TIM_CCMR1), TIM_CCMR1_FORCE_LOW);
    hal_pin(HWL_PIN_DRIVE, true);
    CHECK_EQUAL(register_value(TIM4 + TIM_CCMR1), TIM_CCMR1_FORCE_HIGH);
    hal_pin(HWL_PIN_DRIVE, false);
    CHECK_EQUAL(register_value(TIM4 + TIM_CCMR1), TIM_CCMR1_FORCE_LOW);
}

static void a_pulse_is_ended_by_hardware(void)
{
    start(84000000);
    hal_pulse(10000); /* 1 ms at 42 MHz */
    CHECK_EQUAL(register_value(TIM4 + TIM_PSC), 1);
    CHECK_EQUAL(register_value(TIM4 + TIM_CCR1), 1);
    CHECK_EQUAL(register_value(TIM4 + TIM_ARR), 42000);
    CHECK_EQUAL(register_value(TIM4 + TIM_CCMR1), TIM_CCMR1_PWM2);
    CHECK_EQUAL(register_value(TIM4 + TIM_CR1), TIM_CR1_URS | TIM_CR1_OPM | TIM_CR1_CEN);
    CHECK(timeline_finish());
    CHECK_EQUAL(register_value(TIM4 + TIM_CR1) & TIM_CR1_CEN, 0);
    start(16000000);
    hal_pulse(10000);
    CHECK_EQUAL(register_value(TIM4 + TIM_PSC), 0);
    CHECK_EQUAL(register_value(TIM4 + TIM_ARR), 16000);
}

static void grounding_cuts_a_pulse(void)
{
    start(84000000);
    register_pulse_reads = MOST_READS;
    hal_pulse(10000);
    hal_pin(HWL_PIN_DRIVE, false);
    CHECK_EQUAL(register_value(TIM4 + TIM_CCMR1), TIM_CCMR1_FORCE_LOW);
    CHECK_EQUAL(register_value(TIM4 + TIM_CR1) & TIM_CR1_CEN, 0);
}

static void a_pulse_that_does_not_end_is_cut(void)
{
    start(84000000);
    register_pulse_reads = UINT32_MAX;
    hal_pulse(10);
    CHECK(!timeline_finish());
    CHECK(register_reads < MOST_READS);
    CHECK_EQUAL(register_value(TIM4 + TIM_CCMR1), TIM_CCMR1_FORCE_LOW);
}

static void a_pulse_that_the_timer_cannot_count_is_refused(void)
{
    start(84000000);
    hal_pulse(UINT16_MAX);
    CHECK_EQUAL(register_value(TIM4 + TIM_CR1) & TIM_CR1_CEN, 0);
    CHECK(!timeline_finish());
    hal_pulse(0);
    CHECK(!timeline_finish());
}

static void nothing_is_enabled_when_the_buses_stand_still(void)
{
    const uint8_t word[3] = {0};
    start(84000000);
    register_spi_takes = false;
    hal_spi_write(HWL_SELECT_COLUMN_DAC, 3, 1, word);
    hal_pin(HWL_PIN_ENABLE, true);
    for (size_t i = 0; i < register_writes_to(GPIOD + GPIO_BSRR); i++)
        CHECK_EQUAL(register_write_number(GPIOD + GPIO_BSRR, i) & ENABLE_HIGH, 0);
    hal_pulse(10);
    CHECK_EQUAL(register_value(TIM4 + TIM_CR1) & TIM_CR1_CEN, 0);
    hal_pin(HWL_PIN_DRIVE, true);
    CHECK_EQUAL(register_value(TIM4 + TIM_CCMR1), TIM_CCMR1_FORCE_LOW);
    /* What rests is set all the same. */
    hal_pin(HWL_PIN_ENABLE, false);
    CHECK_EQUAL(register_value(GPIOD + GPIO_BSRR), ENABLE_HIGH << 16);
    hal_pin(HWL_PIN_LDAC, true);
    CHECK_EQUAL(register_value(GPIOD + GPIO_BSRR), 2);
}

int main(void)
{
    RUN(waits_by_the_timer);
    RUN(waits_over_the_wrap_of_the_timer_and_for_long);
    RUN(what_is_late_moves_the_line);
    RUN(time_does_not_run_backwards);
    RUN(a_line_begins_anew_after_a_finish);
    RUN(a_timer_that_stands_still_is_told_at_the_end);
    RUN(drive_belongs_to_its_timer_and_starts_low);
    RUN(a_pulse_is_ended_by_hardware);
    RUN(grounding_cuts_a_pulse);
    RUN(a_pulse_that_does_not_end_is_cut);
    RUN(a_pulse_that_the_timer_cannot_count_is_refused);
    RUN(nothing_is_enabled_when_the_buses_stand_still);
    return check_result();
}
