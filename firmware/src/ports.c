/* ROUTE, HOLD, SAMPLE: what stands at the instrument ports, and what the ADCs see of it. */
#include <string.h>

#include "bytes.h"
#include "engine.h"
#include "geometry.h"
#include "limits.h"
#include "panel.h"
#include "sampler.h"
#include "sections.h"
#include "wiring.h"

#include "../hal/hal.h"

enum { ROWS_ON_PINS = 16, PAIR_BYTES = 4, SUM_BYTES = 4, OFFSET_BINARY = 32768 };

/* ---- ROUTE ---- */

static bool route_check(uint8_t route, uint8_t array, uint16_t row, uint16_t column, struct refusal *why)
{
    bool reference = route == HWL_ROUTE_REFERENCE_TO_SMU || route == HWL_ROUTE_REFERENCE_TO_TIA;
    return in_range(why, HWL_FIELD_TARGET, route, 0, HWL_ROUTE_LOOPBACK, 0) &&
           in_range(why, HWL_FIELD_ARRAY, array, 0, 1, 0) &&
           in_range(why, HWL_FIELD_ROW, row, 0, geometry.rows - 1, 0) &&
           in_range(why, HWL_FIELD_COLUMN, column, 0, geometry.columns - 1, 0) &&
           (!reference || in_range(why, HWL_FIELD_ROW, row, 0, HWL_REFERENCE_HIGH, 0)) &&
           (route != HWL_ROUTE_INPUTS_TO_DAQ ||
            in_range(why, HWL_FIELD_ROW, row, 0, row - row % ROWS_ON_PINS, 0));
}

bool route_command(const uint8_t *payload, size_t bytes, struct answer *answer, struct refusal *why)
{
    uint64_t start_ticks = bench_ticks;
    if (!has_length(why, (uint32_t)bytes, HWL_ROUTE_REQUEST_BYTES))
        return false;
    uint8_t route = payload[HWL_ROUTE_REQUEST_ROUTE], array = payload[HWL_ROUTE_REQUEST_ARRAY];
    uint16_t row = get_u16(payload + HWL_ROUTE_REQUEST_ROW), column = get_u16(payload + HWL_ROUTE_REQUEST_COLUMN);
    if (!route_check(route, array, row, column, why))
        return false;
    hal_at(bench_ticks);
    panel_route(route, array, row, column);
    bench_ticks += HWL_TICKS_LOAD;
    engine_answer(answer, start_ticks, HWL_ROUTE_REPLY_BYTES);
    return engine_end(why);
}

/* ---- HOLD ---- */

/* What a channel and a code of each kind of level may be. */
struct level {
    uint16_t channel_field, code_field;
    uint16_t channels;
    bool is_signed;
    int32_t low, high;
};

static struct level level_of(uint8_t what)
{
    switch (what) {
    case HWL_HOLD_AMPLITUDE:
        return (struct level){HWL_FIELD_COLUMN, HWL_FIELD_AMPLITUDE_CODE, geometry.columns, false, 0,
                              (int32_t)limit_of(HWL_LIMIT_KIND_FORM_CODE)};
    case HWL_HOLD_GATE:
        return (struct level){HWL_FIELD_COLUMN, HWL_FIELD_GATE_CODE, 1, false, 0,
                              (int32_t)limit_of(HWL_LIMIT_KIND_GATE_CODE)};
    case HWL_HOLD_INPUT:
        return (struct level){HWL_FIELD_ROW, HWL_FIELD_INPUT_CODE, geometry.rows, true, INT16_MIN, INT16_MAX};
    case HWL_HOLD_FEEDBACK:
        return (struct level){HWL_FIELD_COLUMN, HWL_FIELD_FEEDBACK_CODE, geometry.columns, false, 0,
                              HWL_LIMIT_FEEDBACK_CODE};
    default:
        return (struct level){HWL_FIELD_COLUMN, HWL_FIELD_BIAS_CODE, geometry.columns, true,
                              -(int32_t)HWL_LIMIT_BIAS_CODE, HWL_LIMIT_BIAS_CODE};
    }
}

static bool hold_check(const uint8_t *payload, size_t bytes, struct refusal *why)
{
    if (!reaches(why, bytes, HWL_HOLD_REQUEST_BYTES))
        return false;
    const uint8_t *pairs = payload + HWL_HOLD_REQUEST_BYTES;
    uint32_t count = ((uint32_t)bytes - HWL_HOLD_REQUEST_BYTES) / PAIR_BYTES;
    uint8_t what = payload[HWL_HOLD_REQUEST_WHAT];
    if (!has_length(why, (uint32_t)bytes, HWL_HOLD_REQUEST_BYTES + PAIR_BYTES * count) ||
        !in_range(why, HWL_FIELD_LEVEL, what, 0, HWL_HOLD_BIAS, 0) ||
        !in_range(why, HWL_FIELD_BIAS_CODE, payload[HWL_HOLD_REQUEST_BIAS_DIVIDER], 0,
                  what == HWL_HOLD_BIAS ? HWL_BIAS_DIVIDER_BY_256 : 0, 0) ||
        !in_range(why, HWL_FIELD_TARGET, panel_routed(), HWL_ROUTE_INPUT_TO_SMU, HWL_ROUTE_LOOPBACK, 0))
        return false;
    struct level level = level_of(what);
    for (uint32_t i = 0; i < count; i++)
        if (!in_range(why, level.channel_field, get_u16(pairs + PAIR_BYTES * i), 0, level.channels - 1, i))
            return false;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *code = pairs + PAIR_BYTES * i + 2;
        if (!in_range(why, level.code_field, level.is_signed ? get_i16(code) : get_u16(code), level.low, level.high, i))
            return false;
    }
    return true;
}

bool hold_command(const uint8_t *payload, size_t bytes, struct answer *answer, struct refusal *why)
{
    uint64_t start_ticks = bench_ticks;
    if (!hold_check(payload, bytes, why))
        return false;
    uint8_t what = payload[HWL_HOLD_REQUEST_WHAT];
    hal_at(start_ticks);
    if (what == HWL_HOLD_BIAS)
        panel_hold_divider(payload[HWL_HOLD_REQUEST_BIAS_DIVIDER]);
    for (const uint8_t *pair = payload + HWL_HOLD_REQUEST_BYTES; pair < payload + bytes; pair += PAIR_BYTES)
        if (panel_hold(what, get_u16(pair), get_u16(pair + 2)))
            bench_ticks += HWL_TICKS_HOLD_CHANGED_WORD;
    bench_ticks += HWL_TICKS_HOLD_SETTLE;
    engine_answer(answer, start_ticks, HWL_HOLD_REPLY_BYTES);
    return engine_end(why);
}

/* ---- SAMPLE ---- */

struct work {
    uint32_t columns;                   /* that are scanned */
    int32_t zero;                       /* the code of nothing */
    uint32_t scans;                     /* whose codes have come back */
    int32_t sums[HWL_MAX_COLUMNS];
};

static bool digest(void *context, const uint8_t *at, const uint8_t *end)
{
    struct work *work = context;
    uint32_t scan_bytes = 2 * work->columns;
    for (; at < end; at += scan_bytes, work->scans++) {
        if ((uint32_t)(end - at) < scan_bytes)
            return false;
        for (uint32_t column = 0; column < work->columns; column++)
            work->sums[column] += ((int32_t)at[2 * column] << 8 | at[2 * column + 1]) - work->zero;
    }
    return true;
}

static bool sample_all(uint8_t source, bool coarse, uint32_t averages, struct work *work, struct refusal *why)
{
    static const uint8_t sources[] = {
        [HWL_SAMPLE_SOURCE_OUTPUTS] = PANEL_OUTPUTS,
        [HWL_SAMPLE_SOURCE_CURRENTS] = PANEL_READ,
        [HWL_SAMPLE_SOURCE_SUPPLY] = PANEL_SUPPLY,
    };
    struct sampling sampling = {.digest = digest, .work = work};
    if (!engine_may_go_on(why))
        return false;
    hal_at(bench_ticks);
    panel_mode_of_ports(1u << HWL_MODE_SAMPLE | (coarse ? 1u << HWL_MODE_TIA_COARSE : 0) |
                        (source == HWL_SAMPLE_SOURCE_OUTPUTS ? 1u << HWL_MODE_ADC_FROM_OUTPUTS : 0));
    panel_scan_setup((enum panel_source)sources[source], (uint16_t)((1u << work->columns) - 1));
    hal_pin(HWL_PIN_DRIVE, true);
    if (!sampling_scans(&sampling, bench_ticks + HWL_TICKS_READ_SETTLE, averages, work->columns, why))
        return false;
    bench_ticks += HWL_TICKS_READ_SETTLE + averages * HWL_TICKS_SAMPLE;
    hal_at(bench_ticks);
    hal_pin(HWL_PIN_DRIVE, false);
    if (!sampling_finish(&sampling, why))
        return false;
    return work->scans == averages || engine_fault(why);    /* fewer codes than were asked for */
}

bool sample_command(const uint8_t *payload, size_t bytes, struct answer *answer, struct refusal *why)
{
    uint64_t start_ticks = bench_ticks;
    if (!has_length(why, (uint32_t)bytes, HWL_SAMPLE_REQUEST_BYTES))
        return false;
    uint8_t source = payload[HWL_SAMPLE_REQUEST_SOURCE], tia_range = payload[HWL_SAMPLE_REQUEST_TIA_RANGE];
    uint16_t averages = get_u16(payload + HWL_SAMPLE_REQUEST_AVERAGES);
    if (!in_range(why, HWL_FIELD_SAMPLE_SOURCE, source, 0, HWL_SAMPLE_SOURCE_SUPPLY, 0) ||
        !in_range(why, HWL_FIELD_TIA_RANGE, tia_range, 0, HWL_TIA_RANGE_COARSE, 0) ||
        !in_range(why, HWL_FIELD_SAMPLES, averages, 1, HWL_LIMIT_SAMPLES, 0))
        return false;
    struct work work = {.columns = source == HWL_SAMPLE_SOURCE_SUPPLY ? 1 : geometry.columns,
                        .zero = source == HWL_SAMPLE_SOURCE_OUTPUTS ? OFFSET_BINARY : 0};
    if (!sample_all(source, tia_range == HWL_TIA_RANGE_COARSE, averages, &work, why))
        return false;
    engine_answer(answer, start_ticks, HWL_SAMPLE_REPLY_BYTES + SUM_BYTES * (uint32_t)geometry.columns);
    for (uint32_t column = 0; column < geometry.columns; column++)
        put_u32(answer->bytes + HWL_SAMPLE_REPLY_BYTES + SUM_BYTES * column, (uint32_t)work.sums[column]);
    return engine_end(why);
}
