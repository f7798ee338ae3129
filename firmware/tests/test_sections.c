/* Structure of payloads: what is listed, in which groups, and what is refused where. */
#include "fake_chips.h"

#include "../src/sections.h"

enum { FIRST_CELL = 100 };

static struct payload listed;
static uint32_t cells;

static struct cell_list list_of(uint8_t layout, uint8_t target)
{
    return (struct cell_list){listed.bytes, listed.bytes + listed.count, layout, target};
}

static bool accepted(uint8_t layout, uint8_t target)
{
    struct cell_list list = list_of(layout, target);
    memset(&refusal, 0, sizeof refusal);
    bool fits = cell_list_check(list, FIRST_CELL, &cells, &refusal);
    listed.count = 0;
    return fits;
}

#define REFUSED_LIST(layout, target, ...)       \
    do {                                        \
        ADD_WORDS(&listed, __VA_ARGS__);        \
        CHECK(!accepted(layout, target));       \
    } while (0)
#define CHECK_GROUP(row_, mask_)                        \
    do {                                                \
        CHECK(cell_list_next(&list, &group));           \
        CHECK_EQUAL(group.row, row_);                   \
        CHECK_EQUAL(group.column_mask, mask_);          \
    } while (0)

/* ---- lengths ---- */

static void sections_have_to_be_whole(void)
{
    uint8_t bytes[16] = {0};
    bytes[2] = 2; /* header of four bytes, two words */
    CHECK(sections_fit(bytes, 8, 0, 4, &refusal));
    CHECK(sections_fit(bytes, 0, 0, 4, &refusal));
    CHECK(sections_fit(bytes, 16, 0, 4, &refusal)); /* two sections without words behind */
    CHECK(!sections_fit(bytes, 7, 0, 4, &refusal));
    CHECK_BAD_LENGTH(7, 8);
    CHECK(!sections_fit(bytes, 3, 0, 4, &refusal));
    CHECK_BAD_LENGTH(3, 4);
    CHECK(!sections_fit(bytes, 9, 0, 4, &refusal));
    CHECK_BAD_LENGTH(9, 12);
}

static void bits_are_packed_into_words(void)
{
    CHECK_EQUAL(packed_bits_bytes(0), 0);
    CHECK_EQUAL(packed_bits_bytes(1), 2);
    CHECK_EQUAL(packed_bits_bytes(16), 2);
    CHECK_EQUAL(packed_bits_bytes(17), 4);
}

/* ---- lists of cells: 16 rows, 4 columns ---- */

static void cells_of_one_row_share_a_group(void)
{
    struct cell_group group;
    ADD_WORDS(&listed, 0, 1, 3, 4, 9, 8, 63);
    struct cell_list list = list_of(HWL_LAYOUT_CELLS, HWL_TARGET_COMMON);
    CHECK_GROUP(0, 0xB);
    CHECK_GROUP(1, 0x1);
    CHECK_GROUP(2, 0x2);
    CHECK_GROUP(2, 0x1); /* columns that fall begin anew */
    CHECK_GROUP(15, 0x8);
    CHECK(!cell_list_next(&list, &group));
    CHECK(accepted(HWL_LAYOUT_CELLS, HWL_TARGET_COMMON));
    CHECK_EQUAL(cells, 7);
}

static void a_cell_twice_is_two_groups(void)
{
    struct cell_group group;
    ADD_WORDS(&listed, 5, 5);
    struct cell_list list = list_of(HWL_LAYOUT_CELLS, HWL_TARGET_COMMON);
    CHECK_GROUP(1, 0x2);
    CHECK_GROUP(1, 0x2);
    CHECK(!cell_list_next(&list, &group));
    listed.count = 0;
}

static void another_gate_begins_a_group(void)
{
    struct cell_group group;
    ADD_WORDS(&listed, 4, 700, 5, 700, 6, 800, 7, 800);
    struct cell_list list = list_of(HWL_LAYOUT_CELLS, HWL_TARGET_GATE);
    CHECK_GROUP(1, 0x3);
    CHECK_EQUAL(group.gate_code, 700);
    CHECK_GROUP(1, 0xC);
    CHECK_EQUAL(group.gate_code, 800);
    CHECK(accepted(HWL_LAYOUT_CELLS, HWL_TARGET_GATE));
    CHECK_EQUAL(cells, 4);
}

static void amplitudes_stand_at_their_columns(void)
{
    struct cell_group group = {0};
    ADD_WORDS(&listed, 4, 700, 7, 800);
    struct cell_list list = list_of(HWL_LAYOUT_CELLS, HWL_TARGET_AMPLITUDE);
    CHECK_GROUP(1, 0x9);
    CHECK_EQUAL(group.amplitude_codes[0], 700);
    CHECK_EQUAL(group.amplitude_codes[1], 0);
    CHECK_EQUAL(group.amplitude_codes[3], 800);
    CHECK(accepted(HWL_LAYOUT_CELLS, HWL_TARGET_AMPLITUDE));
    CHECK_EQUAL(cells, 2);
}

static void rows_have_masks(void)
{
    struct cell_group group = {0};
    ADD_WORDS(&listed, 3, 0x5, 2, 0xF);
    struct cell_list list = list_of(HWL_LAYOUT_ROWS, HWL_TARGET_COMMON);
    CHECK_GROUP(3, 0x5);
    CHECK_GROUP(2, 0xF);
    CHECK(!cell_list_next(&list, &group));
    CHECK(accepted(HWL_LAYOUT_ROWS, HWL_TARGET_COMMON));
    CHECK_EQUAL(cells, 6);
    ADD_WORDS(&listed, 3, 0x5, 900, 2, 0xF, 901);
    list = list_of(HWL_LAYOUT_ROWS, HWL_TARGET_GATE);
    CHECK_GROUP(3, 0x5);
    CHECK_EQUAL(group.gate_code, 900);
    CHECK_GROUP(2, 0xF);
    CHECK_EQUAL(group.gate_code, 901);
    CHECK(accepted(HWL_LAYOUT_ROWS, HWL_TARGET_GATE));
    ADD_WORDS(&listed, 3, 0xA, 11, 13, 2, 0x1, 20);
    list = list_of(HWL_LAYOUT_ROWS, HWL_TARGET_AMPLITUDE);
    CHECK_GROUP(3, 0xA);
    CHECK_EQUAL(group.amplitude_codes[1], 11);
    CHECK_EQUAL(group.amplitude_codes[3], 13);
    CHECK_GROUP(2, 0x1);
    CHECK_EQUAL(group.amplitude_codes[0], 20);
    CHECK(accepted(HWL_LAYOUT_ROWS, HWL_TARGET_AMPLITUDE));
    CHECK_EQUAL(cells, 3);
}

static void refuses_cells_beyond_the_array(void)
{
    REFUSED_LIST(HWL_LAYOUT_CELLS, HWL_TARGET_COMMON, 1, 63, 64, 65);
    CHECK_OUT_OF_RANGE(CELL, FIRST_CELL + 2, 64, 0, 63);
    REFUSED_LIST(HWL_LAYOUT_CELLS, HWL_TARGET_GATE, 1, 0, 70, 0);
    CHECK_OUT_OF_RANGE(CELL, FIRST_CELL + 1, 70, 0, 63);
    REFUSED_LIST(HWL_LAYOUT_CELLS, HWL_TARGET_AMPLITUDE, 99, 0, 5);
    CHECK_REFUSED(HWL_STATUS_BAD_LENGTH, HWL_FIELD_ENTRIES, 0, 3, 0, 0);
}

static void refuses_rows_and_masks_in_the_order_listed(void)
{
    REFUSED_LIST(HWL_LAYOUT_ROWS, HWL_TARGET_COMMON, 3, 0x3, 16, 0x1, 5, 0);
    CHECK_OUT_OF_RANGE(ROW, FIRST_CELL + 2, 16, 0, 15);
    REFUSED_LIST(HWL_LAYOUT_ROWS, HWL_TARGET_COMMON, 3, 0x3, 5, 0, 16, 0x1);
    CHECK_OUT_OF_RANGE(COLUMN, FIRST_CELL + 2, 0, 1, 15);
    REFUSED_LIST(HWL_LAYOUT_ROWS, HWL_TARGET_COMMON, 99, 0x10);
    CHECK_OUT_OF_RANGE(COLUMN, FIRST_CELL, 0x10, 1, 15);
    REFUSED_LIST(HWL_LAYOUT_ROWS, HWL_TARGET_COMMON, 99, 0x1, 1);
    CHECK_OUT_OF_RANGE(ROW, FIRST_CELL, 99, 0, 15);
    REFUSED_LIST(HWL_LAYOUT_ROWS, HWL_TARGET_COMMON, 3, 0x3, 1);
    CHECK_REFUSED(HWL_STATUS_BAD_LENGTH, HWL_FIELD_ENTRIES, 0, 3, 0, 0);
}

static void refuses_lists_that_are_cut_short(void)
{
    REFUSED_LIST(HWL_LAYOUT_ROWS, HWL_TARGET_GATE, 3, 0x3, 9, 1, 0);
    CHECK_REFUSED(HWL_STATUS_BAD_LENGTH, HWL_FIELD_ENTRIES, 0, 5, 0, 0);
    REFUSED_LIST(HWL_LAYOUT_ROWS, HWL_TARGET_AMPLITUDE, 3, 0x7, 9, 9);
    CHECK_REFUSED(HWL_STATUS_BAD_LENGTH, HWL_FIELD_ENTRIES, 0, 4, 0, 0);
    REFUSED_LIST(HWL_LAYOUT_ROWS, HWL_TARGET_AMPLITUDE, 99, 0x7, 9, 9);
    CHECK_OUT_OF_RANGE(ROW, FIRST_CELL, 99, 0, 15); /* its first cell is listed */
    REFUSED_LIST(HWL_LAYOUT_ROWS, HWL_TARGET_AMPLITUDE, 99, 0x7);
    CHECK_REFUSED(HWL_STATUS_BAD_LENGTH, HWL_FIELD_ENTRIES, 0, 2, 0, 0); /* not one of its cells is */
    REFUSED_LIST(HWL_LAYOUT_ROWS, HWL_TARGET_AMPLITUDE, 99, 0x70);
    CHECK_OUT_OF_RANGE(COLUMN, FIRST_CELL, 0x70, 1, 15);
}

/* ---- batches ---- */

static struct batch batch;
static uint32_t offset;

/* A batch of these words with 2 columns, 3 rows and 1 solve, unless `header` was changed before. */
static uint8_t header[HWL_SOLVE_SECTION_BYTES];

static void fresh_header(uint8_t rows_layout, uint8_t row_count)
{
    memset(header, 0, sizeof header);
    header[HWL_SOLVE_SECTION_ROWS] = rows_layout;
    header[HWL_SOLVE_SECTION_COLUMN_MASK] = 0x5;
    header[HWL_SOLVE_SECTION_ROW_COUNT] = row_count;
    header[HWL_SOLVE_SECTION_SOLVE_COUNT] = 1;
}

static bool batch_accepted(bool feedback, bool bias)
{
    offset = 0;
    memset(&refusal, 0, sizeof refusal);
    batch_header(header, &batch);
    return batch_check(listed.bytes, listed.count, &offset, feedback, bias, 6, &batch, &refusal);
}

static void batches_have_parts(void)
{
    uint16_t rows[1];
    fresh_header(HWL_ROWS_INDICES, 3);
    listed.count = 0;
    ADD_WORDS(&listed, 0, 7, 15, 1, 2, 3, 4, 10, 20, 30, 99);
    CHECK(batch_accepted(true, true));
    CHECK_EQUAL(batch.columns, 2);
    CHECK_EQUAL(batch.feedback - listed.bytes, 6);
    CHECK_EQUAL(batch.bias - listed.bytes, 10);
    CHECK_EQUAL(batch.inputs - listed.bytes, 14);
    CHECK_EQUAL(offset, 20);
    batch_row_mask(&batch, rows);
    CHECK_EQUAL(rows[0], 0x8081);
    CHECK(batch_accepted(false, false));
    CHECK(batch.feedback == NULL && batch.bias == NULL);
    CHECK_EQUAL(batch.inputs - listed.bytes, 6);
    CHECK_EQUAL(offset, 12);
}

static void masks_begin_at_any_row(void)
{
    uint16_t rows[8];
    CHECK(geometry_choose("hwloop-128x16"));
    fresh_header(HWL_ROWS_MASK, 3);
    listed.count = 0;
    ADD_WORDS(&listed, 15, 2, 0x8001, 0x0002, 1, 2, 3);
    CHECK(batch_accepted(false, false));
    batch_row_mask(&batch, rows);
    CHECK_EQUAL(rows[0], 0x8000);
    CHECK_EQUAL(rows[1], 0x4000);
    CHECK_EQUAL(rows[2], 0x0001);
    CHECK_EQUAL(rows[3], 0);
    CHECK_EQUAL(batch.inputs - listed.bytes, 8);
}

static void refuses_what_the_header_says(void)
{
    fresh_header(2, 3);
    CHECK(!batch_accepted(false, false));
    CHECK_OUT_OF_RANGE(LAYOUT, 6, 2, 0, 1);
    fresh_header(HWL_ROWS_MASK, 0);
    CHECK(!batch_accepted(false, false));
    CHECK_OUT_OF_RANGE(ENTRIES, 6, 0, 1, 16);
    fresh_header(HWL_ROWS_MASK, 17);
    CHECK(!batch_accepted(false, false));
    CHECK_OUT_OF_RANGE(ENTRIES, 6, 17, 1, 16);
    fresh_header(HWL_ROWS_MASK, 1);
    header[HWL_SOLVE_SECTION_SOLVE_COUNT] = 0;
    CHECK(!batch_accepted(false, false));
    CHECK_OUT_OF_RANGE(ENTRIES, 6, 0, 1, 65535);
    fresh_header(HWL_ROWS_MASK, 1);
    header[HWL_SOLVE_SECTION_COLUMN_MASK] = 0x10;
    CHECK(!batch_accepted(false, false));
    CHECK_OUT_OF_RANGE(COLUMN, 6, 16, 1, 15);
}

static void refuses_rows_that_do_not_rise(void)
{
    fresh_header(HWL_ROWS_INDICES, 3);
    listed.count = 0;
    ADD_WORDS(&listed, 3, 3, 2);
    CHECK(!batch_accepted(false, false));
    CHECK_OUT_OF_RANGE(ROW, 6, 3, 4, 15);
    listed.count = 0;
    ADD_WORDS(&listed, 3, 16, 2); /* that it falls is looked at first */
    CHECK(!batch_accepted(false, false));
    CHECK_OUT_OF_RANGE(ROW, 6, 2, 17, 15);
    listed.count = 0;
    ADD_WORDS(&listed, 3, 16, 17);
    CHECK(!batch_accepted(false, false));
    CHECK_OUT_OF_RANGE(ROW, 6, 16, 0, 15);
}

static void refuses_masks_that_do_not_fit(void)
{
    fresh_header(HWL_ROWS_MASK, 2);
    listed.count = 0;
    ADD_WORDS(&listed, 0, 1, 0x7);
    CHECK(!batch_accepted(false, false));
    CHECK_OUT_OF_RANGE(ENTRIES, 6, 3, 2, 2);
    listed.count = 0;
    ADD_WORDS(&listed, 14, 1, 0x18);
    CHECK(!batch_accepted(false, false));
    CHECK_OUT_OF_RANGE(ROW, 6, 17, 0, 15);
}

static void refuses_parts_that_are_missing(void)
{
    static const struct {
        uint8_t layout;
        size_t bytes;
        uint32_t wanted;
    } cuts[] = {{HWL_ROWS_INDICES, 5, 6}, {HWL_ROWS_INDICES, 9, 10}, {HWL_ROWS_INDICES, 13, 14},
                {HWL_ROWS_INDICES, 19, 20}, {HWL_ROWS_MASK, 3, 4},   {HWL_ROWS_MASK, 5, 6}};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        fresh_header(cuts[i].layout, 3);
        listed.count = 0;
        ADD_WORDS(&listed, 0, 1, 7, 1, 2, 3, 4, 10, 20, 30);
        listed.count = cuts[i].bytes;
        CHECK(!batch_accepted(true, true));
        CHECK_BAD_LENGTH(cuts[i].bytes, cuts[i].wanted);
    }
    listed.count = 0;
}

static void (*const tests[])(void) = {
    sections_have_to_be_whole, bits_are_packed_into_words, cells_of_one_row_share_a_group, a_cell_twice_is_two_groups,
    another_gate_begins_a_group, amplitudes_stand_at_their_columns, rows_have_masks, refuses_cells_beyond_the_array,
    refuses_rows_and_masks_in_the_order_listed, refuses_lists_that_are_cut_short, batches_have_parts,
    masks_begin_at_any_row, refuses_what_the_header_says, refuses_rows_that_do_not_rise, refuses_masks_that_do_not_fit,
    refuses_parts_that_are_missing};

int main(void)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        fake_board("hwloop-16x4");
        tests[i]();
    }
    return check_result();
}
