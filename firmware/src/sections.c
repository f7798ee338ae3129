/* Payload words into cells, rows and codes, refused exactly where the Python board refuses. */
#include "sections.h"

#include <string.h>

#include "bytes.h"
#include "protocol.h"

_Static_assert(HWL_SOLVE_SECTION_BYTES == HWL_MVM_SECTION_BYTES && HWL_SOLVE_SECTION_ROWS == HWL_MVM_SECTION_ROWS &&
               HWL_SOLVE_SECTION_AVERAGES == HWL_MVM_SECTION_AVERAGES &&
               HWL_SOLVE_SECTION_COLUMN_MASK == HWL_MVM_SECTION_COLUMN_MASK &&
               HWL_SOLVE_SECTION_SETTLE_TICKS == HWL_MVM_SECTION_SETTLE_TICKS &&
               HWL_SOLVE_SECTION_ROW_COUNT == HWL_MVM_SECTION_ROW_COUNT &&
               HWL_SOLVE_SECTION_SOLVE_COUNT == HWL_MVM_SECTION_SOLVE_COUNT, "the two share what batch_header() reads");

bool reaches(struct refusal *why, size_t bytes, uint32_t end)
{
    return end <= bytes || has_length(why, (uint32_t)bytes, end);
}

bool sections_fit(const uint8_t *payload, size_t bytes, uint32_t offset, uint32_t header_bytes, struct refusal *why)
{
    while (offset < bytes) {
        offset += header_bytes;
        if (!reaches(why, bytes, offset))
            return false;
        offset += 2u * get_u16(payload + offset - 2);
        if (!reaches(why, bytes, offset))
            return false;
    }
    return true;
}

/* ---- lists of cells ---- */

static uint16_t take_word(struct cell_list *list)
{
    uint16_t word = get_u16(list->at);
    list->at += 2;
    return word;
}

static uint32_t words_left(const struct cell_list *list)
{
    return (uint32_t)(list->end - list->at) / 2;
}

static bool cut_short(uint32_t words, struct refusal *why)
{
    return refuse(why, HWL_STATUS_BAD_LENGTH, HWL_FIELD_ENTRIES, 0, words, 0, 0);
}

static uint32_t words_a_cell(const struct cell_list *list)
{
    return list->target == HWL_TARGET_COMMON ? 1 : 2;
}

static bool listed_cells_check(struct cell_list list, uint32_t first_cell, uint32_t *cells, struct refusal *why)
{
    uint32_t words = words_left(&list), step = words_a_cell(&list);
    uint32_t last = (uint32_t)geometry.rows * geometry.columns - 1;
    if (words % step != 0)
        return cut_short(words, why);
    *cells = words / step;
    for (uint32_t cell = 0; cell < *cells; cell++, list.at += 2 * step)
        if (!in_range(why, HWL_FIELD_CELL, get_u16(list.at), 0, last, first_cell + cell))
            return false;
    return true;
}

static bool rows_check(struct cell_list list, uint32_t first_cell, uint32_t *cells, struct refusal *why)
{
    uint32_t words = words_left(&list), head = list.target == HWL_TARGET_GATE ? 3 : 2;
    *cells = 0;
    while (words_left(&list) > 0) {
        if (words_left(&list) < head)
            return cut_short(words, why);
        uint32_t row = get_u16(list.at), mask = get_u16(list.at + 2), columns = (uint32_t)__builtin_popcount(mask);
        if (!in_range(why, HWL_FIELD_COLUMN, mask, 1, (1 << geometry.columns) - 1, first_cell + *cells))
            return false;
        list.at += 2 * head;
        /* A row counts as listed with the first of its cells, so one that is cut off before is not looked at. */
        if (list.target == HWL_TARGET_AMPLITUDE && words_left(&list) == 0)
            return cut_short(words, why);
        if (!in_range(why, HWL_FIELD_ROW, row, 0, geometry.rows - 1, first_cell + *cells))
            return false;
        if (list.target == HWL_TARGET_AMPLITUDE) {
            if (words_left(&list) < columns)
                return cut_short(words, why);
            list.at += 2 * columns;
        }
        *cells += columns;
    }
    return true;
}

bool cell_list_check(struct cell_list list, uint32_t first_cell, uint32_t *cells, struct refusal *why)
{
    return list.layout == HWL_LAYOUT_CELLS ? listed_cells_check(list, first_cell, cells, why)
                                           : rows_check(list, first_cell, cells, why);
}

static void next_listed_cells(struct cell_list *list, struct cell_group *group)
{
    uint32_t columns = geometry.columns, step = words_a_cell(list);
    uint32_t cell = get_u16(list->at), row = cell / columns, row_end = (row + 1) * columns;
    uint32_t gate_code = step == 2 ? get_u16(list->at + 2) : 0;
    group->row = (uint16_t)row;
    group->column_mask = 0;
    if (list->target == HWL_TARGET_GATE)
        group->gate_code = (uint16_t)gate_code;
    for (;;) {
        uint32_t column = cell + columns - row_end;
        group->column_mask |= (uint16_t)(1u << column);
        if (list->target == HWL_TARGET_AMPLITUDE)
            group->amplitude_codes[column] = get_u16(list->at + 2);
        list->at += 2 * step;
        if (list->at == list->end)
            return;
        /* A column listed twice in one row pulse would need two amplitudes at once: it starts the next one. */
        uint32_t next = get_u16(list->at);
        if (next <= cell || next >= row_end)
            return;
        if (list->target == HWL_TARGET_GATE && get_u16(list->at + 2) != gate_code)
            return;
        cell = next;
    }
}

bool cell_list_next(struct cell_list *list, struct cell_group *group)
{
    if (list->at == list->end)
        return false;
    if (list->layout == HWL_LAYOUT_CELLS) {
        next_listed_cells(list, group);
        return true;
    }
    group->row = take_word(list);
    group->column_mask = take_word(list);
    if (list->target == HWL_TARGET_GATE)
        group->gate_code = take_word(list);
    if (list->target == HWL_TARGET_AMPLITUDE)
        for (uint32_t left = group->column_mask; left != 0; left &= left - 1)
            group->amplitude_codes[__builtin_ctz(left)] = take_word(list);
    return true;
}

/* ---- batches ---- */

void batch_header(const uint8_t *header, struct batch *batch)
{
    memset(batch, 0, sizeof *batch);
    batch->header = header;
    batch->rows_layout = header[HWL_SOLVE_SECTION_ROWS];
    batch->averages = get_u16(header + HWL_SOLVE_SECTION_AVERAGES);
    batch->column_mask = get_u16(header + HWL_SOLVE_SECTION_COLUMN_MASK);
    batch->settle_ticks = get_u16(header + HWL_SOLVE_SECTION_SETTLE_TICKS);
    batch->row_count = get_u16(header + HWL_SOLVE_SECTION_ROW_COUNT);
    batch->solve_count = get_u16(header + HWL_SOLVE_SECTION_SOLVE_COUNT);
    batch->columns = (uint32_t)__builtin_popcount(batch->column_mask);
}

static bool row_indices_check(const struct batch *batch, uint32_t position, struct refusal *why)
{
    const uint8_t *at = batch->rows;
    for (uint32_t i = 1; i < batch->row_count; i++) {
        uint32_t before = get_u16(at + 2 * (i - 1)), row = get_u16(at + 2 * i);
        if (row <= before)
            return refuse(why, HWL_STATUS_OUT_OF_RANGE, HWL_FIELD_ROW, position, row, before + 1, geometry.rows - 1);
    }
    for (uint32_t i = 0; i < batch->row_count; i++)
        if (!in_range(why, HWL_FIELD_ROW, get_u16(at + 2 * i), 0, geometry.rows - 1, position))
            return false;
    return true;
}

static bool row_words_check(const struct batch *batch, uint32_t position, struct refusal *why)
{
    const uint8_t *words = batch->rows + 4;
    uint32_t first = get_u16(batch->rows), count = get_u16(batch->rows + 2), active = 0, beyond = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t word = get_u16(words + 2 * i);
        for (uint32_t left = word; left != 0 && beyond == 0; left &= left - 1) {
            uint32_t row = first + 16 * i + (uint32_t)__builtin_ctz(left);
            beyond = row >= geometry.rows ? row : 0;
        }
        active += (uint32_t)__builtin_popcount(word);
    }
    if (!in_range(why, HWL_FIELD_ENTRIES, active, batch->row_count, batch->row_count, position))
        return false;
    return in_range(why, HWL_FIELD_ROW, beyond, 0, geometry.rows - 1, position);
}

/* Take `words` words: *at points to them, *offset goes behind them. */
static bool take(const uint8_t *payload, size_t bytes, uint32_t *offset, uint32_t words, const uint8_t **at,
                 struct refusal *why)
{
    *at = payload + *offset;
    *offset += 2 * words;
    return reaches(why, bytes, *offset);
}

static bool rows_of_batch_check(const uint8_t *payload, size_t bytes, uint32_t *offset, uint32_t position,
                                struct batch *batch, struct refusal *why)
{
    const uint8_t *words;
    if (batch->rows_layout == HWL_ROWS_INDICES)
        return take(payload, bytes, offset, batch->row_count, &batch->rows, why) &&
               row_indices_check(batch, position, why);
    return take(payload, bytes, offset, 2, &batch->rows, why) &&
           take(payload, bytes, offset, get_u16(batch->rows + 2), &words, why) && row_words_check(batch, position, why);
}

bool batch_check(const uint8_t *payload, size_t bytes, uint32_t *offset, bool feedback, bool bias, uint32_t position,
                 struct batch *batch, struct refusal *why)
{
    if (!in_range(why, HWL_FIELD_LAYOUT, batch->rows_layout, 0, HWL_ROWS_MASK, position) ||
        !in_range(why, HWL_FIELD_ENTRIES, batch->row_count, 1, geometry.rows, position) ||
        !in_range(why, HWL_FIELD_ENTRIES, batch->solve_count, 1, UINT16_MAX, position) ||
        !in_range(why, HWL_FIELD_COLUMN, batch->column_mask, 1, (1 << geometry.columns) - 1, position) ||
        !rows_of_batch_check(payload, bytes, offset, position, batch, why))
        return false;
    if (feedback && !take(payload, bytes, offset, batch->columns, &batch->feedback, why))
        return false;
    if (bias && !take(payload, bytes, offset, batch->columns, &batch->bias, why))
        return false;
    return take(payload, bytes, offset, (uint32_t)batch->solve_count * batch->row_count, &batch->inputs, why);
}

void batch_row_mask(const struct batch *batch, uint16_t *row_mask)
{
    memset(row_mask, 0, geometry.rows / 8u);
    if (batch->rows_layout == HWL_ROWS_INDICES) {
        for (uint32_t i = 0; i < batch->row_count; i++) {
            uint32_t row = get_u16(batch->rows + 2 * i);
            row_mask[row / 16] |= (uint16_t)(1u << row % 16);
        }
        return;
    }
    uint32_t first = get_u16(batch->rows), count = get_u16(batch->rows + 2);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t left = get_u16(batch->rows + 4 + 2 * i); left != 0; left &= left - 1) {
            uint32_t row = first + 16 * i + (uint32_t)__builtin_ctz(left);
            row_mask[row / 16] |= (uint16_t)(1u << row % 16);
        }
}
