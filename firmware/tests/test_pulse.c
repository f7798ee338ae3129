/* PULSE: the time line of row pulses, every limit at its edge, and that nothing moves where one is passed. */
#include "fake_chips.h"

#include "../src/bytes.h"
#include "../src/limits.h"

static struct payload payload;

struct pulse {
    uint8_t array, polarity, layout, target;
    uint16_t width, amplitude, gate;
};

static const struct pulse set_pulse = {.width = 10, .amplitude = 0x6666, .gate = 0x5555};

static void add_section(struct pulse pulse, size_t count, const uint16_t *words)
{
    add_u8(&payload, pulse.array);
    add_u8(&payload, pulse.polarity);
    add_u8(&payload, pulse.layout);
    add_u8(&payload, pulse.target);
    add_u16(&payload, pulse.width);
    add_u16(&payload, pulse.amplitude);
    add_u16(&payload, pulse.gate);
    add_u16(&payload, (uint32_t)count);
    add_words(&payload, count, words);
}
#define ADD_SECTION(pulse, ...) \
    add_section(pulse, sizeof(uint16_t[]){__VA_ARGS__} / 2, (const uint16_t[]){__VA_ARGS__})

static void check_reply(uint32_t ticks, uint32_t row_pulses)
{
    CHECK_EQUAL(reply_bytes, HWL_PULSE_REPLY_BYTES);
    CHECK_EQUAL(get_u32(reply), ticks);
    CHECK_EQUAL(get_u16(reply + 4), row_pulses);
}

static void nothing_listed_is_nothing_done(void)
{
    CHECK(run(pulse_command, &payload));
    check_reply(0, 0);
    CHECK_TRACE("at 0; read 6 00000000; read 6 00000000; read 3 0a0000; read 5 5800");
}

static void a_row_pulse_loads_settles_and_recovers(void)
{
    bench_ticks = 1000;
    ADD_SECTION(set_pulse, 4, 6, 8);
    CHECK(run(pulse_command, &payload));
    /* Row 1: columns 0 and 2, three words change; row 2: column 0, none does. */
    check_reply(3 * 10 + 100 + 10 + 50 + 100 + 10 + 50, 2);
    CHECK_TRACE("6 00000005; at 1000; 100 0002; 7 05; 0 306666 326666; 1 305555; at 1130; pulse 10; "
                "at 1190; 100 0004; 7 01; at 1290; pulse 10; "
                "at 1350; 100 0000; 7 00; at 1350; read 6 00000000; read 6 00000000; read 3 0a0000; read 5 5800");
    CHECK_EQUAL(bench_ticks, 1350);
}

static void words_are_held_over_commands(void)
{
    ADD_SECTION(set_pulse, 0);
    CHECK(run(pulse_command, &payload));
    check_reply(180, 1);
    struct pulse reset = set_pulse;
    reset.array = 1;
    reset.polarity = HWL_POLARITY_RESET;
    ADD_SECTION(reset, 0);
    CHECK(run(pulse_command, &payload));
    check_reply(160, 1);
}

static void modes_follow_array_and_polarity(void)
{
    static const struct {
        uint8_t array, polarity;
        const char *mode;
    } cases[] = {{0, HWL_POLARITY_SET, "6 00000005"},  {1, HWL_POLARITY_SET, "6 00000006"},  {0, HWL_POLARITY_RESET, "6 00000009"},
                 {1, HWL_POLARITY_RESET, "6 0000000a"}, {0, HWL_POLARITY_FORM, "6 00000005"}, {1, HWL_POLARITY_FORM, "6 00000006"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pulse pulse = set_pulse;
        pulse.array = cases[i].array;
        pulse.polarity = cases[i].polarity;
        ADD_SECTION(pulse, 0);
        CHECK(run(pulse_command, &payload));
        CHECK(strncmp(fake_trace(), cases[i].mode, 6) == 0);
        fake_forget();
    }
}

static void targets_give_each_row_or_cell_its_code(void)
{
    struct pulse pulse = set_pulse;
    pulse.target = HWL_TARGET_GATE;
    pulse.layout = HWL_LAYOUT_ROWS;
    ADD_SECTION(pulse, 2, 0x3, 0x1234, 3, 0x3, 0x1235);
    pulse.target = HWL_TARGET_AMPLITUDE;
    ADD_SECTION(pulse, 2, 0x5, 0x1111, 0x2222);
    CHECK(run(pulse_command, &payload));
    check_reply(130 + 60 + 110 + 60 + 130 + 60, 3);
    CHECK_TRACE("6 00000005; at 0; 100 0004; 7 03; 0 306666 316666; 1 301234; at 130; pulse 10; "
                "at 190; 100 0008; 1 301235; at 300; pulse 10; "
                "at 360; 100 0004; 7 05; 0 301111 322222; 1 305555; at 490; pulse 10; "
                "at 550; 100 0000; 7 00; at 550; read 6 00000000; read 6 00000000; read 3 0a0000; read 5 5800");
}

static void a_routed_cell_is_let_go(void)
{
    add_u8(&payload, HWL_ROUTE_CELL_TO_SMU);
    add_u8(&payload, 1);
    ADD_WORDS(&payload, 3, 2);
    CHECK(run(route_command, &payload));
    fake_forget();
    CHECK(run(pulse_command, &payload));
    CHECK_TRACE("100 0000; 7 00; at 200; read 6 00000000; read 6 00000000; read 3 0a0000; read 5 5800");
}

/* ---- refusals ---- */

static void refuses_payloads_that_are_cut(void)
{
    ADD_SECTION(set_pulse, 1, 2);
    payload.count--;
    CHECK(!run(pulse_command, &payload));
    CHECK_BAD_LENGTH(15, 16);
    struct pulse wrong = set_pulse;
    wrong.array = 9;
    ADD_SECTION(wrong, 1, 2);
    add_u8(&payload, 0);
    CHECK(!run(pulse_command, &payload)); /* lengths of all sections come before anything else */
    CHECK_BAD_LENGTH(17, 28);
}

static void refuses_fields_of_a_section(void)
{
    struct pulse pulse = set_pulse;
    pulse.array = 2;
    ADD_SECTION(set_pulse, 0);
    ADD_SECTION(pulse, 0);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(ARRAY, 1, 2, 0, 1);
    pulse = set_pulse;
    pulse.polarity = 3;
    ADD_SECTION(pulse, 0);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(POLARITY, 0, 3, 0, 2);
    pulse = set_pulse;
    pulse.layout = 2;
    ADD_SECTION(pulse, 0);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(LAYOUT, 0, 2, 0, 1);
    pulse = set_pulse;
    pulse.target = 3;
    ADD_SECTION(pulse, 0);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(TARGET, 0, 3, 0, 2);
    pulse = set_pulse;
    pulse.width = 0;
    ADD_SECTION(pulse, 0);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(WIDTH_TICKS, 0, 0, 1, 10000);
    pulse.width = 10001;
    ADD_SECTION(pulse, 0);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(WIDTH_TICKS, 0, 10001, 1, 10000);
    ADD_SECTION(set_pulse, 0, 64);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(CELL, 1, 64, 0, 63);
}

static bool amplitude_passes(uint8_t polarity, uint16_t amplitude)
{
    struct pulse pulse = set_pulse;
    pulse.polarity = polarity;
    pulse.amplitude = amplitude;
    ADD_SECTION(pulse, 0);
    return run(pulse_command, &payload);
}

static void amplitudes_stop_at_their_limit(void)
{
    CHECK(amplitude_passes(HWL_POLARITY_SET, 32768));
    CHECK(amplitude_passes(HWL_POLARITY_RESET, 32768));
    CHECK(amplitude_passes(HWL_POLARITY_FORM, 43254));
    fake_forget();
    CHECK(!amplitude_passes(HWL_POLARITY_SET, 32769));
    CHECK_OUT_OF_RANGE(AMPLITUDE_CODE, 0, 32769, 0, 32768);
    CHECK(!amplitude_passes(HWL_POLARITY_RESET, 32769));
    CHECK_OUT_OF_RANGE(AMPLITUDE_CODE, 0, 32769, 0, 32768);
    CHECK(!amplitude_passes(HWL_POLARITY_FORM, 43255));
    CHECK_OUT_OF_RANGE(AMPLITUDE_CODE, 0, 43255, 0, 43254);
}

static void gates_stop_at_their_limit(void)
{
    struct pulse pulse = set_pulse;
    pulse.gate = 39322;
    ADD_SECTION(pulse, 0);
    CHECK(run(pulse_command, &payload));
    fake_forget();
    pulse.gate = 39323;
    ADD_SECTION(pulse, 0);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(GATE_CODE, 0, 39323, 0, 39322);
}

static void energy_stops_at_its_limit(void)
{
    struct pulse pulse = set_pulse;
    pulse.amplitude = 32768;
    pulse.width = 10000; /* 2.5 V for 1 ms is the limit itself */
    ADD_SECTION(pulse, 0);
    CHECK(run(pulse_command, &payload));
    fake_forget();
    pulse.polarity = HWL_POLARITY_FORM;
    pulse.amplitude = 32769;
    ADD_SECTION(pulse, 0);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(PULSE_ENERGY, 0, 10240625, 0, 10240000);
    pulse.amplitude = 43254;
    ADD_SECTION(pulse, 0);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(PULSE_ENERGY, 0, 17842374, 0, 10240000);
}

static void amplitudes_then_gates_then_energies(void)
{
    struct pulse pulse = set_pulse;
    pulse.target = HWL_TARGET_AMPLITUDE;
    pulse.polarity = HWL_POLARITY_FORM;
    pulse.gate = 40000;
    pulse.width = 10000;
    ADD_SECTION(set_pulse, 9, 9);
    ADD_SECTION(pulse, 1, 100, 2, 40000, 3, 50000);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(AMPLITUDE_CODE, 4, 50000, 0, 43254);
    ADD_SECTION(set_pulse, 9, 9);
    ADD_SECTION(pulse, 1, 100, 2, 40000, 3, 100);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(GATE_CODE, 2, 40000, 0, 39322);
    pulse.gate = 0;
    ADD_SECTION(set_pulse, 9, 9);
    ADD_SECTION(pulse, 1, 100, 2, 40000, 3, 41000);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(PULSE_ENERGY, 3, 15258789, 0, 10240000);
    pulse = set_pulse;
    pulse.target = HWL_TARGET_GATE;
    ADD_SECTION(pulse, 1, 100, 2, 40001, 3, 40002);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(GATE_CODE, 1, 40001, 0, 39322);
}

static void common_codes_count_with_a_cell_only(void)
{
    struct pulse pulse = set_pulse;
    pulse.amplitude = pulse.gate = 65535;
    add_section(pulse, 0, NULL);
    CHECK(run(pulse_command, &payload));
    check_reply(0, 0);
}

static void a_row_is_on_for_so_long_in_one_command(void)
{
    struct pulse longest = set_pulse, other = set_pulse;
    longest.width = 10000;
    longest.amplitude = 100;
    longest.array = 1;
    uint16_t words[101];
    for (size_t i = 0; i < 101; i++)
        words[i] = 13;
    add_section(longest, 100, words);
    CHECK(run(pulse_command, &payload));
    CHECK_EQUAL(get_u16(reply + 4), 100);
    fake_forget();
    ADD_SECTION(other, 1, 2, 12); /* row 3 of the other array does not count */
    add_section(longest, 100, words);
    longest.width = 1;
    ADD_SECTION(longest, 12);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(ROW_ON_TICKS, 3, 1000001, 0, 1000000);
}

static void tightened_limits_hold(void)
{
    CHECK(limit_tighten(HWL_LIMIT_KIND_AMPLITUDE_CODE, 100));
    CHECK(limit_tighten(HWL_LIMIT_KIND_FORM_CODE, 101));
    CHECK(limit_tighten(HWL_LIMIT_KIND_GATE_CODE, 0x5555));
    CHECK(limit_tighten(HWL_LIMIT_KIND_WIDTH_TICKS, 20));
    CHECK(limit_tighten(HWL_LIMIT_KIND_ROW_ON_TICKS, 15));
    CHECK(!amplitude_passes(HWL_POLARITY_SET, 101));
    CHECK_OUT_OF_RANGE(AMPLITUDE_CODE, 0, 101, 0, 100);
    CHECK(amplitude_passes(HWL_POLARITY_FORM, 101));
    fake_forget();
    struct pulse pulse = set_pulse;
    pulse.amplitude = 100;
    ADD_SECTION(pulse, 1, 3, 1);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(ROW_ON_TICKS, 0, 20, 0, 15);
    pulse.width = 21;
    ADD_SECTION(pulse, 1);
    CHECK(!run(pulse_command, &payload));
    CHECK_OUT_OF_RANGE(WIDTH_TICKS, 0, 21, 1, 20);
    CHECK(limit_tighten(HWL_LIMIT_KIND_PULSE_ENERGY, 0));
    pulse.width = 15;
    ADD_SECTION(pulse, 1);
    CHECK(run(pulse_command, &payload));
    fake_forget();
}

/* ---- faults ---- */

static void stops_where_it_is_grounded(void)
{
    ADD_SECTION(set_pulse, 0, 4, 8);
    fake_grounded_at = 2;
    CHECK(!run(pulse_command, &payload));
    size_t pulses = 0;
    for (size_t i = 0; i < fake_entry_count; i++)
        pulses += fake_entries[i].kind == FAKE_PULSE;
    CHECK_EQUAL(pulses, 1);
    CHECK_FAULT();
}

static void chips_that_fail_are_a_fault(void)
{
    ADD_SECTION(set_pulse, 0);
    fake_chips_dead = true;
    CHECK(!run(pulse_command, &payload));
    CHECK_FAULT();
}

static void (*const tests[])(void) = {
    nothing_listed_is_nothing_done, a_row_pulse_loads_settles_and_recovers, words_are_held_over_commands,
    modes_follow_array_and_polarity, targets_give_each_row_or_cell_its_code, a_routed_cell_is_let_go,
    refuses_payloads_that_are_cut, refuses_fields_of_a_section, amplitudes_stop_at_their_limit,
    gates_stop_at_their_limit, energy_stops_at_its_limit, amplitudes_then_gates_then_energies,
    common_codes_count_with_a_cell_only, a_row_is_on_for_so_long_in_one_command, tightened_limits_hold,
    stops_where_it_is_grounded, chips_that_fail_are_a_fault};

int main(void)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        fake_board("hwloop-16x4");
        payload.count = 0;
        tests[i]();
    }
    return check_result();
}
