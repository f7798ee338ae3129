/* SOLVE and MVM: the time line of a solve, masks, codes and flags in the answer, and what is refused. */
#include "fake_chips.h"

#include "../src/bytes.h"

static struct payload payload;

struct section {
    uint8_t first, rows_layout, third, fourth; /* constraint … bias divider, or array … reserved */
    uint16_t averages, column_mask, settle, row_count, solve_count;
};

/* Three rows, columns 0 and 2, one solve; as indices. */
static const struct section plain = {0, HWL_ROWS_INDICES, 0, 0, 1, 0x5, 50, 3, 1};

static void add_section(struct section section, size_t count, const uint16_t *words)
{
    add_u8(&payload, section.first);
    add_u8(&payload, section.rows_layout);
    add_u8(&payload, section.third);
    add_u8(&payload, section.fourth);
    add_u16(&payload, section.averages);
    add_u16(&payload, section.column_mask);
    add_u16(&payload, section.settle);
    add_u16(&payload, section.row_count);
    add_u16(&payload, section.solve_count);
    add_words(&payload, count, words);
}
#define ADD_SECTION(section, ...) \
    add_section(section, sizeof(uint16_t[]){__VA_ARGS__} / 2, (const uint16_t[]){__VA_ARGS__})
#define ROWS 0, 1, 15
#define INPUTS 0x8000, 0x0000, 0x7FFF

static uint16_t by_column(uint32_t column, uint32_t scan)
{
    return (uint16_t)(32768 + 100 * (column + 1) + 1000 * scan);
}

/* The second scan of column 0 and every one of column 2 are at the lower end. */
static uint16_t at_the_end(uint32_t column, uint32_t scan)
{
    return (uint16_t)(column == 2 || scan == 1 ? 0 : 32768);
}

static void nothing_listed_is_nothing_done(void)
{
    CHECK(run(solve_command, &payload));
    CHECK_EQUAL(reply_bytes, 8);
    CHECK_EQUAL(get_u32(reply), 0);
    CHECK_EQUAL(get_u32(reply + 4), 0);
    CHECK_TRACE("at 0; read 6 00000000; read 6 00000000; read 3 0a0000; read 5 5800");
}

static void a_solve_loads_drives_settles_and_samples(void)
{
    bench_ticks = 1000;
    fake_convert = by_column;
    struct section section = plain;
    section.averages = 2;
    ADD_SECTION(section, ROWS, INPUTS);
    CHECK(run(solve_command, &payload));
    CHECK_EQUAL(reply_bytes, 8 + 4 + 2);
    CHECK_EQUAL(get_u32(reply), 230 + 30 + 50 + 320);
    CHECK_EQUAL(get_u32(reply + 4), 230);
    CHECK_EQUAL(get_i16(reply + 8), 600);
    CHECK_EQUAL(get_i16(reply + 10), 800);
    CHECK_EQUAL(get_u16(reply + 12), HWL_SOLVE_FLAG_UNSETTLED);
    CHECK_TRACE("at 1000; 180 8003; 8 05; 6 00001023; "
                "3 0b0200 0d0200 0f0200 110200 130200 150200 170200 190200; 3 030500; 3 a0000000; "
                "at 1230; 400 000000 018000 0fffff; pin 2 low; pin 2 high; at 1260; pin 1 high; "
                "at 1310; read 3 00000000 00000000; at 1470; read 3 00000000 00000000; at 1630; pin 1 low; "
                "at 1630; read 6 00000000; read 6 00000000; read 3 0a0000; read 5 5800");
    CHECK_EQUAL(bench_ticks, 1630);
}

static void masks_stay_until_they_change(void)
{
    ADD_SECTION(plain, ROWS, INPUTS);
    ADD_SECTION(plain, ROWS, INPUTS);
    CHECK(run(solve_command, &payload));
    CHECK_EQUAL(get_u32(reply), 230 + 2 * (30 + 50 + 160));
    CHECK_EQUAL(get_u32(reply + 4), 230);
    struct section masked = plain;
    masked.rows_layout = HWL_ROWS_MASK;
    ADD_SECTION(masked, 0, 1, 0x8003, INPUTS); /* MVM has the same masks */
    masked.column_mask = 0x4;
    ADD_SECTION(masked, 0, 1, 0x8003, INPUTS);
    CHECK(run(mvm_command, &payload));
    CHECK_EQUAL(get_u32(reply + 4), 200);
    fake_forget();
}

static void inputs_share_the_buses(void)
{
    static uint16_t words[2 + 8 + 128];
    struct section section = plain;
    fake_board("hwloop-128x16"); /* two buses */
    section.rows_layout = HWL_ROWS_MASK;
    section.row_count = 125;
    words[1] = 8;
    memset(words + 2, 0xFF, 16);
    words[9] = 0x1FFF;
    add_section(section, 2 + 8 + 125, words);
    CHECK(run(solve_command, &payload));
    CHECK_EQUAL(get_u32(reply), 200 + 1250 + 625 + 50 + 160);
    section.row_count = 1;
    section.rows_layout = HWL_ROWS_INDICES;
    ADD_SECTION(section, 3, 7);
    CHECK(run(solve_command, &payload));
    CHECK_EQUAL(get_u32(reply), 200 + 1240 + 5 + 50 + 160);
    fake_forget();
}

static void sections_set_feedback_bias_and_mode(void)
{
    struct section section = plain;
    section.first = HWL_CONSTRAINT_RECTIFIER;
    section.third = 1;
    section.fourth = 0x80 | HWL_BIAS_DIVIDER_BY_16;
    ADD_SECTION(section, ROWS, 4095, 1, 2047, (uint16_t)-2047, INPUTS);
    CHECK(run(solve_command, &payload));
    CHECK(strncmp(fake_trace(), "at 0; 180 8003; 8 05; 9 000001000fff; 2 30fff0 320010; 6 00001523; ", 62) == 0);
    fake_forget();
    section.first = HWL_CONSTRAINT_NONE;
    section.third = 0;
    section.fourth = HWL_BIAS_DIVIDER_BY_256;
    ADD_SECTION(section, ROWS, INPUTS);
    CHECK(run(solve_command, &payload));
    CHECK(strncmp(fake_trace(), "at 470; 9 000000000000; 2 308000 328000; 6 00001a23; ", 48) == 0);
    fake_forget();
}

static void answers_have_codes_then_flags_a_section(void)
{
    fake_convert = at_the_end;
    struct section section = plain;
    section.column_mask = 0x1;
    section.solve_count = 3;
    ADD_SECTION(section, ROWS, INPUTS, INPUTS, INPUTS);
    section.column_mask = 0x4;
    section.solve_count = 9;
    ADD_SECTION(section, ROWS, INPUTS, INPUTS, INPUTS, INPUTS, INPUTS, INPUTS, INPUTS, INPUTS, INPUTS);
    CHECK(run(solve_command, &payload));
    CHECK_EQUAL(reply_bytes, 8 + 3 * 2 + 2 + 9 * 2 + 4);
    CHECK_EQUAL(get_i16(reply + 8), 0);
    CHECK_EQUAL(get_i16(reply + 10), -32768);
    CHECK_EQUAL(get_u16(reply + 14), HWL_SOLVE_FLAG_SATURATED << 2);
    CHECK_EQUAL(get_i16(reply + 16), -32768);
    CHECK_EQUAL(get_u32(reply + 34), 0x15555);
    fake_forget();
}

static uint16_t nearly_at_the_end(uint32_t column, uint32_t scan)
{
    static const uint16_t samples[] = {1, 65534, 0, 65535};
    (void)column;
    return samples[scan % 4];
}

static void products_are_saturated_at_the_ends_only(void)
{
    fake_convert = nearly_at_the_end;
    struct section section = plain;
    section.column_mask = 0x1;
    section.solve_count = 2;
    section.averages = 2;
    ADD_SECTION(section, ROWS, INPUTS, INPUTS);
    CHECK(run(mvm_command, &payload));
    CHECK_EQUAL(get_i16(reply + 8), 0);
    CHECK_EQUAL(get_u16(reply + 12), HWL_SOLVE_FLAG_SATURATED << 2); /* and never unsettled */
    fake_forget();
}

static void products_go_through_the_transimpedance_amplifiers(void)
{
    ADD_SECTION(plain, ROWS, INPUTS);
    CHECK(run(mvm_command, &payload));
    CHECK_EQUAL(get_u32(reply), 230 + 30 + 50 + 160);
    CHECK_TRACE("at 0; 180 8003; 8 05; 6 00000041; "
                "3 0b0100 0d0100 0f0100 110100 130100 150100 170100 190100; 3 030500; 3 a0000000; "
                "at 230; 400 000000 018000 0fffff; pin 2 low; pin 2 high; at 260; pin 1 high; "
                "at 310; read 3 00000000 00000000; at 470; pin 1 low; "
                "at 470; read 6 00000000; read 6 00000000; read 3 0a0000; read 5 5800");
    struct section section = plain;
    section.first = 1;
    section.third = HWL_TIA_RANGE_COARSE;
    ADD_SECTION(section, ROWS, INPUTS);
    CHECK(run(mvm_command, &payload));
    CHECK(strncmp(fake_trace(), "at 470; 6 000000c2; ", 16) == 0);
    fake_forget();
}

static void results_may_come_back_at_any_time(void)
{
    static uint8_t whole[1024];
    size_t whole_bytes = 0;
    for (size_t room = 65536; room >= 32; room = room > 300 ? 300 : room - 11) {
        fake_board("hwloop-128x16");
        fake_convert = by_column;
        fake_result_room = room;
        struct section section = plain;
        section.column_mask = 0x8103;
        section.averages = 7;
        section.solve_count = 3;
        ADD_SECTION(section, ROWS, INPUTS, INPUTS, INPUTS);
        section.column_mask = 0x0080;
        ADD_SECTION(section, ROWS, INPUTS, INPUTS, INPUTS);
        CHECK(run(solve_command, &payload));
        if (whole_bytes == 0) {
            whole_bytes = reply_bytes;
            memcpy(whole, reply, reply_bytes);
        }
        CHECK_EQUAL(reply_bytes, whole_bytes);
        CHECK(memcmp(whole, reply, reply_bytes) == 0);
    }
}

/* ---- refusals ---- */

static bool accepted(command_function *command, struct section section)
{
    ADD_SECTION(plain, ROWS, INPUTS);
    ADD_SECTION(section, ROWS, INPUTS);
    return run(command, &payload);
}

static void refuses_fields_of_solve(void)
{
    struct section section = plain;
    section.first = 3;
    CHECK(!accepted(solve_command, section));
    CHECK_OUT_OF_RANGE(CONSTRAINT, 1, 3, 0, 2);
    section = plain;
    section.third = 2;
    CHECK(!accepted(solve_command, section));
    CHECK_OUT_OF_RANGE(FEEDBACK_CODE, 1, 2, 0, 1);
    section = plain;
    section.fourth = 0x83;
    CHECK(!accepted(solve_command, section));
    CHECK_OUT_OF_RANGE(BIAS_CODE, 1, 3, 0, 2);
    section = plain;
    section.averages = 0;
    CHECK(!accepted(solve_command, section));
    CHECK_OUT_OF_RANGE(SAMPLES, 1, 0, 1, 4096);
    section.averages = 4097;
    CHECK(!accepted(solve_command, section));
    CHECK_OUT_OF_RANGE(SAMPLES, 1, 4097, 1, 4096);
    section = plain;
    section.settle = 49;
    CHECK(!accepted(solve_command, section));
    CHECK_OUT_OF_RANGE(SETTLE_TICKS, 1, 49, 50, 65535);
    section = plain;
    section.row_count = 17;
    CHECK(!accepted(solve_command, section));
    CHECK_OUT_OF_RANGE(ENTRIES, 1, 17, 1, 16);
    section = plain;
    section.solve_count = 2;
    CHECK(!accepted(solve_command, section));
    CHECK_BAD_LENGTH(52, 58);
    ADD_SECTION(plain, ROWS, INPUTS);
    add_u8(&payload, 0);
    CHECK(!run(solve_command, &payload));
    CHECK_BAD_LENGTH(27, 40);
}

static void refuses_codes_of_solve(void)
{
    struct section section = plain;
    section.third = 1;
    section.fourth = 0x80;
    ADD_SECTION(section, ROWS, 0, 4096, 0, 5000, INPUTS);
    CHECK(!run(solve_command, &payload));
    CHECK_OUT_OF_RANGE(FEEDBACK_CODE, 0, 4096, 0, 4095);
    ADD_SECTION(section, ROWS, 0, 4095, 0, (uint16_t)-2048, INPUTS);
    CHECK(!run(solve_command, &payload));
    CHECK_OUT_OF_RANGE(BIAS_CODE, 0, -2048, -2047, 2047);
    ADD_SECTION(section, ROWS, 0, 4095, 2048, 0, INPUTS);
    CHECK(!run(solve_command, &payload));
    CHECK_OUT_OF_RANGE(BIAS_CODE, 0, 2048, -2047, 2047);
}

static void refuses_fields_of_mvm(void)
{
    struct section section = plain;
    section.first = 2;
    CHECK(!accepted(mvm_command, section));
    CHECK_OUT_OF_RANGE(ARRAY, 1, 2, 0, 1);
    section = plain;
    section.third = 2;
    CHECK(!accepted(mvm_command, section));
    CHECK_OUT_OF_RANGE(TIA_RANGE, 1, 2, 0, 1);
    section = plain;
    section.averages = 0;
    CHECK(!accepted(mvm_command, section));
    CHECK_OUT_OF_RANGE(SAMPLES, 1, 0, 1, 4096);
    section = plain;
    section.rows_layout = 2;
    CHECK(!accepted(mvm_command, section));
    CHECK_OUT_OF_RANGE(LAYOUT, 1, 2, 0, 1);
    add_u8(&payload, 0);
    CHECK(!run(mvm_command, &payload));
    CHECK_BAD_LENGTH(1, 14);
}

static void the_reply_has_to_fit(void)
{
    /* 16x4: 502 bytes; a solve of four columns makes 8 bytes and 2 bits. */
    static uint16_t words[1 + 70];
    struct section section = plain;
    section.column_mask = 0xF;
    section.row_count = 1;
    section.solve_count = 59;
    add_section(section, 1 + 59, words);
    CHECK(run(solve_command, &payload));
    CHECK_EQUAL(reply_bytes, 8 + 472 + 16);
    fake_forget();
    section.solve_count = 60;
    add_section(section, 1 + 60, words);
    CHECK(!run(solve_command, &payload));
    CHECK_OUT_OF_RANGE(ENTRIES, 0, 504, 0, 502);
}

/* ---- faults ---- */

static void stops_where_it_is_grounded(void)
{
    for (uint32_t at = 1; at <= 4; at++) {
        fake_board("hwloop-16x4");
        fake_result_room = 4;
        fake_grounded_at = at;
        struct section section = plain;
        section.solve_count = 2;
        ADD_SECTION(section, ROWS, INPUTS, INPUTS);
        CHECK(!run(solve_command, &payload));
        CHECK_FAULT();
    }
}

static void chips_that_fail_are_a_fault(void)
{
    for (uint32_t finishes = 0; finishes < 4; finishes++) {
        fake_board("hwloop-16x4");
        fake_result_room = 4;
        fake_finishes_left = finishes;
        struct section section = plain;
        section.averages = 2;
        section.solve_count = 2;
        ADD_SECTION(section, ROWS, INPUTS, INPUTS);
        CHECK(!run(solve_command, &payload));
        CHECK_FAULT();
    }
}

static void codes_that_were_not_asked_for_are_a_fault(void)
{
    for (size_t stray_bytes = 1; stray_bytes <= 8; stray_bytes++) {
        uint8_t stray[8] = {0};
        fake_board("hwloop-16x4");
        hal_spi_read(5, (uint8_t)stray_bytes, 1, stray, 0);
        ADD_SECTION(plain, ROWS, INPUTS);
        CHECK(!run(solve_command, &payload));
        CHECK_FAULT();
    }
}

static void (*const tests[])(void) = {
    nothing_listed_is_nothing_done, a_solve_loads_drives_settles_and_samples, masks_stay_until_they_change,
    inputs_share_the_buses, sections_set_feedback_bias_and_mode, answers_have_codes_then_flags_a_section,
    products_are_saturated_at_the_ends_only, products_go_through_the_transimpedance_amplifiers,
    results_may_come_back_at_any_time, refuses_fields_of_solve, refuses_codes_of_solve, refuses_fields_of_mvm,
    the_reply_has_to_fit, stops_where_it_is_grounded, chips_that_fail_are_a_fault,
    codes_that_were_not_asked_for_are_a_fault};

int main(void)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        fake_board("hwloop-16x4");
        payload.count = 0;
        tests[i]();
    }
    return check_result();
}
