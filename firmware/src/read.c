/* READ: conductance codes at the read voltage. */
#include <string.h>

#include "bytes.h"
#include "engine.h"
#include "panel.h"
#include "sampler.h"
#include "sections.h"
#include "wiring.h"

#include "../hal/hal.h"

struct request {
    uint8_t tia_range;
    uint16_t averages, parts;
    uint16_t spread_code;
};

/* Where the codes that come back go: the same cells are walked a second time, behind the queue. */
struct work {
    const struct request *request;
    struct cell_list cells;         /* those whose codes have not come back */
    bool under_way;                 /* `reading` has begun */
    struct reading reading;
    uint8_t *codes;                 /* in the answer: of all cells of the command */
    uint8_t *steady;
    uint32_t cell;                  /* the one that comes next, over all sections */
};

/* The section at *offset of a payload whose lengths were checked; *offset goes behind it. False: there is none. */
static bool next_section(const uint8_t *payload, size_t bytes, uint32_t *offset, uint8_t *array,
                         struct cell_list *cells)
{
    if (*offset >= bytes)
        return false;
    const uint8_t *at = payload + *offset;
    *array = at[HWL_READ_SECTION_ARRAY];
    cells->layout = at[HWL_READ_SECTION_LAYOUT];
    cells->target = HWL_TARGET_COMMON;
    cells->at = at + HWL_READ_SECTION_BYTES;
    cells->end = cells->at + 2u * get_u16(at + HWL_READ_SECTION_WORD_COUNT);
    *offset = (uint32_t)(cells->end - payload);
    return true;
}

static uint32_t reply_bytes(uint32_t cells)
{
    return HWL_READ_REPLY_BYTES + 2 * cells + packed_bits_bytes(cells);
}

static bool check(const uint8_t *payload, size_t bytes, struct request *request, uint32_t *count, struct refusal *why)
{
    uint32_t offset = HWL_READ_REQUEST_BYTES, cells;
    uint8_t array;
    struct cell_list list;
    if (!reaches(why, bytes, HWL_READ_REQUEST_BYTES))
        return false;
    request->tia_range = payload[HWL_READ_REQUEST_TIA_RANGE];
    request->parts = payload[HWL_READ_REQUEST_SUB_AVERAGES];
    request->averages = get_u16(payload + HWL_READ_REQUEST_AVERAGES);
    request->spread_code = get_u16(payload + HWL_READ_REQUEST_SPREAD_CODE);
    if (!in_range(why, HWL_FIELD_TIA_RANGE, request->tia_range, 0, HWL_TIA_RANGE_COARSE, 0) ||
        !in_range(why, HWL_FIELD_SAMPLES, (int64_t)request->averages * request->parts, 1, HWL_LIMIT_SAMPLES, 0) ||
        !sections_fit(payload, bytes, offset, HWL_READ_SECTION_BYTES, why))
        return false;
    *count = 0;
    for (uint32_t number = 0; next_section(payload, bytes, &offset, &array, &list); number++) {
        if (!in_range(why, HWL_FIELD_ARRAY, array, 0, 1, number) ||
            !in_range(why, HWL_FIELD_LAYOUT, list.layout, 0, HWL_LAYOUT_ROWS, number) ||
            !cell_list_check(list, *count, &cells, why))
            return false;
        *count += cells;
    }
    return engine_reply_fits(reply_bytes(*count), why);
}

static bool begin_next_row(struct work *work)
{
    struct cell_group group;
    if (!cell_list_next(&work->cells, &group))
        return false;
    uint32_t columns = (uint32_t)__builtin_popcount(group.column_mask);
    reading_begin(&work->reading, columns, work->request->averages, work->request->parts);
    work->under_way = true;
    return true;
}

static void put_row(struct work *work)
{
    const struct reading *reading = &work->reading;
    for (uint32_t column = 0; column < reading->columns; column++, work->cell++) {
        put_u16(work->codes + 2 * work->cell, reading_code(reading, column));
        if (reading_is_steady(reading, column, work->request->spread_code))
            work->steady[work->cell / 8] |= (uint8_t)(1u << work->cell % 8);
    }
    work->under_way = false;
}

static bool digest(void *context, const uint8_t *at, const uint8_t *end)
{
    struct work *work = context;
    while (at < end) {
        if (!work->under_way && !begin_next_row(work))
            return false;
        uint32_t scan_bytes = 2 * work->reading.columns;
        if ((uint32_t)(end - at) < scan_bytes)
            return false;
        if (reading_take(&work->reading, at))
            put_row(work);
        at += scan_bytes;
    }
    return true;
}

static bool read_row(const struct cell_group *group, struct sampling *sampling, uint32_t samples, struct refusal *why)
{
    uint32_t columns = (uint32_t)__builtin_popcount(group->column_mask);
    if (!engine_may_go_on(why) || !sampling_prepare(sampling, samples, columns, why))
        return false;
    hal_at(bench_ticks);
    panel_select_row(group->row);
    panel_scan_setup(PANEL_READ, group->column_mask);
    hal_pin(HWL_PIN_DRIVE, true);
    if (!sampling_scans(sampling, bench_ticks + HWL_TICKS_READ_SETTLE, samples, columns, why))
        return false;
    bench_ticks += HWL_TICKS_READ_SETTLE + samples * HWL_TICKS_SAMPLE;
    hal_at(bench_ticks);
    hal_pin(HWL_PIN_DRIVE, false);
    return true;
}

static bool read_section(uint8_t array, struct cell_list cells, struct work *work, struct refusal *why)
{
    struct cell_group group;
    struct sampling sampling = {.digest = digest, .work = work};
    uint32_t samples = (uint32_t)work->request->averages * work->request->parts;
    uint32_t mode = 1u << HWL_MODE_READ | 1u << (array == 0 ? HWL_MODE_CONNECT_A : HWL_MODE_CONNECT_B);
    if (work->request->tia_range == HWL_TIA_RANGE_COARSE)
        mode |= 1u << HWL_MODE_TIA_COARSE;
    work->cells = cells;
    panel_mode(mode);
    while (cell_list_next(&cells, &group))
        if (!read_row(&group, &sampling, samples, why))
            return false;
    if (!sampling_finish(&sampling, why))
        return false;
    if (work->under_way || work->cells.at != work->cells.end)
        return engine_fault(why); /* fewer codes than were asked for */
    return true;
}

bool read_command(const uint8_t *payload, size_t bytes, struct answer *answer, struct refusal *why)
{
    struct request request;
    struct work work = {.request = &request};
    struct cell_list cells;
    uint64_t start_ticks = bench_ticks;
    uint32_t count, offset = HWL_READ_REQUEST_BYTES;
    uint8_t array;
    if (!check(payload, bytes, &request, &count, why))
        return false;
    work.codes = answer->bytes + HWL_READ_REPLY_BYTES;
    work.steady = work.codes + 2 * count;
    memset(work.steady, 0, packed_bits_bytes(count));
    panel_deselect();
    while (next_section(payload, bytes, &offset, &array, &cells))
        if (!read_section(array, cells, &work, why))
            return false;
    panel_deselect();
    engine_answer(answer, start_ticks, reply_bytes(count));
    return engine_end(why);
}
