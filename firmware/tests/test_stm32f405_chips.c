/* Start of the board on the STM32F405, and what it keeps over a reset. */
#include "check.h"
#include "fake_registers.h"

#include <string.h>

#include "../hal/hal.h"
#include "../src/protocol.h"
#include "../src/wiring.h"

enum { MOST_READS = 2000000, ENABLE_AND_DRIVE_LOW = 1 << 16 | 1 << 28, SELECTS_E = 0x0FFF };
#define SERIALS 0x08010000u

static void lines_are_grounded_before_anything_else(void)
{
    struct hal_boot boot;
    registers_reset();
    registers_start_clocks();
    CHECK(hal_start(&boot));
    /* The first words to the port: pins low, then every chip select high, and only then do pins become outputs. */
    CHECK_EQUAL(register_write_number(GPIOD + GPIO_BSRR, 0) & ENABLE_AND_DRIVE_LOW, ENABLE_AND_DRIVE_LOW);
    CHECK_EQUAL(register_write_number(GPIOE + GPIO_BSRR, 0), SELECTS_E);
    CHECK_EQUAL(register_value(GPIOE + GPIO_MODER), 0x555555);
    CHECK_EQUAL(register_value(GPIOD + GPIO_MODER) & 0xF, 0x5);
    CHECK_EQUAL(register_value(IWDG_KR), IWDG_KEY_FEED);
    CHECK_EQUAL(boot.bench_ticks, 0);
    CHECK_EQUAL(boot.array_serial, 0);
}

static void a_start_where_nothing_gets_ready_ends_all_the_same(void)
{
    struct hal_boot boot;
    registers_reset();
    register_preset(PWR_CSR, PWR_CSR_PVDO);
    register_preset(IWDG_SR, 3);
    CHECK(!hal_start(&boot));
    CHECK(register_reads < MOST_READS);
    CHECK_EQUAL(register_value(USART1 + USART_BRR), 16);
}

static void serial_number_stands_in_flash(void)
{
    struct hal_boot boot;
    registers_reset();
    register_preset(SERIALS, 0xFFFFFFFF);
    register_preset(SERIALS + 4, 0xFFFFFFFF);
    (void)hal_start(&boot);
    CHECK_EQUAL(boot.board_serial, 0);
    register_preset(SERIALS, 0x4E534C48);
    register_preset(SERIALS + 4, 1234);
    (void)hal_start(&boot);
    CHECK_EQUAL(boot.board_serial, 1234);
}

static void keeps_sixteen_bytes_over_a_reset(void)
{
    const uint8_t store[HAL_STORE_BYTES] = "0123456789abcde";
    struct hal_boot boot;
    registers_reset();
    (void)hal_start(&boot);
    CHECK((register_value(PWR_CR) & PWR_CR_DBP) != 0);
    hal_store(store);
    register_preset(RCC_CSR, RCC_CSR_IWDGRST);
    (void)hal_start(&boot);
    CHECK(memcmp(boot.store, store, sizeof store) == 0);
    CHECK_EQUAL(boot.reset_cause, HWL_RESET_CAUSE_WATCHDOG);
}

static void a_finish_tells_the_inputs_and_whether_all_went_well(void)
{
    struct hal_boot boot;
    struct hal_results results;
    registers_reset();
    (void)hal_start(&boot);
    register_preset(GPIOD + GPIO_IDR, 1 << 2);
    CHECK(hal_finish(&results));
    CHECK_EQUAL(results.inputs, 1 << HWL_INPUT_OVERTEMPERATURE);
    CHECK_EQUAL(results.count, 0);
    register_preset(GPIOD + GPIO_IDR, 0);
    hal_pulse(UINT16_MAX);
    CHECK(!hal_finish(&results));
    CHECK_EQUAL(results.inputs, 0);
}

int main(void)
{
    RUN(lines_are_grounded_before_anything_else);
    RUN(a_start_where_nothing_gets_ready_ends_all_the_same);
    RUN(serial_number_stands_in_flash);
    RUN(keeps_sixteen_bytes_over_a_reset);
    RUN(a_finish_tells_the_inputs_and_whether_all_went_well);
    return check_result();
}
