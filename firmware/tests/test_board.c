/* The board's main step: it answers, looks after the chips and the host, and sleeps. */
#define FAKE_CHIPS_BODY /* safety_may_go_on() is the real one here */
#include "fake_chips.h"
#include "fake_host.h"

#include "../src/board.h"
#include "../src/bytes.h"
#include "../src/wiring.h"

enum { SESSION = 7 };

static void ask(uint8_t kind, size_t count, const uint8_t *payload)
{
    host_says(kind, SESSION, 1, count, payload);
    board_step();
    CHECK(host_hears());
    CHECK_EQUAL(heard.kind, kind | HWL_REPLY_BIT);
}

static void open(void)
{
    uint8_t request[HWL_OPEN_REQUEST_BYTES] = {0};
    put_u32(request, HWL_WIRE_HASH);
    ask(HWL_COMMAND_OPEN, sizeof request, request);
    CHECK_EQUAL(heard.status, HWL_STATUS_OK);
    CHECK(safety_is_armed());
    fake_forget();
}

static void rests(uint32_t milliseconds)
{
    for (uint32_t end = fake_milliseconds + milliseconds; fake_milliseconds < end;)
        board_step();       /* each sleeps 10 ms */
}

static void starts_grounded(void)
{
    CHECK(fake_entries[0].kind == FAKE_PIN && fake_entries[0].pin == HWL_PIN_DRIVE && !fake_entries[0].level);
    for (size_t i = 0; i < fake_entry_count; i++)
        CHECK(fake_entries[i].kind != FAKE_PIN || fake_entries[i].pin == HWL_PIN_LDAC || !fake_entries[i].level);
    ask(HWL_COMMAND_STATUS, 0, NULL);
    CHECK_EQUAL(heard.payload[HWL_STATUS_REPLY_ARMED], 0);
    CHECK_EQUAL(heard.payload[HWL_STATUS_REPLY_SAFE_REASON], HWL_SAFE_REASON_RESET);
}

static void starts_safe_where_chips_do_not_answer(void)
{
    fake_chips_dead = true;
    board_start();
    ask(HWL_COMMAND_STATUS, 0, NULL);
    CHECK_EQUAL(heard.payload[HWL_STATUS_REPLY_SAFE_REASON], HWL_SAFE_REASON_FAULT);
    fake_chips_dead = false;
    fake_stuck_select = HWL_SELECT_TEMPERATURE;
    board_start();
    ask(HWL_COMMAND_STATUS, 0, NULL);
    CHECK_EQUAL(heard.payload[HWL_STATUS_REPLY_SAFE_REASON], HWL_SAFE_REASON_FAULT);
}

static void sleeps_only_when_there_is_nothing_to_do(void)
{
    uint32_t before = fake_milliseconds, fed = fake_watchdog_feeds;
    ask(HWL_COMMAND_STATUS, 0, NULL);
    CHECK_EQUAL(fake_milliseconds, before);
    board_step();
    CHECK(fake_milliseconds > before);
    CHECK(fake_watchdog_feeds >= fed + 2);
}

static void grounds_when_the_host_is_silent(void)
{
    open();
    rests(2000);
    CHECK(safety_is_armed());
    rests(30);
    CHECK(!safety_is_armed());
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_DEAD_MAN);
}

static void a_heartbeat_that_came_meanwhile_counts(void)
{
    open();
    rests(1990);
    fake_milliseconds += 5000;      /* the board itself was busy */
    host_says(HWL_COMMAND_HEARTBEAT, SESSION, 0, 0, NULL);
    board_step();
    CHECK(safety_is_armed());
}

static void another_hosts_chatter_does_not_count(void)
{
    open();
    for (uint32_t i = 0; i < 300; i++) {
        host_says(HWL_COMMAND_STATUS, SESSION + 1, 0, 0, NULL);
        fake_milliseconds += 10;
        board_step();
    }
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_DEAD_MAN);
}

static void a_flood_does_not_keep_it_from_safety(void)
{
    open();
    for (uint32_t i = 0; i < 20000; i++)
        host_says(HWL_COMMAND_STATUS, SESSION + 1, 0, 0, NULL);
    fake_milliseconds += 2001;
    board_step();
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_DEAD_MAN);
    uint8_t left;
    CHECK_EQUAL(hal_port_read(&left, 1), 1);
}

static void looks_at_the_chips_while_it_is_idle(void)
{
    open();
    uint32_t before = fake_finishes;
    rests(1000);
    CHECK(fake_finishes - before >= 9 && fake_finishes - before <= 11);
    fake_inputs = 1u << HWL_INPUT_OVERTEMPERATURE;
    rests(120);
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_TEMPERATURE);
    CHECK(!safety_is_armed());
    before = fake_finishes;
    rests(500);
    CHECK_EQUAL(fake_finishes, before);     /* nothing can be driven: nothing to look after */
}

static void silent_chips_are_a_fault(void)
{
    open();
    fake_chips_dead = true;
    rests(120);
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_FAULT);
    CHECK(!safety_is_armed());
}

static void (*const tests[])(void) = {
    starts_grounded, starts_safe_where_chips_do_not_answer, sleeps_only_when_there_is_nothing_to_do,
    grounds_when_the_host_is_silent, a_heartbeat_that_came_meanwhile_counts, another_hosts_chatter_does_not_count,
    a_flood_does_not_keep_it_from_safety, looks_at_the_chips_while_it_is_idle, silent_chips_are_a_fault};

int main(void)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        fake_board("hwloop-16x4");
        host_start();
        board_start();
        tests[i]();
    }
    return check_result();
}
