/* PULSE: row pulses. Every limit is checked before the first line moves. */
#include <string.h>

#include "bytes.h"
#include "engine.h"
#include "limits.h"
#include "panel.h"
#include "sections.h"
#include "wiring.h"

#include "../hal/hal.h"

struct section {
    uint8_t array;
    uint8_t polarity;
    uint16_t width_ticks;
    struct cell_list cells;
    struct cell_group group;        /* the group that comes next finds the common codes here */
};

/* How long each row of the two arrays is driven within the command that is being checked. */
static uint32_t row_on_ticks[2 * HWL_MAX_ROWS];

/* The section at *offset of a payload whose lengths were checked; *offset goes behind it. False: there is none. */
static bool next_section(const uint8_t *payload, size_t bytes, uint32_t *offset, struct section *section)
{
    if (*offset >= bytes)
        return false;
    const uint8_t *at = payload + *offset;
    uint16_t amplitude_code = get_u16(at + HWL_PULSE_SECTION_AMPLITUDE_CODE);
    section->array = at[HWL_PULSE_SECTION_ARRAY];
    section->polarity = at[HWL_PULSE_SECTION_POLARITY];
    section->width_ticks = get_u16(at + HWL_PULSE_SECTION_WIDTH_TICKS);
    section->cells.layout = at[HWL_PULSE_SECTION_LAYOUT];
    section->cells.target = at[HWL_PULSE_SECTION_TARGET];
    section->cells.at = at + HWL_PULSE_SECTION_BYTES;
    section->cells.end = section->cells.at + 2u * get_u16(at + HWL_PULSE_SECTION_WORD_COUNT);
    section->group.gate_code = get_u16(at + HWL_PULSE_SECTION_GATE_CODE);
    for (uint32_t column = 0; column < HWL_MAX_COLUMNS; column++)
        section->group.amplitude_codes[column] = amplitude_code;
    *offset = (uint32_t)(section->cells.end - payload);
    return true;
}

static uint32_t *row_on(const struct section *section)
{
    return row_on_ticks + (uint32_t)section->array * geometry.rows + section->group.row;
}

static bool header_check(const struct section *section, uint32_t number, struct refusal *why)
{
    return in_range(why, HWL_FIELD_ARRAY, section->array, 0, 1, number) &&
           in_range(why, HWL_FIELD_POLARITY, section->polarity, 0, HWL_POLARITY_FORM, number) &&
           in_range(why, HWL_FIELD_LAYOUT, section->cells.layout, 0, HWL_LAYOUT_ROWS, number) &&
           in_range(why, HWL_FIELD_TARGET, section->cells.target, 0, HWL_TARGET_AMPLITUDE, number) &&
           in_range(why, HWL_FIELD_WIDTH_TICKS, section->width_ticks, 1, limit_of(HWL_LIMIT_KIND_WIDTH_TICKS), number);
}

/* Amplitude, gate and energy of every cell from position `first_cell` on. All amplitudes are refused before any gate,
 * and all gates before any energy, so the first of the later ones is only noted. Adds to row_on_ticks. */
static bool limits_check(struct section section, uint32_t first_cell, bool *row_on_too_long, struct refusal *why)
{
    uint32_t highest = limit_of(section.polarity == HWL_POLARITY_FORM ? HWL_LIMIT_KIND_FORM_CODE
                                                                      : HWL_LIMIT_KIND_AMPLITUDE_CODE);
    uint32_t highest_gate = limit_of(HWL_LIMIT_KIND_GATE_CODE), most_energy = limit_of(HWL_LIMIT_KIND_PULSE_ENERGY);
    uint32_t row_on_limit = limit_of(HWL_LIMIT_KIND_ROW_ON_TICKS), position = first_cell;
    struct refusal gate = {0}, energy = {0};
    while (cell_list_next(&section.cells, &section.group)) {
        if (gate.status == HWL_STATUS_OK)
            (void)in_range(&gate, HWL_FIELD_GATE_CODE, section.group.gate_code, 0, highest_gate, position);
        for (uint32_t left = section.group.column_mask; left != 0; left &= left - 1, position++) {
            uint32_t code = section.group.amplitude_codes[__builtin_ctz(left)];
            if (!in_range(why, HWL_FIELD_AMPLITUDE_CODE, code, 0, highest, position))
                return false;
            int64_t spent = (int64_t)((uint64_t)code * code * section.width_ticks >> 20);
            if (energy.status == HWL_STATUS_OK)
                (void)in_range(&energy, HWL_FIELD_PULSE_ENERGY, spent, 0, most_energy, position);
        }
        uint32_t *on = row_on(&section);
        *on += section.width_ticks;
        *row_on_too_long = *row_on_too_long || *on > row_on_limit;
    }
    if (gate.status != HWL_STATUS_OK)
        *why = gate;
    else if (energy.status != HWL_STATUS_OK)
        *why = energy;
    else
        return true;
    return false;
}

/* Refuse the first listed cell of a row that is on for too long. */
static bool refuse_row_on(const uint8_t *payload, size_t bytes, struct refusal *why)
{
    struct section section;
    uint32_t offset = 0, position = 0;
    while (next_section(payload, bytes, &offset, &section))
        while (cell_list_next(&section.cells, &section.group)) {
            uint32_t limit = limit_of(HWL_LIMIT_KIND_ROW_ON_TICKS);
            if (!in_range(why, HWL_FIELD_ROW_ON_TICKS, *row_on(&section), 0, limit, position))
                return false;
            position += (uint32_t)__builtin_popcount(section.group.column_mask);
        }
    return false;
}

static bool check(const uint8_t *payload, size_t bytes, struct refusal *why)
{
    struct section section;
    uint32_t offset = 0, first_cell = 0, cells = 0;
    bool row_on_too_long = false;
    if (!sections_fit(payload, bytes, 0, HWL_PULSE_SECTION_BYTES, why))
        return false;
    memset(row_on_ticks, 0, sizeof row_on_ticks);
    for (uint32_t number = 0; next_section(payload, bytes, &offset, &section); number++) {
        if (!header_check(&section, number, why) || !cell_list_check(section.cells, first_cell, &cells, why) ||
            !limits_check(section, first_cell, &row_on_too_long, why))
            return false;
        first_cell += cells;
    }
    return !row_on_too_long || refuse_row_on(payload, bytes, why);
}

static uint32_t mode_of(const struct section *section)
{
    uint32_t connect = section->array == 0 ? HWL_MODE_CONNECT_A : HWL_MODE_CONNECT_B;
    bool reset = section->polarity == HWL_POLARITY_RESET;
    return 1u << connect | 1u << (reset ? HWL_MODE_DRIVE_SOURCE_LINES : HWL_MODE_DRIVE_BIT_LINES);
}

/* Queued at bench_ticks, and over at the bench_ticks that it leaves: nothing that comes behind it, a mode or a row, moves
 * while it is still driven. */
static void row_pulse(const struct section *section)
{
    uint32_t changed = panel_load_pulse(section->group.row, section->group.column_mask,
                                        section->group.amplitude_codes, section->group.gate_code);
    bench_ticks += changed * HWL_TICKS_PULSE_CHANGED_WORD + HWL_TICKS_PULSE_DAC_SETTLE;
    hal_at(bench_ticks);
    hal_pulse(section->width_ticks);
    bench_ticks += section->width_ticks + HWL_TICKS_PULSE_RECOVERY;
    hal_at(bench_ticks);
}

bool pulse_command(const uint8_t *payload, size_t bytes, struct answer *answer, struct refusal *why)
{
    struct section section;
    uint64_t start_ticks = bench_ticks;
    uint32_t offset = 0, row_pulses = 0;
    if (!check(payload, bytes, why))
        return false;
    panel_deselect();
    while (next_section(payload, bytes, &offset, &section)) {
        panel_mode(mode_of(&section));
        if (row_pulses == 0)
            hal_at(bench_ticks);
        for (; cell_list_next(&section.cells, &section.group); row_pulses++) {
            if (!engine_may_go_on(why))
                return false;
            row_pulse(&section);
        }
    }
    panel_deselect();
    engine_answer(answer, start_ticks, HWL_PULSE_REPLY_BYTES);
    put_u16(answer->bytes + HWL_PULSE_REPLY_ROW_PULSES, row_pulses);
    return engine_end(why);
}
