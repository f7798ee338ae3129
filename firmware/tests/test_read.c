/* READ: the time line of row reads, codes and steady bits in the order listed, and what is refused. */
#include "fake_chips.h"

#include "../src/bytes.h"

static struct payload payload;

static void add_request(uint8_t tia_range, uint8_t parts, uint16_t averages, uint16_t spread_code)
{
    add_u8(&payload, tia_range);
    add_u8(&payload, parts);
    add_u16(&payload, averages);
    add_u16(&payload, spread_code);
}

static void add_section(uint8_t array, uint8_t layout, size_t count, const uint16_t *words)
{
    add_u8(&payload, array);
    add_u8(&payload, layout);
    add_u16(&payload, (uint32_t)count);
    add_words(&payload, count, words);
}
#define ADD_SECTION(array, layout, ...) \
    add_section(array, layout, sizeof(uint16_t[]){__VA_ARGS__} / 2, (const uint16_t[]){__VA_ARGS__})

static uint16_t by_column(uint32_t column, uint32_t scan)
{
    (void)scan;
    return (uint16_t)(1000 * (column + 1));
}

/* Samples of one column rise by 10; those of the others stand still. */
static uint16_t drifting(uint32_t column, uint32_t scan)
{
    return (uint16_t)(column == 1 ? 100 + 10 * scan : 500);
}

static void nothing_listed_is_nothing_done(void)
{
    add_request(0, 1, 1, 0);
    CHECK(run(read_command, &payload));
    CHECK_EQUAL(reply_bytes, 4);
    CHECK_EQUAL(get_u32(reply), 0);
    CHECK_TRACE("at 0; read 6 00000000; read 6 00000000; read 3 0a0000; read 5 5800");
}

static void a_row_read_settles_and_samples(void)
{
    bench_ticks = 1000;
    fake_convert = by_column;
    add_request(HWL_TIA_RANGE_FINE, 1, 2, 0);
    ADD_SECTION(0, HWL_LAYOUT_CELLS, 5, 7, 8);
    CHECK(run(read_command, &payload));
    CHECK_EQUAL(reply_bytes, 4 + 3 * 2 + 2);
    CHECK_EQUAL(get_u32(reply), 2 * (200 + 2 * 160));
    CHECK_EQUAL(get_u16(reply + 4), 2000);
    CHECK_EQUAL(get_u16(reply + 6), 4000);
    CHECK_EQUAL(get_u16(reply + 8), 1000);
    CHECK_EQUAL(get_u16(reply + 10), 0x7);
    CHECK_TRACE("6 00000011; at 1000; 100 0002; 3 030a00; 3 a0000000; pin 1 high; "
                "at 1200; read 3 00000000 00000000; at 1360; read 3 00000000 00000000; at 1520; pin 1 low; "
                "at 1520; 100 0004; 3 030100; 3 a0000000; pin 1 high; "
                "at 1720; read 3 00000000; at 1880; read 3 00000000; at 2040; pin 1 low; "
                "100 0000; at 2040; read 6 00000000; read 6 00000000; read 3 0a0000; read 5 5800");
    CHECK_EQUAL(bench_ticks, 2040);
}

static void modes_follow_array_and_range(void)
{
    static const char *const modes[2][2] = {{"6 00000011", "6 00000091"}, {"6 00000012", "6 00000092"}};
    for (uint8_t array = 0; array < 2; array++)
        for (uint8_t tia_range = 0; tia_range < 2; tia_range++) {
            add_request(tia_range, 1, 1, 0);
            ADD_SECTION(array, HWL_LAYOUT_CELLS, 0);
            CHECK(run(read_command, &payload));
            CHECK(strncmp(fake_trace(), modes[array][tia_range], 6) == 0);
            fake_forget();
        }
}

static void steady_bits_follow_the_codes_of_all_sections(void)
{
    fake_convert = drifting;
    add_request(0, 2, 2, 9); /* parts of column 1: means 105 and 125, whole 115 */
    ADD_SECTION(0, HWL_LAYOUT_ROWS, 0, 0xF);
    CHECK(run(read_command, &payload));
    CHECK_EQUAL(get_u16(reply + 6), 115);
    CHECK_EQUAL(get_u16(reply + 12), 0xD);
    add_request(0, 1, 1, 0);
    for (uint32_t i = 0; i < 2; i++)
        ADD_SECTION(1, HWL_LAYOUT_ROWS, 0, 0xF, 1, 0xF, 2, 0x3);
    CHECK(run(read_command, &payload));
    CHECK_EQUAL(reply_bytes, 4 + 20 * 2 + 4);
    CHECK_EQUAL(get_u32(reply + 44), 0xFFFFF);
    fake_forget();
}

static void results_may_come_back_at_any_time(void)
{
    static uint8_t whole[512];
    size_t whole_bytes = 0;
    for (size_t room = 65536; room >= 32; room = room > 300 ? 300 : room - 13) {
        fake_board("hwloop-128x16");
        fake_convert = drifting;
        fake_result_room = room;
        add_request(0, 3, 5, 40);
        ADD_SECTION(0, HWL_LAYOUT_ROWS, 0, 0xFFFF, 1, 0x0103, 2, 0x8000, 3, 0xFFFF);
        ADD_SECTION(1, HWL_LAYOUT_CELLS, 3, 2, 1);
        CHECK(run(read_command, &payload));
        if (whole_bytes == 0) {
            whole_bytes = reply_bytes;
            memcpy(whole, reply, reply_bytes);
        }
        CHECK_EQUAL(reply_bytes, whole_bytes);
        CHECK(memcmp(whole, reply, reply_bytes) == 0);
    }
}

static void refuses_fields(void)
{
    add_u8(&payload, 0);
    CHECK(!run(read_command, &payload));
    CHECK_BAD_LENGTH(1, 6);
    add_request(2, 1, 1, 0);
    CHECK(!run(read_command, &payload));
    CHECK_OUT_OF_RANGE(TIA_RANGE, 0, 2, 0, 1);
    add_request(0, 1, 0, 0);
    CHECK(!run(read_command, &payload));
    CHECK_OUT_OF_RANGE(SAMPLES, 0, 0, 1, 4096);
    add_request(0, 255, 65535, 0);
    CHECK(!run(read_command, &payload));
    CHECK_OUT_OF_RANGE(SAMPLES, 0, 255 * 65535, 1, 4096);
    add_request(0, 1, 1, 0);
    ADD_SECTION(2, HWL_LAYOUT_CELLS, 0);
    add_u8(&payload, 0);
    CHECK(!run(read_command, &payload));
    CHECK_BAD_LENGTH(13, 16);
    add_request(0, 1, 1, 0);
    ADD_SECTION(0, HWL_LAYOUT_CELLS, 0);
    ADD_SECTION(2, HWL_LAYOUT_CELLS, 0);
    CHECK(!run(read_command, &payload));
    CHECK_OUT_OF_RANGE(ARRAY, 1, 2, 0, 1);
    add_request(0, 1, 1, 0);
    ADD_SECTION(0, 2, 0);
    CHECK(!run(read_command, &payload));
    CHECK_OUT_OF_RANGE(LAYOUT, 0, 2, 0, 1);
    add_request(0, 1, 1, 0);
    ADD_SECTION(0, HWL_LAYOUT_CELLS, 0, 1);
    ADD_SECTION(0, HWL_LAYOUT_CELLS, 64);
    CHECK(!run(read_command, &payload));
    CHECK_OUT_OF_RANGE(CELL, 2, 64, 0, 63);
}

static void the_reply_has_to_fit(void)
{
    /* 16x4: 502 bytes of payload; 234 cells make 4 + 468 + 30. */
    uint16_t words[240];
    for (uint16_t i = 0; i < 240; i++)
        words[i] = i % 64;
    add_request(0, 1, 1, 0);
    add_section(0, HWL_LAYOUT_CELLS, 234, words);
    CHECK(run(read_command, &payload));
    CHECK_EQUAL(reply_bytes, 502);
    fake_forget();
    add_request(0, 1, 1, 0);
    add_section(0, HWL_LAYOUT_CELLS, 235, words);
    CHECK(!run(read_command, &payload));
    CHECK_OUT_OF_RANGE(ENTRIES, 0, 504, 0, 502);
}

static void stops_where_it_is_grounded(void)
{
    for (uint32_t at = 1; at <= 3; at++) {
        fake_result_room = 8; /* a row each time */
        fake_grounded_at = at;
        add_request(0, 1, 1, 0);
        ADD_SECTION(0, HWL_LAYOUT_ROWS, 0, 0xF, 1, 0xF);
        CHECK(!run(read_command, &payload));
        CHECK_FAULT();
        fake_grounded_at = 0;
        fake_board("hwloop-16x4");
    }
}

static void chips_that_fail_are_a_fault(void)
{
    for (uint32_t finishes = 0; finishes < 3; finishes++) {
        fake_board("hwloop-16x4");
        fake_result_room = 12; /* room for a scan of four columns and half of one */
        fake_finishes_left = finishes;
        add_request(0, 1, 2, 0);
        ADD_SECTION(0, HWL_LAYOUT_ROWS, 0, 0xF, 1, 0xF);
        CHECK(!run(read_command, &payload));
        CHECK_FAULT();
    }
}

/* A results queue that a stray read has got into. */
static void codes_that_were_not_asked_for_are_a_fault(void)
{
    for (size_t stray_bytes = 1; stray_bytes <= 8; stray_bytes++) {
        uint8_t stray[8] = {0};
        fake_board("hwloop-16x4");
        hal_spi_read(5, (uint8_t)stray_bytes, 1, stray, 0);
        add_request(0, 1, 2, 0);
        ADD_SECTION(0, HWL_LAYOUT_ROWS, 0, 0xF);
        CHECK(!run(read_command, &payload));
        CHECK_FAULT();
    }
}

static void (*const tests[])(void) = {
    nothing_listed_is_nothing_done, a_row_read_settles_and_samples, modes_follow_array_and_range,
    steady_bits_follow_the_codes_of_all_sections, results_may_come_back_at_any_time, refuses_fields,
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
