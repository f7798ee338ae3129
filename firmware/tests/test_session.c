/* Exactly once, in order, and grounded where it has to be: sequenced commands, retries, long commands, the record. */
#include "asking.h"

#include "../src/board.h"
#include "../src/session.h"
#include "../src/wiring.h"

enum { CACHE = HWL_SESSION_REPLY_CACHE };

/* ---- sequence numbers and cached replies ---- */

static void a_retry_is_answered_and_not_executed(void)
{
    size_t first_count, count;
    uint8_t first[64];
    open_session();
    CHECK(wait_for(0, 10));
    memcpy(first, host_heard_bytes(&first_count), 32);
    CHECK(wait_for(1, 10));
    CHECK(wait_for(0, 999));        /* whatever the payload says */
    CHECK(memcmp(host_heard_bytes(&count), first, first_count) == 0 && count == first_count);
    CHECK_EQUAL(fake_entry_count, 0);
    CHECK_EQUAL(status_now().ticks, 20);
    CHECK(ask(HWL_COMMAND_SAFE, SESSION, 0, 0, NULL));
    CHECK(wait_for(0, 10));         /* also while the board is safe */
    CHECK(!wait_for(2, 10));
    check_refused(HWL_STATUS_SAFE_LATCHED, 0, HWL_SAFE_REASON_COMMAND, 0, 0);
    CHECK(!wait_for(3, 10));
    check_refused(HWL_STATUS_SAFE_LATCHED, 0, HWL_SAFE_REASON_COMMAND, 0, 0);
}

static void a_gap_is_refused_and_takes_no_number(void)
{
    open_session();
    CHECK(!wait_for(1, 10));
    check_refused(HWL_STATUS_SEQUENCE_GAP, 0, 0, 0, 0);
    CHECK(wait_for(0, 10));
    CHECK(!wait_for(0x7FFF, 10));
    check_refused(HWL_STATUS_SEQUENCE_GAP, 0, 1, 0, 0);
    CHECK(!wait_for(0x8001, 10));
    check_refused(HWL_STATUS_SEQUENCE_STALE, 0, 1, 0, 0);
    CHECK_EQUAL(status_now().expected, 1);
    CHECK_EQUAL(status_now().ticks, 10);
}

static void a_refused_command_takes_its_number(void)
{
    open_session();
    CHECK(ask(HWL_COMMAND_WAIT, SESSION, 0, 1, (const uint8_t *)"x"));
    check_refused(HWL_STATUS_BAD_LENGTH, HWL_FIELD_ENTRIES, 1, 4, 4);
    struct status status = status_now();
    CHECK_EQUAL(status.expected, 1);
    CHECK_EQUAL(status.armed, 1);
    CHECK_EQUAL(status.completed, 1);
    CHECK_EQUAL(status.kind, HWL_COMMAND_WAIT);
    CHECK(!wait_for(0, 10));
    check_refused(HWL_STATUS_BAD_LENGTH, HWL_FIELD_ENTRIES, 1, 4, 4);
    CHECK(wait_for(1, 10));
}

static void keeps_sixteen_replies(void)
{
    open_session();
    for (uint16_t i = 0; i <= CACHE; i++)
        CHECK(wait_for(i, i));
    CHECK(!wait_for(0, 0));
    check_refused(HWL_STATUS_SEQUENCE_STALE, 0, CACHE + 1, 0, 0);
    for (uint16_t i = 1; i <= CACHE; i++) {
        CHECK(wait_for(i, 0));
        CHECK_EQUAL(get_u32(heard.payload), i);
    }
    CHECK(wait_for(CACHE + 1, 0));
    CHECK_EQUAL(status_now().ticks, CACHE * (CACHE + 1) / 2);
}

static bool again(uint16_t sequence)
{
    CHECK(ask(HWL_COMMAND_TIGHTEN, SESSION, sequence, 0, NULL));
    return heard.status == HWL_STATUS_OK;
}

static void sequence_numbers_wrap(void)
{
    const uint8_t request[HWL_TIGHTEN_REQUEST_BYTES] = {0};
    open_session();
    for (uint32_t i = 0; i < 65536; i++) {
        struct frame frame = {.kind = HWL_COMMAND_TIGHTEN, .session = SESSION, .sequence = (uint16_t)i,
                              .payload = request, .payload_bytes = sizeof request};
        fake_port_said_count = 0;
        fake_forget();
        session_handle(&frame);
    }
    host_start();
    fake_port_said_count = 0;
    CHECK_EQUAL(status_now().expected, 0);
    CHECK(again(0xFFFF));
    CHECK(again(0xFFF0));
    CHECK(!again(0xFFEF));
    check_refused(HWL_STATUS_SEQUENCE_STALE, 0, 0, 0, 0);
    CHECK(wait_for(0, 5));
    CHECK_EQUAL(status_now().ticks, 5);
    CHECK(again(0xFFF1));
    CHECK(!again(0xFFF0));
    check_refused(HWL_STATUS_SEQUENCE_STALE, 0, 1, 0, 0);
}

/* ---- grounding ---- */

static void safe_keeps_the_session(void)
{
    open_session();
    CHECK(wait_for(0, 300));
    CHECK(ask(HWL_COMMAND_SAFE, 0, 9, 2, (const uint8_t *)"ab"));
    CHECK_EQUAL(heard.payload_bytes, HWL_SAFE_REPLY_BYTES);
    CHECK_EQUAL(get_u32(heard.payload), 300);
    CHECK(fake_entries[1].kind == FAKE_PIN && fake_entries[1].pin == HWL_PIN_ENABLE && !fake_entries[1].level);
    struct status status = status_now();
    CHECK_EQUAL(status.armed, 0);
    CHECK_EQUAL(status.reason, HWL_SAFE_REASON_COMMAND);
    CHECK_EQUAL(status.session, SESSION);
    CHECK_EQUAL(status.expected, 1);
    CHECK(open_as(SESSION, 2, 1));
    CHECK(wait_for(1, 300));
}

static void close_ends_the_session(void)
{
    open_session();
    CHECK(wait_for(0, 300));
    CHECK(ask(HWL_COMMAND_CLOSE, SESSION, 9, 0, NULL));
    CHECK_EQUAL(heard.payload_bytes, HWL_CLOSE_REPLY_BYTES);
    CHECK_EQUAL(get_u32(heard.payload), 300);
    struct status status = status_now();
    CHECK_EQUAL(status.armed, 0);
    CHECK_EQUAL(status.reason, HWL_SAFE_REASON_COMMAND);
    CHECK_EQUAL(status.session, 0);
    CHECK(!wait_for(0, 300));
    check_refused(HWL_STATUS_NOT_OPEN, 0, 0, 0, 0);
    CHECK(!open_as(SESSION, 2, 1));
    check_refused(HWL_STATUS_NOT_OPEN, 0, 0, 0, 0);
    CHECK(open_as(SESSION, 1, 0));      /* gone, so that its tags are forgotten */
    CHECK(wait_for(0, 300));
    CHECK_EQUAL(status_now().ticks, 600);
}

static void a_fault_grounds_and_is_kept(void)
{
    open_session();
    fake_stuck_select = HWL_SELECT_TEMPERATURE;
    CHECK(!wait_for(0, 10));
    check_refused(HWL_STATUS_FAULT, 0, 0, 0, 0);
    struct status status = status_now();
    CHECK_EQUAL(status.armed, 0);
    CHECK_EQUAL(status.reason, HWL_SAFE_REASON_FAULT);
    CHECK_EQUAL(status.kind, HWL_COMMAND_WAIT);
    CHECK_EQUAL(status.completed, 0);
    CHECK_EQUAL(status.expected, 1);
    CHECK(!wait_for(1, 10));
    check_refused(HWL_STATUS_SAFE_LATCHED, 0, HWL_SAFE_REASON_FAULT, 0, 0);
    fake_stuck_select = -1;
    CHECK(open_as(SESSION, 2, 1));
    CHECK(!wait_for(0, 10));                /* its reply stays what it was */
    check_refused(HWL_STATUS_FAULT, 0, 0, 0, 0);
    CHECK(wait_for(1, 10));
    CHECK_EQUAL(status_now().completed, 1);
}

static void too_hot_after_a_command(void)
{
    open_session();
    fake_inputs = 1u << HWL_INPUT_OVERTEMPERATURE;
    CHECK(ask(HWL_COMMAND_WAIT, SESSION, 0, 0, NULL));      /* refused, so that nobody looked */
    CHECK_EQUAL(status_now().armed, 1);
    CHECK(wait_for(1, 10));
    struct status status = status_now();
    CHECK_EQUAL(status.armed, 0);
    CHECK_EQUAL(status.reason, HWL_SAFE_REASON_TEMPERATURE);
    CHECK_EQUAL(status.completed, 1);
    CHECK(!wait_for(2, 10));
    check_refused(HWL_STATUS_SAFE_LATCHED, 0, HWL_SAFE_REASON_TEMPERATURE, 0, 0);
    CHECK(!open_as(SESSION, 2, 1));
    CHECK_EQUAL(heard.status, HWL_STATUS_FAULT);
    CHECK_EQUAL(status_now().reason, HWL_SAFE_REASON_TEMPERATURE);
}

/* ---- long commands ---- */

static void (*listen)(uint16_t select, const uint8_t *frame, uint8_t frame_bytes);
static uint32_t frame_milliseconds;     /* so long takes each frame to a chip */

static void slow(uint16_t select, const uint8_t *frame, uint8_t frame_bytes)
{
    fake_milliseconds += frame_milliseconds;
    listen(select, frame, frame_bytes);
}

static uint8_t read_request[HWL_READ_REQUEST_BYTES + HWL_READ_SECTION_BYTES + 16 * 4];

static void say_long_read(uint32_t milliseconds)
{
    uint8_t *at = read_request;
    memset(read_request, 0, sizeof read_request);
    at[HWL_READ_REQUEST_SUB_AVERAGES] = 1;
    put_u16(at + HWL_READ_REQUEST_AVERAGES, 4);
    at += HWL_READ_REQUEST_BYTES;
    at[HWL_READ_SECTION_LAYOUT] = HWL_LAYOUT_ROWS;
    put_u16(at + HWL_READ_SECTION_WORD_COUNT, 32);
    for (uint32_t row = 0; row < 16; row++) {
        put_u16(at + HWL_READ_SECTION_BYTES + 4 * row, row);
        put_u16(at + HWL_READ_SECTION_BYTES + 4 * row + 2, 15);
    }
    open_session();
    listen = fake_frame;
    fake_frame = slow;
    frame_milliseconds = milliseconds;
    host_says(HWL_COMMAND_READ, SESSION, 0, sizeof read_request, read_request);
}

static bool answers(uint8_t kind, uint8_t status)
{
    return host_hears() && heard.kind == (kind | HWL_REPLY_BIT) && heard.status == status;
}

static void safe_stops_a_long_command(void)
{
    say_long_read(1);
    host_says(HWL_COMMAND_WAIT, SESSION, 1, 0, NULL);
    host_says(HWL_COMMAND_SAFE, OTHER, 0, 0, NULL);
    board_step();
    CHECK(answers(HWL_COMMAND_READ, HWL_STATUS_FAULT));
    check_refused(HWL_STATUS_FAULT, 0, 0, 0, 0);
    CHECK(answers(HWL_COMMAND_WAIT, HWL_STATUS_SAFE_LATCHED));
    CHECK(answers(HWL_COMMAND_SAFE, HWL_STATUS_OK));
    struct status status = status_now();
    CHECK_EQUAL(status.reason, HWL_SAFE_REASON_COMMAND);    /* not FAULT: the host asked for it */
    CHECK_EQUAL(status.kind, HWL_COMMAND_READ);
    CHECK_EQUAL(status.completed, 0);
    CHECK_EQUAL(status.expected, 1);
}

static void a_retry_behind_a_long_command_is_answered_from_the_cache(void)
{
    say_long_read(1);
    host_says(HWL_COMMAND_READ, SESSION, 0, sizeof read_request, read_request);
    board_step();
    size_t first, second;
    CHECK(answers(HWL_COMMAND_READ, HWL_STATUS_OK));
    const uint8_t *bytes = host_heard_bytes(&first);
    CHECK(answers(HWL_COMMAND_READ, HWL_STATUS_OK));
    CHECK(memcmp(host_heard_bytes(&second), bytes, first) == 0 && second == first);
    CHECK(!host_hears());
    CHECK_EQUAL(status_now().ticks, 16 * (200 + 4 * 160));
}

static void a_silent_host_stops_a_long_command(void)
{
    say_long_read(200);
    board_step();
    CHECK(answers(HWL_COMMAND_READ, HWL_STATUS_FAULT));
    CHECK_EQUAL(status_now().reason, HWL_SAFE_REASON_DEAD_MAN);
}

static void a_heartbeat_is_heard_in_a_long_command(void)
{
    say_long_read(1);
    fake_milliseconds += 1990;      /* since OPEN */
    host_says(HWL_COMMAND_HEARTBEAT, SESSION, 0, 0, NULL);
    board_step();
    CHECK(answers(HWL_COMMAND_READ, HWL_STATUS_OK));
    CHECK(!host_hears());
    CHECK_EQUAL(status_now().armed, 1);
}

/* What the record says before and after. */
static void keeps_a_record_of_each_command(void)
{
    open_session();
    CHECK(wait_for(0, 10));
    CHECK_EQUAL(fake_entries[0].kind, FAKE_STORE);
    CHECK_EQUAL(fake_bytes[fake_entries[0].first_byte + 8], HWL_COMMAND_WAIT);
    CHECK_EQUAL(fake_bytes[fake_entries[0].first_byte + 9], 0);
    const struct fake_entry *last = &fake_entries[fake_entry_count - 1];
    CHECK_EQUAL(last->kind, FAKE_STORE);
    CHECK_EQUAL(fake_bytes[last->first_byte + 9], 1);
    memcpy(fake_boot.store, fake_bytes + fake_entries[0].first_byte, HAL_STORE_BYTES);
    fake_boot.reset_cause = HWL_RESET_CAUSE_WATCHDOG;
    fake_boot.bench_ticks = 4321;
    board_start();
    struct status status = status_now();
    CHECK_EQUAL(status.boots, 2);
    CHECK_EQUAL(status.cause, HWL_RESET_CAUSE_WATCHDOG);
    CHECK_EQUAL(status.kind, HWL_COMMAND_WAIT);
    CHECK_EQUAL(status.completed, 0);
    CHECK_EQUAL(status.session, 0);
    CHECK_EQUAL(status.expected, 0);
    CHECK_EQUAL(status.ticks, 4321);
    CHECK(!wait_for(0, 10));
    check_refused(HWL_STATUS_NOT_OPEN, 0, 0, 0, 0);
}

static void (*const tests[])(void) = {
    a_retry_is_answered_and_not_executed, a_gap_is_refused_and_takes_no_number, a_refused_command_takes_its_number,
    keeps_sixteen_replies, sequence_numbers_wrap, safe_keeps_the_session, close_ends_the_session,
    a_fault_grounds_and_is_kept, too_hot_after_a_command, safe_stops_a_long_command,
    a_retry_behind_a_long_command_is_answered_from_the_cache, a_silent_host_stops_a_long_command,
    a_heartbeat_is_heard_in_a_long_command, keeps_a_record_of_each_command};

int main(void)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        asking_start("hwloop-16x4");
        tests[i]();
    }
    return check_result();
}
