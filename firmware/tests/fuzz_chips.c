/* Chips for fuzzing. What the simulated chips of the bench check, these check again, independently and in C: amplitude,
 * gate, width, energy and on-time of a row, also where TIGHTEN lowered them; one row, one array, one way of driving;
 * switches moved while lines are driven; levels at the instrument ports; ENABLE without an open session. */
#include "fuzz_chips.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/geometry.h"
#include "../src/limits.h"
#include "../src/safety.h"
#include "../src/wiring.h"

enum {
    RESULT_BYTES = 1024,
    HEARD_BYTES = 1 << 16,
    MOST_SCANS = 20000,                 /* of one input: then the chips fall silent, so that no input takes for ever */
    CHAINS = HWL_MAX_ROWS / HWL_ROWS_A_ROW_CHAIN,
    CHAIN_BYTES = HWL_ROWS_A_ROW_CHAIN / 8,
    REGISTERS = 64,
    MODE_BYTES = 4,
};

#define BIT(name) (1u << HWL_MODE_##name)
/* Routes that levels are held for. */
#define PORTS ((2u << HWL_MODE_ROUTE_LOOPBACK) - BIT(ROUTE_INPUT_TO_SMU))

uint32_t chips_milliseconds;
uint8_t chips_inputs, chips_fault;
uint32_t chips_silent;

static struct {
    uint32_t column_codes[16], gate_code;
    uint32_t mode, columns;
    uint8_t rows[CHAINS][CHAIN_BYTES];
    uint8_t adc_registers[2][REGISTERS];
    bool enable, drive;
} chips;
static uint8_t store[HAL_STORE_BYTES], reset_cause;
static uint64_t now_ticks, free_ticks;
static uint32_t row_on_ticks[2 * HWL_MAX_ROWS];
static uint32_t scans, noise;
static uint8_t results[RESULT_BYTES], heard[HEARD_BYTES];
static size_t result_count, heard_count, heard_taken;

static void demand(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "chips: %s\n", what);
        abort();
    }
}

void chips_power_on(uint32_t milliseconds)
{
    memset(&chips, 0, sizeof chips);
    memset(store, 0, sizeof store);
    memset(row_on_ticks, 0, sizeof row_on_ticks);
    chips_milliseconds = milliseconds;
    chips_inputs = 0;
    chips_fault = CHIPS_INTACT;
    chips_silent = scans = 0;
    noise = 1;
    now_ticks = free_ticks = 0;
    result_count = heard_count = heard_taken = 0;
    reset_cause = HWL_RESET_CAUSE_POWER;
}

void chips_reset(uint8_t cause)
{
    chips.enable = chips.drive = false;
    free_ticks = now_ticks;
    result_count = 0;
    reset_cause = cause;
}

void chips_check_at_rest(void)
{
    demand(!chips.drive, "lines are driven while nothing is carried out");
    demand(!chips.enable || safety_is_armed(), "ENABLE is high without an armed session");
}

/* ---- what a line sees ---- */

static uint32_t selected_rows(uint32_t *row)
{
    uint32_t count = 0;
    for (uint32_t chain = 0; chain < CHAINS; chain++)
        for (uint32_t chip = 0; chip < CHAIN_BYTES; chip++)
            for (uint32_t left = chips.rows[chain][chip]; left != 0; left &= left - 1, count++)
                *row = chain * HWL_ROWS_A_ROW_CHAIN + chip * 8 + (uint32_t)__builtin_ctz(left);
    return count;
}

/* As TIGHTEN left it, and in no case above what the wire table says. */
static uint32_t allowed(enum hwl_limit_kind kind)
{
    static const uint32_t table[LIMIT_KINDS] = {
        [HWL_LIMIT_KIND_AMPLITUDE_CODE] = HWL_LIMIT_AMPLITUDE_CODE, [HWL_LIMIT_KIND_FORM_CODE] = HWL_LIMIT_FORM_CODE,
        [HWL_LIMIT_KIND_GATE_CODE] = HWL_LIMIT_GATE_CODE, [HWL_LIMIT_KIND_WIDTH_TICKS] = HWL_LIMIT_WIDTH_TICKS,
        [HWL_LIMIT_KIND_ROW_ON_TICKS] = HWL_LIMIT_ROW_ON_TICKS,
        [HWL_LIMIT_KIND_PULSE_ENERGY] = HWL_LIMIT_PULSE_ENERGY};
    return limit_of(kind) < table[kind] ? limit_of(kind) : table[kind];
}

static void check_one_array(void)
{
    demand(!(chips.mode & BIT(CONNECT_A)) != !(chips.mode & BIT(CONNECT_B)), "driven with no array, or both");
}

static void check_pulse(uint32_t width_ticks)
{
    bool bit_lines = chips.mode & BIT(DRIVE_BIT_LINES);
    uint32_t row = 0, highest = bit_lines ? allowed(HWL_LIMIT_KIND_FORM_CODE) : 0;
    /* Chips cannot tell SET from FORM: a SET above its own limit is for the unit tests of PULSE. */
    if (highest < allowed(HWL_LIMIT_KIND_AMPLITUDE_CODE))
        highest = allowed(HWL_LIMIT_KIND_AMPLITUDE_CODE);
    demand(bit_lines != !!(chips.mode & BIT(DRIVE_SOURCE_LINES)), "a pulse on neither side, or on both");
    demand(!(chips.mode & (BIT(READ) | BIT(SOLVE) | BIT(MULTIPLY) | BIT(SAMPLE))),
           "a pulse while something else is connected");
    demand(!(chips.mode & PORTS), "a pulse while levels are at the instrument ports");
    check_one_array();
    demand(selected_rows(&row) == 1 && row < geometry.rows, "a pulse without just one row");
    demand(width_ticks >= 1 && width_ticks <= allowed(HWL_LIMIT_KIND_WIDTH_TICKS), "a pulse too long");
    demand(chips.gate_code <= allowed(HWL_LIMIT_KIND_GATE_CODE), "a gate too high");
    for (uint32_t column = 0; column < geometry.columns; column++) {
        uint64_t code = chips.column_codes[column];
        if (!(chips.columns >> column & 1))
            continue;
        demand(code <= highest, "an amplitude too high");
        demand((code * code * width_ticks >> 20) <= allowed(HWL_LIMIT_KIND_PULSE_ENERGY), "a pulse of too much energy");
    }
    uint32_t *on_ticks = &row_on_ticks[(chips.mode & BIT(CONNECT_B) ? geometry.rows : 0u) + row];
    *on_ticks += width_ticks;
    demand(*on_ticks <= allowed(HWL_LIMIT_KIND_ROW_ON_TICKS), "a row on for too long in one command");
}

static void check_driven(void)
{
    uint32_t row, ways = chips.mode & (BIT(READ) | BIT(SOLVE) | BIT(MULTIPLY) | BIT(SAMPLE));
    demand(chips.enable, "driven while ENABLE is low");
    demand(!(chips.mode & (BIT(DRIVE_BIT_LINES) | BIT(DRIVE_SOURCE_LINES))), "pulses without the timer");
    demand(__builtin_popcount(ways) == 1, "driven in no way, or in several");
    demand(ways == BIT(SAMPLE) || !(chips.mode & (PORTS | BIT(ROUTE_CELL_TO_SMU))), "driven while an instrument is on");
    if (ways == BIT(SAMPLE)) {
        demand(!(chips.mode & (BIT(CONNECT_A) | BIT(CONNECT_B))) || (chips.mode & BIT(ROUTE_CELL_TO_SMU)),
               "an array connected while the ports are sampled");
    } else if (ways == BIT(SOLVE)) {
        demand((chips.mode & BIT(CONNECT_A)) && (chips.mode & BIT(CONNECT_B)), "a solve without both arrays");
        demand(!(chips.mode & BIT(RECTIFIER)) || !(chips.mode & BIT(DUAL_SUPPLY)), "two constraints at once");
    } else {
        check_one_array();
    }
    demand(ways != BIT(READ) || selected_rows(&row) == 1, "a reading without just one row");
}

/* After every word and switch: what may stand at the instrument ports, and that no array does with it. */
static void check_ports(void)
{
    uint32_t ports = chips.mode & PORTS;
    if (ports == 0)
        return;
    demand((ports & (ports - 1)) == 0, "two routes at once");
    demand(!(chips.mode & (BIT(CONNECT_A) | BIT(CONNECT_B))), "an array connected to held levels");
    demand(chips.gate_code <= HWL_LIMIT_GATE_CODE, "a held gate too high");
    for (uint32_t column = 0; column < geometry.columns; column++)
        demand(chips.column_codes[column] <= HWL_LIMIT_FORM_CODE, "a held amplitude too high");
}

/* ---- words to chips ---- */

static void dac_word(uint16_t select, const uint8_t *frame)
{
    uint32_t command = (uint32_t)frame[0] >> 4, channel = frame[0] & 15u, code = (uint32_t)frame[1] << 8 | frame[2];
    for (uint32_t n = 0; n < 16; n++) {
        if (command != 0xA && !(command == 0x3 && n == channel))
            continue;
        if (select == HWL_SELECT_COLUMN_DAC)
            chips.column_codes[n] = code;
        else if (select == HWL_SELECT_GATE_DAC && n == 0)
            chips.gate_code = code;
    }
}

static bool is_dac(uint16_t select)
{
    return select <= HWL_SELECT_BIAS_DAC || select >= HWL_SELECT_INPUT_DAC;
}

/* One frame to one chip or chain, and what comes back of it, with what was in it before. */
static void transfer(uint16_t select, uint8_t frame_bytes, const uint8_t *frame, uint8_t *back)
{
    memset(back, 0, frame_bytes);
    if (is_dac(select)) {
        demand(frame_bytes == 3, "a DAC word that is not 24 bits");
        dac_word(select, frame);
    } else if (select <= HWL_SELECT_ADC_HIGH && frame_bytes == 3) {
        uint8_t *content = &chips.adc_registers[select - HWL_SELECT_ADC_LOW][frame[0] >> 1 & (REGISTERS - 1)];
        if (frame[0] & 1)
            *content = frame[1];
        back[2] = *content;
    } else if (select <= HWL_SELECT_ADC_HIGH) {
        noise = noise * 1664525u + 1013904223u;
        back[2] = (uint8_t)(noise >> 24);
        back[3] = (uint8_t)(noise >> 16);
    } else if (select == HWL_SELECT_TEMPERATURE) {
        bool id = frame[0] == (0x40 | 0x03 << 3);
        back[1] = id ? 0xC3 : 0x0C; /* 25 degrees */
        back[frame_bytes - 1] = id ? 0xC3 : 0x80;
    } else if (select == HWL_SELECT_MODE_SWITCHES) {
        demand(frame_bytes == MODE_BYTES, "mode switches that are not four chips");
        for (uint32_t i = 0; i < MODE_BYTES; i++)
            back[MODE_BYTES - 1 - i] = (uint8_t)(chips.mode >> 8 * i);
        chips.mode = (uint32_t)frame[0] << 24 | (uint32_t)frame[1] << 16 | (uint32_t)frame[2] << 8 | frame[3];
    } else if (select == HWL_SELECT_COLUMN_SELECT) {
        chips.columns = frame_bytes == 1 ? frame[0] : (uint32_t)frame[0] << 8 | frame[1];
    } else if (select >= HWL_SELECT_ROW_SELECT && select < HWL_SELECT_ROW_MASK) {
        for (uint32_t chip = 0; chip < frame_bytes; chip++)
            chips.rows[select - HWL_SELECT_ROW_SELECT][chip] = frame[frame_bytes - 1u - chip];
    }
}

static void transfers(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes, size_t step,
                      uint8_t skip, bool keep)
{
    uint8_t back[255] = {0};
    demand(now_ticks >= free_ticks, "chips moved under a pulse");
    demand(!chips.drive || select == HWL_SELECT_ADC_LOW || select == HWL_SELECT_ADC_HIGH, "chips moved while driven");
    scans += frames;
    for (uint32_t i = 0; i < frames; i++) {
        transfer(select, frame_bytes, bytes + i * step, back);
        check_ports();
        if (!keep)
            continue;
        if (chips_fault != CHIPS_INTACT)
            memset(back, chips_fault == CHIPS_STUCK_HIGH ? 0xFF : 0x00, frame_bytes);
        demand(result_count + frame_bytes - skip <= RESULT_BYTES, "more results asked for than there is room");
        memcpy(results + result_count, back + skip, (size_t)(frame_bytes - skip));
        result_count += (size_t)(frame_bytes - skip);
    }
}

void hal_spi_write(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes)
{
    transfers(select, frame_bytes, frames, bytes, frame_bytes, 0, false);
}

void hal_spi_read(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes, uint8_t skip)
{
    transfers(select, frame_bytes, frames, bytes, frame_bytes, skip, true);
}

void hal_spi_scan(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *frame, uint8_t skip)
{
    transfers(select, frame_bytes, frames, frame, 0, skip, true);
}

void hal_pin(uint8_t pin, bool high)
{
    if (pin == HWL_PIN_ENABLE)
        chips.enable = high;
    if (pin == HWL_PIN_DRIVE) {
        chips.drive = high;
        if (high)
            check_driven();
    }
}

void hal_at(uint64_t bench_ticks)
{
    demand(bench_ticks >= now_ticks && bench_ticks >= free_ticks, "time goes back, or a pulse is not over");
    now_ticks = bench_ticks;
}

void hal_pulse(uint16_t width_ticks)
{
    demand(chips.enable, "a pulse while ENABLE is low");
    demand(now_ticks >= free_ticks, "two pulses at once");
    check_pulse(width_ticks);
    free_ticks = now_ticks + width_ticks;
}

void hal_store(const uint8_t bytes[HAL_STORE_BYTES])
{
    memcpy(store, bytes, HAL_STORE_BYTES);
}

size_t hal_result_room(void)
{
    return RESULT_BYTES - result_count;
}

bool hal_finish(struct hal_results *given)
{
    bool silent = chips_silent > 0 || scans > MOST_SCANS;
    if (chips_silent > 0)
        chips_silent--;
    given->bytes = results;
    given->count = result_count;
    given->inputs = chips_inputs;
    result_count = 0;
    return !silent;
}

/* ---- start, time, port ---- */

bool hal_start(struct hal_boot *boot)
{
    boot->board_serial = boot->array_serial = 1;
    boot->reset_cause = reset_cause;
    boot->bench_ticks = now_ticks;
    memcpy(boot->store, store, HAL_STORE_BYTES);
    return chips_silent == 0;
}

uint32_t hal_milliseconds(void)
{
    return chips_milliseconds;
}

void hal_feed_watchdog(void)
{
}

void hal_idle(void)
{
    chips_milliseconds += 10;
}

void chips_port_hears(const uint8_t *bytes, size_t count)
{
    if (heard_taken == heard_count)
        heard_taken = heard_count = 0;
    count = count < HEARD_BYTES - heard_count ? count : HEARD_BYTES - heard_count;
    memcpy(heard + heard_count, bytes, count);
    heard_count += count;
}

size_t hal_port_read(uint8_t *bytes, size_t room)
{
    size_t count = heard_count - heard_taken < room ? heard_count - heard_taken : room;
    memcpy(bytes, heard + heard_taken, count);
    heard_taken += count;
    return count;
}

void hal_port_write(const uint8_t *bytes, size_t count)
{
    memset(row_on_ticks, 0, sizeof row_on_ticks); /* a reply: the command is over */
    host_hears(bytes, count);
}
