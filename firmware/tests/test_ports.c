/* ROUTE, HOLD, SAMPLE: which switches and words, that levels begin and end at zero, and what is refused. */
#include "fake_chips.h"

#include "../src/bytes.h"
#include "../src/limits.h"
#include "../src/panel.h"
#include "../src/wiring.h"

#define AT_REST "read 6 00000000; read 6 00000000; read 3 0a0000; read 5 5800"
#define LEVELS_TO_ZERO "0 a00000; 1 a00000; 400 a08000"

static struct payload payload;

static bool routed(uint8_t route, uint8_t array, uint16_t row, uint16_t column)
{
    add_u8(&payload, route);
    add_u8(&payload, array);
    ADD_WORDS(&payload, row, column);
    return run(route_command, &payload);
}

/* `route` stands, and nobody looks at how it came to. */
static void stands(uint8_t route)
{
    CHECK(routed(route, 0, 0, 0));
    fake_forget();
}

static bool holds(uint8_t what, uint8_t bias_divider, size_t count, const uint16_t *pairs)
{
    add_u8(&payload, what);
    add_u8(&payload, bias_divider);
    add_words(&payload, count, pairs);
    return run(hold_command, &payload);
}
#define HOLDS(what, divider, ...) \
    holds(what, divider, sizeof(uint16_t[]){__VA_ARGS__} / 2, (const uint16_t[]){__VA_ARGS__})

static bool samples(uint8_t source, uint8_t tia_range, uint16_t averages)
{
    add_u8(&payload, source);
    add_u8(&payload, tia_range);
    add_u16(&payload, averages);
    return run(sample_command, &payload);
}

/* ---- ROUTE ---- */

static void routes_take_a_load(void)
{
    CHECK(routed(HWL_ROUTE_CELL_TO_SMU, 1, 15, 3));
    CHECK_EQUAL(reply_bytes, 4);
    CHECK_EQUAL(get_u32(reply), 200);
    CHECK_TRACE("at 0; 100 8000; 7 08; 6 00002002; at 200; read 6 00002002; read 6 00002002; read 3 0a0000; "
                "read 5 5800");
    CHECK(routed(HWL_ROUTE_OUTPUTS_TO_DAQ, 0, 0, 0));
    CHECK_TRACE("at 200; 6 00006002; at 400; read 6 00006002; read 6 00006002; read 3 0a0000; read 5 5800");
    CHECK(routed(HWL_ROUTE_NOTHING, 0, 0, 0));
    CHECK_TRACE("at 400; 6 00000000; 100 0000; 7 00; at 600; " AT_REST);
}

/* Mode switches that the panel has closed once the route stands, row and columns selected. */
static void every_route_has_its_switches(void)
{
    static const struct {
        uint8_t route;
        uint32_t mode;
        uint16_t row, columns;
    } wanted[] = {
        {HWL_ROUTE_INPUT_TO_SMU, 1u << 16, 3, 0},        {HWL_ROUTE_AMPLITUDE_TO_SMU, 1u << 18, 0xFFFF, 4},
        {HWL_ROUTE_AMPLITUDES_TO_DAQ, 1u << 19, 0xFFFF, 0}, {HWL_ROUTE_GATE_TO_SMU, 1u << 20, 0xFFFF, 0},
        {HWL_ROUTE_ROW_TO_SMU, 1u << 21, 3, 0},          {HWL_ROUTE_COLUMN_TO_SMU, 1u << 22, 0xFFFF, 4},
        {HWL_ROUTE_SMU_TO_OUTPUT, 1u << 23, 0xFFFF, 4},  {HWL_ROUTE_READ_TO_SMU, 1u << 26, 0xFFFF, 0},
        {HWL_ROUTE_LOOPBACK, 1u << 27, 0xFFFF, 0},       {HWL_ROUTE_CELL_TO_SMU, 1u << 13 | 2, 3, 4}};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        uint16_t rows = 0, columns = 0;
        stands(HWL_ROUTE_NOTHING);
        CHECK(routed(wanted[i].route, 1, 3, 2));
        const struct fake_entry *row = fake_transfer(HWL_SELECT_ROW_SELECT, 0);
        const struct fake_entry *column = fake_transfer(HWL_SELECT_COLUMN_SELECT, 0);
        const struct fake_entry *mode = fake_transfer(HWL_SELECT_MODE_SWITCHES, 0);
        if (row != NULL)
            rows = (uint16_t)(fake_bytes[row->first_byte] << 8 | fake_bytes[row->first_byte + 1]);
        if (column != NULL)
            columns = fake_bytes[column->first_byte];
        CHECK_EQUAL(rows, wanted[i].row == 0xFFFF ? 0 : 1u << wanted[i].row);
        CHECK_EQUAL(columns, wanted[i].columns);
        CHECK_EQUAL((uint32_t)fake_bytes[mode->first_byte] << 24 | (uint32_t)fake_bytes[mode->first_byte + 1] << 16 |
                        (uint32_t)fake_bytes[mode->first_byte + 2] << 8 | fake_bytes[mode->first_byte + 3],
                    wanted[i].mode);
        CHECK_EQUAL(panel_routed(), wanted[i].route);
    }
    fake_forget();
}

static void references_are_chosen_by_the_row(void)
{
    CHECK(routed(HWL_ROUTE_REFERENCE_TO_SMU, 0, 1, 3));
    CHECK_TRACE("at 0; " LEVELS_TO_ZERO "; 6 11000000; at 200; read 6 11000000; read 6 11000000; read 3 0a0000; "
                "read 5 5800");
    CHECK(routed(HWL_ROUTE_REFERENCE_TO_TIA, 0, 0, 3));
    CHECK_TRACE("at 200; 6 00000000; 7 08; 6 02000000; at 400; read 6 02000000; read 6 02000000; read 3 0a0000; "
                "read 5 5800");
}

static void the_daq_sees_one_thing(void)
{
    stands(HWL_ROUTE_OUTPUTS_TO_DAQ);
    CHECK(routed(HWL_ROUTE_INPUTS_TO_DAQ, 0, 0, 0));
    CHECK_TRACE("at 200; 6 00000000; " LEVELS_TO_ZERO "; 100 0001; 6 00020000; at 400; read 6 00020000; "
                "read 6 00020000; read 3 0a0000; read 5 5800");
    CHECK(routed(HWL_ROUTE_OUTPUTS_TO_DAQ, 0, 0, 0));
    CHECK_TRACE("at 400; 6 00000000; " LEVELS_TO_ZERO "; 100 0000; 6 00004000; at 600; read 6 00004000; "
                "read 6 00004000; read 3 0a0000; read 5 5800");
    CHECK_EQUAL(panel_routed(), HWL_ROUTE_NOTHING);
    stands(HWL_ROUTE_GATE_TO_SMU);
    CHECK(routed(HWL_ROUTE_OUTPUTS_TO_DAQ, 0, 0, 0));
    fake_forget();
    CHECK_EQUAL(panel_routed(), HWL_ROUTE_GATE_TO_SMU);
}

static void refuses_routes(void)
{
    add_u8(&payload, 0);
    CHECK(!run(route_command, &payload));
    CHECK_BAD_LENGTH(1, 6);
    CHECK(!routed(15, 2, 16, 4));
    CHECK_OUT_OF_RANGE(TARGET, 0, 15, 0, 14);
    CHECK(!routed(0, 2, 16, 4));
    CHECK_OUT_OF_RANGE(ARRAY, 0, 2, 0, 1);
    CHECK(!routed(0, 1, 16, 4));
    CHECK_OUT_OF_RANGE(ROW, 0, 16, 0, 15);
    CHECK(!routed(0, 1, 15, 4));
    CHECK_OUT_OF_RANGE(COLUMN, 0, 4, 0, 3);
    CHECK(!routed(HWL_ROUTE_REFERENCE_TO_SMU, 0, 2, 0));
    CHECK_OUT_OF_RANGE(ROW, 0, 2, 0, 1);
    CHECK(!routed(HWL_ROUTE_REFERENCE_TO_TIA, 0, 2, 0));
    CHECK_OUT_OF_RANGE(ROW, 0, 2, 0, 1);
    fake_board("hwloop-128x16");
    CHECK(!routed(HWL_ROUTE_INPUTS_TO_DAQ, 0, 127, 0));
    CHECK_OUT_OF_RANGE(ROW, 0, 127, 0, 112);
    CHECK(routed(HWL_ROUTE_INPUTS_TO_DAQ, 0, 112, 0));
    fake_forget();
}

/* ---- HOLD ---- */

static void holds_each_kind_of_level(void)
{
    stands(HWL_ROUTE_LOOPBACK);
    CHECK(HOLDS(HWL_HOLD_AMPLITUDE, 0, 3, 0x1234, 0, 0, 3, 0x1235));
    CHECK_EQUAL(reply_bytes, 4);
    CHECK_EQUAL(get_u32(reply), 120);
    CHECK_TRACE("at 200; 0 331234; 0 331235; at 320; read 6 08000000; read 6 08000000; read 3 0a0000; read 5 5800");
    CHECK(HOLDS(HWL_HOLD_GATE, 0, 0, 39322, 0, 39322));
    CHECK_EQUAL(get_u32(reply), 110);
    CHECK_TRACE("at 320; 1 30999a; at 430; read 6 08000000; read 6 08000000; read 3 0a0000; read 5 5800");
    CHECK(HOLDS(HWL_HOLD_INPUT, 0, 15, 0x8000, 2, 0x7FFF, 2, 0x7FFF));
    CHECK_TRACE("at 430; 400 3f0000; 400 32ffff; at 550; read 6 08000000; read 6 08000000; read 3 0a0000; "
                "read 5 5800");
    CHECK(HOLDS(HWL_HOLD_FEEDBACK, 0, 1, 4095, 1, 4095));
    CHECK_TRACE("at 550; 9 000000fff000; at 660; read 6 08000000; read 6 08000000; read 3 0a0000; read 5 5800");
    CHECK(HOLDS(HWL_HOLD_BIAS, HWL_BIAS_DIVIDER_BY_256, 3, 0xF801, 3, 0xF801));
    CHECK_TRACE("at 660; 6 08000800; 2 330010; at 770; read 6 08000800; read 6 08000800; read 3 0a0000; read 5 5800");
    CHECK(HOLDS(HWL_HOLD_BIAS, HWL_BIAS_DIVIDER_BY_16, 0, 0));
    CHECK_TRACE("at 770; 6 08000400; at 870; read 6 08000400; read 6 08000400; read 3 0a0000; read 5 5800");
}

static void reaches_every_input_dac(void)
{
    fake_board("hwloop-4096x16");
    stands(HWL_ROUTE_INPUT_TO_SMU);
    CHECK(HOLDS(HWL_HOLD_INPUT, 0, 4095, 1));
    const struct fake_entry *word = fake_transfer(HWL_SELECT_INPUT_DAC + 255, 0);
    CHECK(word != NULL && memcmp(fake_bytes + word->first_byte, "\x3F\x80\x01", 3) == 0);
    fake_forget();
}

static void levels_stay_from_route_to_route(void)
{
    stands(HWL_ROUTE_AMPLITUDE_TO_SMU);
    CHECK(HOLDS(HWL_HOLD_BIAS, HWL_BIAS_DIVIDER_BY_16, 0, 1));
    CHECK(HOLDS(HWL_HOLD_AMPLITUDE, 0, 0, 7));
    fake_forget();
    CHECK(routed(HWL_ROUTE_COLUMN_TO_SMU, 0, 0, 1));
    CHECK_TRACE("at 420; 6 00000000; 7 02; 6 00400400; at 620; read 6 00400400; read 6 00400400; read 3 0a0000; "
                "read 5 5800");
    CHECK(HOLDS(HWL_HOLD_AMPLITUDE, 0, 0, 7));
    CHECK_EQUAL(get_u32(reply), 100);
    fake_forget();
}

static void levels_end_with_the_route(void)
{
    const uint16_t codes[4] = {7, 7, 7, 7};
    for (int way = 0; way < 3; way++) {
        CHECK_EQUAL(panel_load_pulse(0, 1, codes, 9), 2);
        stands(HWL_ROUTE_COLUMN_TO_SMU);
        CHECK(HOLDS(HWL_HOLD_AMPLITUDE, 0, 0, 7));
        CHECK_EQUAL(get_u32(reply), 110);   /* the pulse's level was gone */
        CHECK(HOLDS(HWL_HOLD_GATE, 0, 0, 9));
        CHECK(HOLDS(HWL_HOLD_INPUT, 0, 1, 5));
        CHECK(HOLDS(HWL_HOLD_FEEDBACK, 0, 0, 1));
        CHECK(HOLDS(HWL_HOLD_BIAS, HWL_BIAS_DIVIDER_BY_256, 1, 1));
        fake_forget();
        if (way == 0) {
            panel_deselect();
            CHECK_TRACE("6 00000000; " LEVELS_TO_ZERO "; 9 000000000000; 2 318000; 7 00");
        } else if (way == 1) {
            stands(HWL_ROUTE_CELL_TO_SMU);
        } else {
            panel_ground();
            fake_forget();
        }
        stands(HWL_ROUTE_COLUMN_TO_SMU);
        CHECK(HOLDS(HWL_HOLD_INPUT, 0, 1, 5));
        CHECK_EQUAL(get_u32(reply), 110);
        CHECK(HOLDS(HWL_HOLD_BIAS, 0, 1, 1));
        CHECK_EQUAL(get_u32(reply), 110);
        stands(HWL_ROUTE_NOTHING);
    }
}

static void refuses_levels(void)
{
    add_u8(&payload, 0);
    CHECK(!run(hold_command, &payload));
    CHECK_BAD_LENGTH(1, 2);
    CHECK(!HOLDS(HWL_HOLD_GATE, 0, 0, 1));
    CHECK_OUT_OF_RANGE(TARGET, 0, 0, 3, 14);
    stands(HWL_ROUTE_CELL_TO_SMU);
    CHECK(!HOLDS(HWL_HOLD_GATE, 0, 0, 1));
    CHECK_OUT_OF_RANGE(TARGET, 0, 1, 3, 14);
    stands(HWL_ROUTE_INPUT_TO_SMU);
    CHECK(!HOLDS(5, 1, 9, 9));
    CHECK_OUT_OF_RANGE(LEVEL, 0, 5, 0, 4);
    CHECK(!HOLDS(HWL_HOLD_BIAS, 3, 9, 9));
    CHECK_OUT_OF_RANGE(BIAS_CODE, 0, 3, 0, 2);
    CHECK(!HOLDS(HWL_HOLD_FEEDBACK, 1, 9, 9));
    CHECK_OUT_OF_RANGE(BIAS_CODE, 0, 1, 0, 0);
    CHECK(!HOLDS(HWL_HOLD_INPUT, 0, 1));
    CHECK_BAD_LENGTH(4, 2);
    CHECK(!HOLDS(HWL_HOLD_AMPLITUDE, 0, 0, 43255, 4, 0));
    CHECK_OUT_OF_RANGE(COLUMN, 1, 4, 0, 3);
    CHECK(!HOLDS(HWL_HOLD_AMPLITUDE, 0, 0, 43254, 3, 43255));
    CHECK_OUT_OF_RANGE(AMPLITUDE_CODE, 1, 43255, 0, 43254);
    CHECK(!HOLDS(HWL_HOLD_GATE, 0, 1, 1));
    CHECK_OUT_OF_RANGE(COLUMN, 0, 1, 0, 0);
    CHECK(!HOLDS(HWL_HOLD_GATE, 0, 0, 39323));
    CHECK_OUT_OF_RANGE(GATE_CODE, 0, 39323, 0, 39322);
    CHECK(!HOLDS(HWL_HOLD_INPUT, 0, 16, 1));
    CHECK_OUT_OF_RANGE(ROW, 0, 16, 0, 15);
    CHECK(!HOLDS(HWL_HOLD_FEEDBACK, 0, 0, 4096));
    CHECK_OUT_OF_RANGE(FEEDBACK_CODE, 0, 4096, 0, 4095);
    CHECK(!HOLDS(HWL_HOLD_BIAS, 0, 0, 2047, 0, 2048));
    CHECK_OUT_OF_RANGE(BIAS_CODE, 1, 2048, -2047, 2047);
    CHECK(!HOLDS(HWL_HOLD_BIAS, 0, 0, 0xF800));
    CHECK_OUT_OF_RANGE(BIAS_CODE, 0, -2048, -2047, 2047);
}

static void tightened_limits_hold(void)
{
    stands(HWL_ROUTE_GATE_TO_SMU);
    CHECK(limit_tighten(HWL_LIMIT_KIND_GATE_CODE, 100));
    CHECK(limit_tighten(HWL_LIMIT_KIND_FORM_CODE, 200));
    CHECK(!HOLDS(HWL_HOLD_GATE, 0, 0, 101));
    CHECK_OUT_OF_RANGE(GATE_CODE, 0, 101, 0, 100);
    CHECK(!HOLDS(HWL_HOLD_AMPLITUDE, 0, 0, 201));
    CHECK_OUT_OF_RANGE(AMPLITUDE_CODE, 0, 201, 0, 200);
}

/* ---- SAMPLE ---- */

static uint16_t by_column(uint32_t column, uint32_t scan)
{
    return (uint16_t)(1000 * column + 10 * scan);
}

static void sums_what_the_adcs_see(void)
{
    fake_convert = by_column;
    CHECK(samples(HWL_SAMPLE_SOURCE_CURRENTS, HWL_TIA_RANGE_COARSE, 2));
    CHECK_EQUAL(reply_bytes, 4 + 4 * 4);
    CHECK_EQUAL(get_u32(reply), 200 + 2 * 160);
    CHECK_EQUAL(get_u32(reply + 4), 10);
    CHECK_EQUAL(get_u32(reply + 16), 6010);
    CHECK_TRACE("at 0; 6 00008080; 3 030f00; 3 a0000000; pin 1 high; "
                "at 200; read 3 00000000 00000000 00000000 00000000; "
                "at 360; read 3 00000000 00000000 00000000 00000000; at 520; pin 1 low; at 520; "
                "read 6 00000000; read 6 00000000; read 3 0a0000; read 5 5800");
    CHECK(samples(HWL_SAMPLE_SOURCE_OUTPUTS, HWL_TIA_RANGE_FINE, 1));
    CHECK_EQUAL((int32_t)get_u32(reply + 4), 20 - 32768);
    CHECK_EQUAL((int32_t)get_u32(reply + 16), 3020 - 32768);
    CHECK_EQUAL(fake_bytes[fake_transfer(6, 0)->first_byte + 2], 0x90);
    fake_forget();
}

static void the_supply_is_one_number(void)
{
    fake_convert = by_column;
    CHECK(samples(HWL_SAMPLE_SOURCE_SUPPLY, HWL_TIA_RANGE_FINE, 2));
    CHECK_EQUAL(reply_bytes, 20);
    CHECK_EQUAL(get_u32(reply + 4), 32010);
    CHECK_EQUAL(get_u32(reply + 8) | get_u32(reply + 12) | get_u32(reply + 16), 0);
    CHECK_TRACE("at 0; 6 00008000; 3 e0000000; pin 1 high; at 200; read 3 00000000; at 360; read 3 00000000; "
                "at 520; pin 1 low; at 520; read 6 00000000; read 6 00000000; read 3 0a0000; read 5 5800");
}

static uint16_t highest(uint32_t column, uint32_t scan)
{
    (void)column;
    (void)scan;
    return 0xFFFF;
}

static void sums_do_not_depend_on_the_room(void)
{
    fake_convert = highest;
    fake_result_room = 256;
    CHECK(samples(HWL_SAMPLE_SOURCE_CURRENTS, 0, 4096));
    CHECK_EQUAL(get_u32(reply + 16), 4096u * 65535u);
    fake_forget();
}

static void a_route_stands_while_it_is_sampled(void)
{
    stands(HWL_ROUTE_REFERENCE_TO_TIA);
    CHECK(samples(HWL_SAMPLE_SOURCE_CURRENTS, 0, 1));
    CHECK_EQUAL(panel_routed(), HWL_ROUTE_REFERENCE_TO_TIA);
    CHECK_TRACE("at 200; 6 02008000; 3 030f00; 3 a0000000; pin 1 high; "
                "at 400; read 3 00000000 00000000 00000000 00000000; at 560; pin 1 low; at 560; "
                "read 6 02000000; read 6 02000000; read 3 0a0000; read 5 5800");
}

static void refuses_samples(void)
{
    add_u8(&payload, 0);
    CHECK(!run(sample_command, &payload));
    CHECK_BAD_LENGTH(1, 4);
    CHECK(!samples(3, 2, 0));
    CHECK_OUT_OF_RANGE(SAMPLE_SOURCE, 0, 3, 0, 2);
    CHECK(!samples(2, 2, 0));
    CHECK_OUT_OF_RANGE(TIA_RANGE, 0, 2, 0, 1);
    CHECK(!samples(2, 1, 0));
    CHECK_OUT_OF_RANGE(SAMPLES, 0, 0, 1, 4096);
    CHECK(!samples(2, 1, 4097));
    CHECK_OUT_OF_RANGE(SAMPLES, 0, 4097, 1, 4096);
}

static void what_breaks_is_a_fault(void)
{
    fake_grounded_at = 1;
    CHECK(!samples(0, 0, 1));
    CHECK_FAULT();
    fake_grounded_at = 2;
    CHECK(!samples(0, 0, 1));
    CHECK_FAULT();
    fake_grounded_at = 2;
    fake_result_room = 16;
    CHECK(!samples(0, 0, 30));
    CHECK_FAULT();
    fake_grounded_at = 0;
    /* A results queue that a stray read has got into: half a scan, or one too many. */
    for (size_t stray_bytes = 1; stray_bytes <= 8; stray_bytes++) {
        uint8_t stray[8] = {0};
        fake_result_room = 1024;
        hal_spi_read(HWL_SELECT_TEMPERATURE, (uint8_t)stray_bytes, 1, stray, 0);
        CHECK(!samples(0, 0, 1));
        CHECK_FAULT();
    }
}

static void (*const tests[])(void) = {
    routes_take_a_load, every_route_has_its_switches, references_are_chosen_by_the_row, the_daq_sees_one_thing,
    refuses_routes, holds_each_kind_of_level, reaches_every_input_dac, levels_stay_from_route_to_route,
    levels_end_with_the_route, refuses_levels, tightened_limits_hold, sums_what_the_adcs_see, the_supply_is_one_number,
    sums_do_not_depend_on_the_room, a_route_stands_while_it_is_sampled, refuses_samples, what_breaks_is_a_fault};

int main(void)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        fake_board("hwloop-16x4");
        payload.count = 0;
        tests[i]();
    }
    return check_result();
}
