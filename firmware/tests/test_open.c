/* Commands without a sequence number, OPEN above all: who may open, and when. */
#include "asking.h"

#include "../src/board.h"
#include "../src/limits.h"
#include "../src/wiring.h"

/* ---- without a session ---- */

static void says_who_it_is(void)
{
    fake_boot.board_serial = 0x01020304;
    fake_boot.array_serial = 0xFFFFFFFF;
    board_start();
    CHECK(ask(HWL_COMMAND_IDENTIFY, 0, 5, 3, (const uint8_t *)"any"));
    CHECK_EQUAL(heard.payload_bytes, HWL_IDENTIFY_REPLY_BYTES);
    CHECK_EQUAL(get_u32(heard.payload), HWL_WIRE_HASH);
    CHECK_EQUAL(get_u32(heard.payload + 4), 1 << 16);
    CHECK_EQUAL(get_u32(heard.payload + 8), 0x01020304);
    CHECK_EQUAL(get_u32(heard.payload + 12), 0xFFFFFFFF);
    CHECK_EQUAL(get_u16(heard.payload + 16), 1);
    CHECK(memcmp(heard.payload + 18, "hwloop-16x4\0\0\0\0\0", 16) == 0);
}

static void describes_scales_and_limits_as_they_stand(void)
{
    fake_boot.reset_cause = HWL_RESET_CAUSE_BROWN_OUT;
    board_start();
    limit_tighten(HWL_LIMIT_KIND_ROW_ON_TICKS, 77);
    CHECK(ask(HWL_COMMAND_DESCRIBE, OTHER, 5, 0, NULL));
    CHECK_EQUAL(heard.payload_bytes, HWL_DESCRIBE_REPLY_BYTES);
    CHECK_EQUAL(get_u16(heard.payload + HWL_DESCRIBE_REPLY_ROWS), 16);
    CHECK_EQUAL(get_u16(heard.payload + HWL_DESCRIBE_REPLY_COLUMNS), 4);
    CHECK_EQUAL(get_u16(heard.payload + HWL_DESCRIBE_REPLY_MAX_FRAME_BYTES), 512);
    CHECK_EQUAL(heard.payload[HWL_DESCRIBE_REPLY_MAX_IN_FLIGHT], 4);
    CHECK_EQUAL(heard.payload[HWL_DESCRIBE_REPLY_RESET_CAUSE], HWL_RESET_CAUSE_BROWN_OUT);
    CHECK_EQUAL(get_u32(heard.payload + HWL_DESCRIBE_REPLY_BOOT_COUNTER), 1);
    CHECK_EQUAL(get_u32(heard.payload + HWL_DESCRIBE_REPLY_OUTPUT_GAIN), HWL_SCALE_OUTPUT_GAIN);
    CHECK_EQUAL(get_u32(heard.payload + HWL_DESCRIBE_REPLY_SATURATED_CODE), HWL_SCALE_SATURATED_CODE);
    CHECK_EQUAL(get_u32(heard.payload + HWL_DESCRIBE_REPLY_ROW_ON_TICKS_LIMIT), 77);
    CHECK_EQUAL(get_u32(heard.payload + HWL_DESCRIBE_REPLY_PULSE_ENERGY_LIMIT), HWL_LIMIT_PULSE_ENERGY);
}

static void refuses_what_it_does_not_know(void)
{
    CHECK(ask(0, 0, 0, 0, NULL));
    check_refused(HWL_STATUS_UNKNOWN_COMMAND, 0, 0, 0, 0);
    CHECK(ask(19, 0, 0, 0, NULL));
    check_refused(HWL_STATUS_UNKNOWN_COMMAND, 0, 19, 0, 0);
    CHECK(ask(127, 0, 0, 0, NULL));
    check_refused(HWL_STATUS_UNKNOWN_COMMAND, 0, 127, 0, 0);
}

static void does_not_answer_echoes_or_heartbeats(void)
{
    uint8_t body[16];
    CHECK(!ask(HWL_COMMAND_STATUS | HWL_REPLY_BIT, 0, 0, 0, NULL));
    host_says_body(body, host_body(body, HWL_COMMAND_STATUS, HWL_STATUS_FAULT, 0, 0, 0, NULL));
    board_step();
    CHECK(!host_hears());
    CHECK(!ask(HWL_COMMAND_HEARTBEAT, SESSION, 0, 3, (const uint8_t *)"any"));
}

static void an_echo_does_not_feed_the_dead_man(void)
{
    uint8_t body[16];
    open_session();
    fake_milliseconds += 1500;
    host_says_body(body, host_body(body, HWL_COMMAND_STATUS | HWL_REPLY_BIT, 0, SESSION, 0, 0, NULL));
    board_step();
    fake_milliseconds += 501;
    board_step();
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_DEAD_MAN);
}

static void nothing_moves_without_a_session(void)
{
    CHECK(!wait_for(0, 5));
    check_refused(HWL_STATUS_NOT_OPEN, 0, 0, 0, 0);
    CHECK(ask(HWL_COMMAND_WAIT, 0, 0, 0, NULL));
    check_refused(HWL_STATUS_NOT_OPEN, 0, 0, 0, 0);
    CHECK_EQUAL(fake_entry_count, 0);
    CHECK_EQUAL(status_now().ticks, 0);
}

/* ---- OPEN ---- */

static void opens_and_says_what_comes_next(void)
{
    bench_ticks = UINT64_C(0x123456789A);
    CHECK(open_as(SESSION, 1, 0));
    CHECK_EQUAL(heard.payload_bytes, HWL_OPEN_REPLY_BYTES);
    CHECK_EQUAL(get_u16(heard.payload), 0);
    CHECK_EQUAL(get_u32(heard.payload + 2), 0x3456789A);
    CHECK_EQUAL(get_u32(heard.payload + 6), 0x12);
    CHECK_EQUAL(get_u32(heard.payload + 10), 1);
    struct status status = status_now();
    CHECK_EQUAL(status.armed, 1);
    CHECK_EQUAL(status.reason, HWL_SAFE_REASON_NONE);
    CHECK_EQUAL(status.session, SESSION);
}

static void refuses_another_wire_table(void)
{
    uint8_t request[HWL_OPEN_REQUEST_BYTES] = {1, 2, 3, 4};
    open_session();
    CHECK(ask(HWL_COMMAND_OPEN, OTHER, 9, sizeof request, request));
    check_refused(HWL_STATUS_WIRE_MISMATCH, 0, (int32_t)HWL_WIRE_HASH, 0, 0);
    CHECK_EQUAL(status_now().armed, 1);             /* a stranger does not ground the session that is open */
    CHECK(ask(HWL_COMMAND_OPEN, SESSION, 9, 3, request));   /* the hash comes before the length */
    check_refused(HWL_STATUS_WIRE_MISMATCH, 0, (int32_t)HWL_WIRE_HASH, 0, 0);
    CHECK_EQUAL(status_now().reason, HWL_SAFE_REASON_WIRE_MISMATCH);
    open_as(SESSION, 10, 1);
    CHECK(ask(HWL_COMMAND_CLOSE, SESSION, 0, 0, NULL));
    CHECK(ask(HWL_COMMAND_OPEN, OTHER, 9, 0, NULL));
    CHECK_EQUAL(status_now().reason, HWL_SAFE_REASON_WIRE_MISMATCH);
}

static void refuses_an_open_that_makes_no_sense(void)
{
    uint8_t request[HWL_OPEN_REQUEST_BYTES + 1] = {0};
    put_u32(request, HWL_WIRE_HASH);
    CHECK(ask(HWL_COMMAND_OPEN, SESSION, 1, 5, request));
    check_refused(HWL_STATUS_BAD_LENGTH, HWL_FIELD_ENTRIES, 5, 6, 6);
    CHECK(ask(HWL_COMMAND_OPEN, SESSION, 1, 7, request));
    check_refused(HWL_STATUS_BAD_LENGTH, HWL_FIELD_ENTRIES, 7, 6, 6);
    CHECK(!open_as(0, 1, 0));
    check_refused(HWL_STATUS_OUT_OF_RANGE, 0, 0, 1, 65535);
    CHECK(!open_as(SESSION, 1, 1));
    check_refused(HWL_STATUS_NOT_OPEN, 0, 0, 0, 0);
    CHECK_EQUAL(status_now().armed, 0);
    CHECK_EQUAL(status_now().reason, HWL_SAFE_REASON_RESET);
}

static void a_second_host_is_refused(void)
{
    open_session();
    CHECK(!open_as(OTHER, 1, 0));
    check_refused(HWL_STATUS_BUSY, 0, SESSION, 0, 0);
    CHECK(ask(HWL_COMMAND_WAIT, OTHER, 0, 0, NULL));
    check_refused(HWL_STATUS_BUSY, 0, SESSION, 0, 0);
    CHECK(ask(HWL_COMMAND_CLOSE, OTHER, 0, 0, NULL));
    CHECK_EQUAL(status_now().armed, 1);
    CHECK(ask(HWL_COMMAND_SAFE, OTHER, 0, 0, NULL));    /* anybody may */
    CHECK_EQUAL(status_now().armed, 0);
    CHECK(open_as(OTHER, 1, 0));                        /* and then it is free; another session needs no newer tag */
    CHECK_EQUAL(status_now().session, OTHER);
}

static void an_open_that_comes_late_changes_nothing(void)
{
    CHECK(open_as(SESSION, 5, 0));
    CHECK(wait_for(0, 10));
    const uint16_t late[] = {5, 4, (uint16_t)(5 - 0x7FFF), (uint16_t)(5 + 0x8000)};
    for (size_t i = 0; i < 4; i++) {
        CHECK(open_as(SESSION, late[i], 0));
        CHECK_EQUAL(get_u16(heard.payload), 1);
        CHECK_EQUAL(fake_entry_count, 0);
    }
    CHECK(wait_for(0, 10));
    CHECK_EQUAL(status_now().ticks, 10);
    CHECK(ask(HWL_COMMAND_SAFE, SESSION, 0, 0, NULL));
    CHECK(open_as(SESSION, 5, 0));
    CHECK_EQUAL(status_now().armed, 0);
    CHECK(open_as(SESSION, 6, 1));
    CHECK_EQUAL(get_u16(heard.payload), 1);
    CHECK_EQUAL(status_now().armed, 1);
    CHECK(wait_for(0, 10));                                 /* resumed: the cache is there */
    CHECK_EQUAL(status_now().ticks, 10);
    CHECK(open_as(SESSION, (uint16_t)(6 + 0x7FFF), 0)); /* the newest there can be: anew */
    CHECK_EQUAL(get_u16(heard.payload), 0);
    CHECK(!wait_for(0xFFFF, 10));
    check_refused(HWL_STATUS_SEQUENCE_STALE, 0, 0, 0, 0);
}

static void an_open_that_starts_anew_grounds_first(void)
{
    open_session();
    CHECK(open_as(SESSION, 2, 0));
    bool grounded = false, enabled = false;
    for (size_t i = 0; i < fake_entry_count; i++) {
        if (fake_entries[i].kind == FAKE_PIN && fake_entries[i].pin == HWL_PIN_ENABLE) {
            grounded = grounded || !fake_entries[i].level;
            enabled = fake_entries[i].level;
        }
    }
    CHECK(grounded && enabled);
}

static void too_hot_to_open(void)
{
    fake_inputs = 1u << HWL_INPUT_OVERTEMPERATURE;
    fake_temperature = 85 * 128 + 1;
    CHECK(!open_as(SESSION, 1, 0));
    check_refused(HWL_STATUS_FAULT, HWL_FIELD_TEMPERATURE, 8501, -4000, 8500);
    CHECK_EQUAL(status_now().reason, HWL_SAFE_REASON_RESET);
    CHECK_EQUAL(status_now().session, 0);
    fake_stuck_select = HWL_SELECT_TEMPERATURE;
    CHECK(!open_as(SESSION, 1, 0));
    check_refused(HWL_STATUS_FAULT, 0, 0, 0, 0);
    CHECK_EQUAL(status_now().reason, HWL_SAFE_REASON_FAULT);
    fake_inputs = 0;
    fake_stuck_select = -1;
    CHECK(open_as(SESSION, 1, 0));
}

static void broken_chips_keep_it_from_opening_until_they_are_mended(void)
{
    fake_stuck_select = HWL_SELECT_ADC_LOW;
    fake_stuck_byte = 0xFF;
    CHECK(!open_as(SESSION, 1, 0));
    check_refused(HWL_STATUS_FAULT, 0, 0, 0, 0);
    CHECK(!open_as(SESSION, 1, 0));
    CHECK_EQUAL(status_now().armed, 0);
    CHECK_EQUAL(status_now().reason, HWL_SAFE_REASON_FAULT);
    fake_chips_dead = true;
    CHECK(!open_as(SESSION, 1, 0));
    fake_chips_dead = false;
    fake_stuck_select = -1;
    CHECK(open_as(SESSION, 1, 0));
    CHECK(fake_transfer(HWL_SELECT_ADC_LOW, 0)->frame_bytes == 4);      /* set up afresh: its reset comes first */
    CHECK(wait_for(0, 10));
}

static void (*const tests[])(void) = {
    says_who_it_is, describes_scales_and_limits_as_they_stand, refuses_what_it_does_not_know,
    does_not_answer_echoes_or_heartbeats, an_echo_does_not_feed_the_dead_man, nothing_moves_without_a_session,
    opens_and_says_what_comes_next, refuses_another_wire_table, refuses_an_open_that_makes_no_sense,
    a_second_host_is_refused, an_open_that_comes_late_changes_nothing, an_open_that_starts_anew_grounds_first,
    too_hot_to_open, broken_chips_keep_it_from_opening_until_they_are_mended};

int main(void)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        asking_start("hwloop-16x4");
        tests[i]();
    }
    return check_result();
}
