/* Counts the instructions that the firmware spends between two moments of its time line, in the emulator: there one
 * instruction takes one nanosecond (-icount shift=0), and TIM2 counts nanoseconds. run.py starts it and judges.
 *
 * The engines, the panel, the chip drivers and the SPI queue are the firmware's own; of hal.h only the time line is
 * replaced. Each job runs twice: with the SPI queue, whose registers are always ready here, and without it. */
#include <string.h>

#include "budget.h"

#include "../../hal/stm32f405/registers.h"
#include "../../hal/stm32f405/selects.h"
#include "../../hal/stm32f405/spi.h"
#include "../../hal/stm32f405/system.h"
#include "../../src/bytes.h"
#include "../../src/commands.h"
#include "../../src/geometry.h"
#include "../../src/limits.h"
#include "../../src/safety.h"

enum {
    ROWS = HWL_BOARD_128X16_ROWS, COLUMNS = HWL_BOARD_128X16_COLUMNS, ALL_COLUMNS = 0xFFFF,
    SOLVES = 3, SAMPLES = 2, LOOP = 100000
};

static uint8_t payload[HWL_BOARD_128X16_MAX_FRAME_BYTES];
static uint8_t reply[HWL_BOARD_128X16_MAX_FRAME_BYTES];

/* ---- words to the outside: semihosting ---- */

static uint32_t host_call(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = argument;
    __asm volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void say(const char *text)
{
    (void)host_call(0x04, text);
}

static void say_number(uint32_t number)
{
    char digits[12], *at = digits + sizeof digits - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    say(" ");
    say(at);
}

static _Noreturn void end(uint32_t status)
{
    const uint32_t block[2] = {0x20026, status};
    for (;;)
        (void)host_call(0x20, block);
}

/* ---- jobs ---- */

static uint32_t rows_words(uint8_t *at, uint32_t rows)
{
    for (uint32_t row = 0; row < rows; row++) {
        put_u16(at + 4 * row, row);
        put_u16(at + 4 * row + 2, ALL_COLUMNS);
    }
    return 4 * rows;
}

/* Row pulses on all columns; codes and gate differ from row to row where `all_change`, else the gate alone. */
static uint32_t pulse_payload(bool all_change)
{
    enum { PULSED = 40, ROW_BYTES = 4 + 2 * COLUMNS };
    uint8_t *at = payload;
    uint32_t sections = all_change ? PULSED : 1;
    memset(payload, 0, sizeof payload);
    for (uint32_t section = 0; section < sections; section++) {
        uint32_t words = all_change ? 2 : 3 * PULSED;
        at[HWL_PULSE_SECTION_LAYOUT] = HWL_LAYOUT_ROWS;
        at[HWL_PULSE_SECTION_TARGET] = all_change ? HWL_TARGET_COMMON : HWL_TARGET_GATE;
        put_u16(at + HWL_PULSE_SECTION_WIDTH_TICKS, 10);
        put_u16(at + HWL_PULSE_SECTION_AMPLITUDE_CODE, 20000 + section);
        put_u16(at + HWL_PULSE_SECTION_GATE_CODE, 20000 + section);
        put_u16(at + HWL_PULSE_SECTION_WORD_COUNT, words);
        at += HWL_PULSE_SECTION_BYTES;
        for (uint32_t row = 0; row < words / (all_change ? 2 : 3); row++) {
            put_u16(at, section + row);
            put_u16(at + 2, ALL_COLUMNS);
            if (!all_change)
                put_u16(at + 4, 20000 + row % 2);
            at += all_change ? 4 : 6;
        }
    }
    return (uint32_t)(at - payload);
}

/* One section of AMPLITUDE codes, all of them other ones in every row. */
static uint32_t amplitude_payload(void)
{
    enum { PULSED = 40 };
    uint8_t *at = payload + HWL_PULSE_SECTION_BYTES;
    memset(payload, 0, sizeof payload);
    payload[HWL_PULSE_SECTION_LAYOUT] = HWL_LAYOUT_ROWS;
    payload[HWL_PULSE_SECTION_TARGET] = HWL_TARGET_AMPLITUDE;
    put_u16(payload + HWL_PULSE_SECTION_WIDTH_TICKS, 10);
    put_u16(payload + HWL_PULSE_SECTION_GATE_CODE, 20000);
    put_u16(payload + HWL_PULSE_SECTION_WORD_COUNT, PULSED * (2 + COLUMNS));
    for (uint32_t row = 0; row < PULSED; row++) {
        put_u16(at, row);
        put_u16(at + 2, ALL_COLUMNS);
        for (uint32_t column = 0; column < COLUMNS; column++)
            put_u16(at + 4 + 2 * column, 20000 + 20 * row + column);
        at += 4 + 2 * COLUMNS;
    }
    return (uint32_t)(at - payload);
}

static uint32_t read_payload(void)
{
    enum { READ_ROWS = 40 };
    memset(payload, 0, sizeof payload);
    payload[HWL_READ_REQUEST_SUB_AVERAGES] = 1;
    put_u16(payload + HWL_READ_REQUEST_AVERAGES, SAMPLES);
    uint8_t *section = payload + HWL_READ_REQUEST_BYTES;
    section[HWL_READ_SECTION_LAYOUT] = HWL_LAYOUT_ROWS;
    put_u16(section + HWL_READ_SECTION_WORD_COUNT, 2 * READ_ROWS);
    return HWL_READ_REQUEST_BYTES + HWL_READ_SECTION_BYTES + rows_words(section + HWL_READ_SECTION_BYTES, READ_ROWS);
}

static uint32_t solve_payload(void)
{
    uint8_t *at = payload + HWL_SOLVE_SECTION_BYTES;
    memset(payload, 0, sizeof payload);
    payload[HWL_SOLVE_SECTION_ROWS] = HWL_ROWS_MASK;
    put_u16(payload + HWL_SOLVE_SECTION_AVERAGES, SAMPLES);
    put_u16(payload + HWL_SOLVE_SECTION_COLUMN_MASK, ALL_COLUMNS);
    put_u16(payload + HWL_SOLVE_SECTION_SETTLE_TICKS, HWL_TICKS_SETTLE_MIN);
    put_u16(payload + HWL_SOLVE_SECTION_ROW_COUNT, ROWS);
    put_u16(payload + HWL_SOLVE_SECTION_SOLVE_COUNT, SOLVES);
    put_u16(at + 2, ROWS / 16);
    memset(at + 4, 0xFF, ROWS / 8);
    for (uint32_t i = 0; i < SOLVES * ROWS; i++)
        put_u16(at + 4 + ROWS / 8 + 2 * i, 257 * i);
    return HWL_SOLVE_SECTION_BYTES + 4 + ROWS / 8 + 2 * SOLVES * ROWS;
}

static void run(const char *name, command_function *command, uint32_t bytes)
{
    struct refusal why = {0};
    for (uint32_t with_spi = 0; with_spi < 2; with_spi++) {
        struct answer answer = {.bytes = reply, .used = 0, .room = sizeof reply};
        budget_begin(with_spi != 0);
        safety_arm();
        /* Its end finds no chips; what was before it counts. */
        if (!command(payload, bytes, &answer, &why) && why.status != HWL_STATUS_FAULT) {
            say(name);
            say(" refused");
            say_number(why.status);
            say_number(why.field);
            say_number((uint32_t)why.value);
            say("\n");
            end(1);
        }
        for (uint32_t i = 0; i < budget_windows; i++) {
            const struct budget_window *window = &budget_window[i];
            say(name);
            say_number(with_spi);
            say_number(i);
            say_number(window->ticks);
            say_number(window->instructions);
            say_number(window->finished);
            for (uint32_t bus = 0; bus < BUSES; bus++) {
                say_number(window->bus_nanoseconds[bus]);
                say_number(window->bus_frames[bus]);
            }
            say("\n");
        }
    }
}

/* A loop of two instructions must take two nanoseconds a turn, or nothing here means anything. */
static void check_clock(void)
{
    uint32_t turns = LOOP, start = budget_now();
    __asm volatile("1: subs %0, #1\n\tbne 1b" : "+r"(turns) : : "cc");
    uint32_t took = budget_now() - start;
    say("clock 0 0");
    say_number(2 * LOOP);
    say_number(took);
    say("\n");
}

int main(void)
{
    if (!geometry_choose("hwloop-128x16"))
        end(1);
    limits_reset();
    budget_start();
    check_clock();
    run("pulse-all-changed", pulse_command, pulse_payload(true));
    run("pulse-amplitudes", pulse_command, amplitude_payload());
    run("pulse-gate-changed", pulse_command, pulse_payload(false));
    run("read", read_command, read_payload());
    run("solve", solve_command, solve_payload());
    end(0);
}
