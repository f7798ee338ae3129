/* The panel: which chips are sent what, that only changes go out, and that a chip that fails is found. */
#include "fake_chips.h"

#include "../src/adg1414.h"
#include "../src/bytes.h"
#include "../src/ltc2668.h"
#include "../src/panel.h"
#include "../src/protocol.h"
#include "../src/wiring.h"

#define CHECK_READ_BACK "read 3 0a0000; read 5 5800"
#define GROUND_16X4                                                                                     \
    "pin 1 low; pin 0 low; pin 2 high; 0 a00000; 1 a00000; 2 a08000; 6 00000000; 7 00; 8 00; 100 0000; "     \
    "180 0000; 9 000000000000; 200 0000000000000000000000000000000000000000; 400 a08000"

static const uint16_t no_rows[256];

static void starts_with_the_pins(void)
{
    CHECK(panel_start());
    CHECK_TRACE("pin 1 low; pin 0 low; pin 2 high; 0 e00000; 0 a00000; 1 e00000; 1 a00000; 2 e00004; 2 a08000; "
                "400 e00004; 400 a08000; 3 85000000; 3 0b0600 0d0600 0f0600 110600 130600 150600 170600 190600; "
                "5 ffffffff; 5 202a80; 5 2800; 5 0894; " GROUND_16X4 "; read 6 00000000; read 6 00000000; " CHECK_READ_BACK);
}

static void grounds_whatever_it_remembers(void)
{
    panel_ground();
    CHECK_TRACE(GROUND_16X4);
    fake_chips_dead = true;
    panel_ground();
    CHECK_TRACE(GROUND_16X4);
}

static void grounds_every_chip_of_a_large_board(void)
{
    fake_board("hwloop-4096x16");
    panel_ground();
    for (uint16_t chip = 0; chip < 256; chip++) {
        const struct fake_entry *dac = fake_transfer((uint16_t)(HWL_SELECT_INPUT_DAC + chip), 0);
        const struct fake_entry *chain = fake_transfer((uint16_t)(HWL_SELECT_COMPENSATION + chip), 0);
        CHECK(dac != NULL && memcmp(fake_bytes + dac->first_byte, "\xA0\x80\x00", 3) == 0);
        CHECK(chain != NULL && chain->bytes == 20);
    }
    for (uint16_t chain = 0; chain < 32; chain++) {
        CHECK_EQUAL(fake_transfer((uint16_t)(HWL_SELECT_ROW_SELECT + chain), 0)->bytes, 16);
        CHECK_EQUAL(fake_transfer((uint16_t)(HWL_SELECT_ROW_MASK + chain), 0)->bytes, 16);
    }
    CHECK_EQUAL(fake_transfer(HWL_SELECT_FEEDBACK, 0)->bytes, 24);
    CHECK_EQUAL(fake_transfer(HWL_SELECT_COLUMN_SELECT, 0)->bytes, 2);
}

static void forgets_at_grounding(void)
{
    const uint16_t codes[4] = {7, 7, 7, 7};
    CHECK_EQUAL(panel_load_pulse(3, 0xF, codes, 9), 5);
    CHECK_EQUAL(panel_load_pulse(3, 0xF, codes, 9), 0);
    panel_ground();
    fake_forget();
    CHECK_EQUAL(panel_load_pulse(3, 0x1, codes, 9), 2);
    CHECK_TRACE("100 0008; 7 01; 0 300007; 1 300009");
}

static void enables_sound_chips_only(void)
{
    CHECK(panel_enable());
    CHECK_TRACE("read 6 00000000; read 6 00000000; " CHECK_READ_BACK "; pin 0 high");
    fake_chips_dead = true;
    CHECK(!panel_enable());
    CHECK_TRACE("read 6 00000000; read 6 00000000; " CHECK_READ_BACK);
}

static void finds_stuck_lines(void)
{
    fake_board("hwloop-128x16");
    static const struct {
        int select;
        uint8_t byte;
    } faults[] = {{HWL_SELECT_MODE_SWITCHES, 0x00}, {HWL_SELECT_MODE_SWITCHES, 0xFF}, {HWL_SELECT_ADC_LOW, 0x00},
                  {HWL_SELECT_ADC_LOW, 0xFF},       {HWL_SELECT_ADC_HIGH, 0x00},      {HWL_SELECT_ADC_HIGH, 0x02},
                  {HWL_SELECT_TEMPERATURE, 0x00},   {HWL_SELECT_TEMPERATURE, 0xFF}};
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        panel_mode(1 << HWL_MODE_CONNECT_A);
        fake_stuck_select = faults[i].select;
        fake_stuck_byte = faults[i].byte;
        CHECK(!panel_rest());
        fake_stuck_select = -1;
        panel_mode(1 << HWL_MODE_CONNECT_A);
        CHECK(panel_rest());
    }
    fake_forget();
}

static void finds_answers_that_are_missing(void)
{
    uint8_t stray[4] = {0};
    hal_spi_read(HWL_SELECT_MODE_SWITCHES, 4, 1, stray, 3);
    CHECK(!panel_rest());
    fake_forget();
}

static void sends_changes_of_mode_only(void)
{
    panel_mode(1 << HWL_MODE_CONNECT_B | 1 << HWL_MODE_BIAS_BY_256);
    CHECK_TRACE("6 00000802");
    panel_mode(1 << HWL_MODE_CONNECT_B | 1 << HWL_MODE_BIAS_BY_256);
    CHECK_TRACE("");
    CHECK(panel_rest());
    CHECK_TRACE("read 6 00000000; read 6 00000000; " CHECK_READ_BACK);
}

static void loads_a_pulse_by_changes(void)
{
    uint16_t codes[4] = {0x1111, 0x2222, 0x3333, 0x4444};
    CHECK_EQUAL(panel_load_pulse(9, 0xA, codes, 0x9999), 3);
    CHECK_TRACE("100 0200; 7 0a; 0 312222 334444; 1 309999");
    codes[3] = 0x4445;
    CHECK_EQUAL(panel_load_pulse(9, 0xA, codes, 0x9999), 1);
    CHECK_TRACE("0 334445");
    CHECK_EQUAL(panel_load_pulse(15, 0x8, codes, 0x9998), 1);
    CHECK_TRACE("100 8000; 7 08; 1 309998");
    panel_deselect();
    CHECK_TRACE("100 0000; 7 00");
    panel_deselect();
    CHECK_TRACE("");
}

static void opens_the_old_row_before_it_closes_the_new(void)
{
    fake_board("hwloop-4096x16");
    panel_select_row(127);
    CHECK_TRACE("100 80000000000000000000000000000000");
    panel_select_row(128);
    CHECK_TRACE("100 00000000000000000000000000000000; 101 00000000000000000000000000000001");
    panel_select_row(128 + 16);
    CHECK_TRACE("101 00000000000000000000000000010000");
    panel_deselect();
    CHECK_TRACE("101 00000000000000000000000000000000");
}

static void loads_masks_by_changes(void)
{
    uint16_t rows[1] = {0x8001};
    CHECK_EQUAL(panel_load_masks(rows, 0x5), 200 + 2 * 10);
    CHECK_TRACE("180 8001; 8 05");
    CHECK_EQUAL(panel_load_masks(rows, 0x5), 0);
    CHECK_TRACE("");
    CHECK_EQUAL(panel_load_masks(rows, 0xF), 200);
    CHECK_TRACE("8 0f");
    rows[0] = 0x8003;
    CHECK_EQUAL(panel_load_masks(rows, 0xF), 210);
    CHECK_TRACE("180 8003");
}

static void loads_the_chains_that_change(void)
{
    static uint16_t rows[256];
    fake_board("hwloop-4096x16");
    rows[7] = 0x8000;
    rows[255] = 0x8001;
    CHECK_EQUAL(panel_load_masks(rows, 0), 230);
    CHECK_TRACE("180 80000000000000000000000000000000; 19f 80010000000000000000000000000000");
    CHECK_EQUAL(panel_load_masks(no_rows, 0), 230);
    CHECK_TRACE("180 00000000000000000000000000000000; 19f 00000000000000000000000000000000");
}

static void feedback_is_twelve_bits_a_column(void)
{
    const uint8_t codes[] = {0x21, 0x03, 0xCB, 0x0A};
    panel_feedback(0xA, codes);
    CHECK_TRACE("9 acb000321000");
    panel_feedback(0xA, codes);
    CHECK_TRACE("");
    panel_feedback(0x1, codes);
    CHECK_TRACE("9 000000000321");
    panel_feedback(0x1, NULL);
    CHECK_TRACE("9 000000000000");
}

static void bias_stands_in_the_upper_bits(void)
{
    const uint8_t codes[] = {0xFF, 0x07, 0x01, 0xF8};
    panel_bias(0x9, codes); /* 2047, -2047 */
    CHECK_TRACE("2 30fff0 330010");
    panel_bias(0x9, codes);
    CHECK_TRACE("");
    panel_bias(0x8, codes);
    CHECK_TRACE("2 308000 33fff0");
    panel_bias(0x8, NULL);
    CHECK_TRACE("2 338000");
}

static void inputs_go_to_the_active_rows(void)
{
    uint16_t rows[8] = {0x8001, 0, 0, 0, 0, 0, 0, 0x0002};
    const uint8_t codes[] = {0x00, 0x80, 0xFF, 0x7F, 0xFF, 0xFF};
    fake_board("hwloop-128x16");
    panel_inputs(rows, codes);
    CHECK_TRACE("400 000000 0fffff; 407 017fff; pin 2 low; pin 2 high");
}

static void compensation_is_ten_bits_a_row(void)
{
    fake_board("hwloop-128x16");
    CHECK(panel_compensation(0, 0x3FF));
    CHECK(panel_compensation(1, 0x155));
    CHECK(panel_compensation(15, 0x200));
    CHECK(panel_compensation(127, 1));
    CHECK(!panel_compensation(127, 1));
    panel_send_compensation();
    CHECK_TRACE("200 80000000000000000000000000000000000557ff; 207 0040000000000000000000000000000000000000");
    panel_send_compensation();
    CHECK_TRACE("");
}

static void every_compensation_chain_is_reached(void)
{
    fake_board("hwloop-4096x16");
    CHECK(panel_compensation(4095, 1023));
    panel_send_compensation();
    CHECK_TRACE("2ff ffc0000000000000000000000000000000000000");
}

static void scans_the_columns_that_are_set_up(void)
{
    fake_board("hwloop-128x16");
    panel_scan_setup(PANEL_READ, 0x8103);
    CHECK_TRACE("3 030300; 3 a0000000; 4 038100; 4 a0000000");
    panel_scan();
    CHECK_TRACE("read 3 00000000 00000000; read 4 00000000 00000000");
    panel_scan_setup(PANEL_READ, 0x8103);
    CHECK_TRACE("");
    panel_scan_setup(PANEL_READ, 0x8000);
    CHECK_TRACE("4 038000; 4 a0000000");
    panel_scan();
    CHECK_TRACE("read 4 00000000");
    panel_scan_setup(PANEL_READ, 0x0001);
    CHECK_TRACE("3 030100; 3 a0000000");
    panel_scan();
    CHECK_TRACE("read 3 00000000");
}

static void a_check_ends_the_sequence(void)
{
    panel_scan_setup(PANEL_READ, 0x3);
    CHECK(panel_rest());
    fake_forget();
    panel_scan_setup(PANEL_READ, 0x3);
    CHECK_TRACE("3 030300; 3 a0000000");
}

static void sources_have_ranges(void)
{
    panel_scan_setup(PANEL_OUTPUTS, 0x1);
    CHECK_TRACE("3 0b0200 0d0200 0f0200 110200 130200 150200 170200 190200; 3 030100; 3 a0000000");
    panel_scan_setup(PANEL_PRODUCTS, 0x1);
    CHECK_TRACE("3 0b0100 0d0100 0f0100 110100 130100 150100 170100 190100; 3 030100; 3 a0000000");
    CHECK(panel_rest());
    panel_scan_setup(PANEL_READ, 0x1);
    CHECK(panel_rest());
    fake_forget();
}

static void routes_stay_while_it_rests(void)
{
    panel_route(HWL_ROUTE_CELL_TO_SMU, 1, 2, 3);
    CHECK_TRACE("100 0004; 7 08; 6 00002002");
    CHECK(panel_rest());
    CHECK_TRACE("read 6 00002002; read 6 00002002; " CHECK_READ_BACK);
    panel_route(HWL_ROUTE_OUTPUTS_TO_DAQ, 0, 0, 0);
    CHECK_TRACE("6 00006002");
    panel_route(HWL_ROUTE_CELL_TO_SMU, 0, 2, 1);
    CHECK_TRACE("6 00004000; 7 02; 6 00006001");
    panel_deselect();
    CHECK_TRACE("100 0000; 7 00");
    panel_mode(1 << HWL_MODE_CONNECT_A | 1 << HWL_MODE_READ);
    CHECK_TRACE("6 00004011");
    CHECK(panel_rest());
    CHECK_TRACE("read 6 00004000; read 6 00004000; " CHECK_READ_BACK);
    panel_route(HWL_ROUTE_NOTHING, 0, 0, 0);
    CHECK_TRACE("6 00000000");
    panel_route(HWL_ROUTE_CELL_TO_SMU, 0, 2, 1);
    panel_ground();
    fake_forget();
    CHECK(panel_rest());
    CHECK_TRACE("read 6 00000000; read 6 00000000; " CHECK_READ_BACK);
}

static void the_supply_is_at_the_auxiliary_input(void)
{
    struct hal_results results;
    panel_scan_setup(PANEL_SUPPLY, 0x1);
    CHECK_TRACE("3 e0000000");
    panel_scan();
    CHECK_TRACE("read 3 00000000");
    CHECK(hal_finish(&results));
    CHECK(panel_rest());
    fake_forget();
    panel_scan_setup(PANEL_READ, 0x1);
    CHECK_TRACE("3 030100; 3 a0000000");
}

static void temperature_comes_from_a_sound_sensor(void)
{
    int16_t raw = 0;
    fake_temperature = -5;
    CHECK(panel_temperature(&raw));
    CHECK_EQUAL(raw, -5);
    CHECK_TRACE("read 5 500000; read 5 5800");
    fake_stuck_select = HWL_SELECT_TEMPERATURE;
    CHECK(!panel_temperature(&raw));
    fake_stuck_select = -1;
    fake_chips_dead = true;
    CHECK(!panel_temperature(&raw));
    fake_chips_dead = false;
    uint8_t stray[4] = {0};
    hal_spi_read(HWL_SELECT_MODE_SWITCHES, 4, 1, stray, 3);
    CHECK(!panel_temperature(&raw));
    fake_forget();
}

static void over_temperature_is_what_the_chips_said_last(void)
{
    fake_inputs = 1 << HWL_INPUT_OVERTEMPERATURE;
    CHECK(!panel_is_too_hot());
    CHECK(panel_look());
    CHECK(panel_is_too_hot());
    fake_inputs = (uint8_t)~(1 << HWL_INPUT_OVERTEMPERATURE);
    CHECK(panel_rest());
    CHECK(!panel_is_too_hot());
    fake_chips_dead = true;
    CHECK(!panel_look());
    fake_forget();
}

static void (*const tests[])(void) = {
    starts_with_the_pins, grounds_whatever_it_remembers, grounds_every_chip_of_a_large_board, forgets_at_grounding,
    enables_sound_chips_only, finds_stuck_lines, finds_answers_that_are_missing, sends_changes_of_mode_only,
    loads_a_pulse_by_changes, opens_the_old_row_before_it_closes_the_new, loads_masks_by_changes,
    loads_the_chains_that_change, feedback_is_twelve_bits_a_column, bias_stands_in_the_upper_bits,
    inputs_go_to_the_active_rows, compensation_is_ten_bits_a_row, every_compensation_chain_is_reached,
    scans_the_columns_that_are_set_up, a_check_ends_the_sequence, sources_have_ranges, routes_stay_while_it_rests,
    the_supply_is_at_the_auxiliary_input,
    temperature_comes_from_a_sound_sensor, over_temperature_is_what_the_chips_said_last};

int main(void)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        fake_board("hwloop-16x4");
        tests[i]();
    }
    return check_result();
}
