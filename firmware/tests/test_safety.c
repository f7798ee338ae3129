/* Safety: grounding, the dead-man, the look up from a long command, and the record that survives a reset. */
#define FAKE_CHIPS_BODY /* safety_may_go_on() is the real one here */
#include "fake_chips.h"
#include "fake_host.h"

#include "../src/bytes.h"
#include "../src/frame.h"
#include "../src/session.h"
#include "../src/wiring.h"

enum { SESSION = 7 };

static uint8_t record[HAL_STORE_BYTES];

static void open(void)
{
    uint8_t request[HWL_OPEN_REQUEST_BYTES] = {0};
    struct frame frame = {.kind = HWL_COMMAND_OPEN, .session = SESSION, .payload = request,
                          .payload_bytes = sizeof request};
    put_u32(request, HWL_WIRE_HASH);
    session_start(&fake_boot, true);
    session_handle(&frame);
    CHECK(safety_is_armed());
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_NONE);
    CHECK_EQUAL(session_number(), SESSION);
    fake_forget();
}

static void grounds_with_the_pins_first(void)
{
    open();
    safety_ground(HWL_SAFE_REASON_COMMAND);
    CHECK(!safety_is_armed());
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_COMMAND);
    CHECK(fake_entries[0].kind == FAKE_PIN && fake_entries[0].pin == HWL_PIN_DRIVE && !fake_entries[0].level);
    CHECK(fake_entries[1].kind == FAKE_PIN && fake_entries[1].pin == HWL_PIN_ENABLE && !fake_entries[1].level);
    fake_forget();
    fake_chips_dead = true;
    safety_ground(HWL_SAFE_REASON_FAULT);
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_FAULT);
    CHECK(fake_entries[1].kind == FAKE_PIN && fake_entries[1].pin == HWL_PIN_ENABLE && !fake_entries[1].level);
}

static void silent_until(uint32_t milliseconds)
{
    fake_milliseconds = milliseconds;
    safety_check_dead_man();
}

static void the_dead_man_waits_two_seconds(void)
{
    open();
    silent_until(2000);
    CHECK(safety_is_armed());
    CHECK_EQUAL(fake_entry_count, 0);
    silent_until(2001);
    CHECK(!safety_is_armed());
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_DEAD_MAN);
    CHECK(fake_entry_count > 0);
    /* Grounded once: the reason is not written over, nor the chips told again. */
    safety_ground(HWL_SAFE_REASON_COMMAND);
    fake_forget();
    silent_until(9000);
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_COMMAND);
    CHECK_EQUAL(fake_entry_count, 0);
}

static void the_dead_man_starts_anew_with_every_word(void)
{
    open();
    silent_until(1900);
    safety_heard();
    silent_until(3900);
    CHECK(safety_is_armed());
    silent_until(3901);
    CHECK(!safety_is_armed());
}

static void the_dead_man_outlives_the_wrap_of_the_clock(void)
{
    fake_milliseconds = UINT32_MAX - 500;
    open();
    silent_until(1499);
    CHECK(safety_is_armed());
    silent_until(1500);
    CHECK(!safety_is_armed());
}

static void feeds_the_watchdog_at_every_call(void)
{
    open();
    uint32_t before = fake_watchdog_feeds;
    CHECK(safety_may_go_on());
    CHECK(safety_may_go_on());
    CHECK_EQUAL(fake_watchdog_feeds - before, 2);
}

static void a_long_command_hears_safe(void)
{
    open();
    safety_begin(HWL_COMMAND_PULSE, 0);
    host_says(HWL_COMMAND_PULSE, SESSION, 1, 0, NULL);
    host_says(HWL_COMMAND_SAFE, 0, 0, 0, NULL);
    CHECK(safety_may_go_on());      /* not within its first millisecond */
    fake_milliseconds++;
    CHECK(!safety_may_go_on());
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_COMMAND);
    fake_milliseconds++;
    fake_forget();
    CHECK(!safety_may_go_on());
    CHECK_EQUAL(fake_entry_count, 0);
    struct frame frame;
    CHECK(frame_next(&frame));      /* nothing was taken: each has its turn */
    CHECK_EQUAL(frame.kind, HWL_COMMAND_PULSE);
    CHECK(frame_next(&frame));
    CHECK_EQUAL(frame.kind, HWL_COMMAND_SAFE);
}

static void a_long_command_looks_once_a_millisecond(void)
{
    open();
    fake_milliseconds++;
    CHECK(safety_may_go_on());
    host_says(HWL_COMMAND_SAFE, 0, 0, 0, NULL);
    CHECK(safety_may_go_on());
    fake_milliseconds++;
    CHECK(!safety_may_go_on());
}

static void a_long_command_ends_when_the_host_is_silent(void)
{
    open();
    fake_milliseconds = 1500;
    CHECK(safety_may_go_on());
    host_says(HWL_COMMAND_HEARTBEAT, SESSION, 0, 0, NULL);
    fake_milliseconds = 1600;
    CHECK(safety_may_go_on());
    host_says(HWL_COMMAND_HEARTBEAT, SESSION + 1, 0, 0, NULL);
    fake_milliseconds = 3600;
    CHECK(safety_may_go_on());
    fake_milliseconds = 3601;
    CHECK(!safety_may_go_on());
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_DEAD_MAN);
}

/* The last record that was queued to be kept; false: none was. */
static bool kept(void)
{
    for (size_t i = fake_entry_count; i-- > 0;) {
        if (fake_entries[i].kind == FAKE_STORE) {
            memcpy(record, fake_bytes + fake_entries[i].first_byte, sizeof record);
            return true;
        }
    }
    return false;
}

static void the_watchdog_is_a_reason_of_its_own(void)
{
    safety_boot(fake_boot.store, HWL_RESET_CAUSE_WATCHDOG);
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_WATCHDOG);
    CHECK_EQUAL(safety_reset_cause(), HWL_RESET_CAUSE_WATCHDOG);
}

static void the_first_start_counts_one(void)
{
    const uint8_t wanted[12] = {'H', 'L', 'O', 'P', 1, 0, 0, 0, 0, 1, 0, 0};
    safety_boot(fake_boot.store, HWL_RESET_CAUSE_POWER);
    CHECK_EQUAL(safety_boot_counter(), 1);
    CHECK_EQUAL(safety_reset_cause(), HWL_RESET_CAUSE_POWER);
    CHECK_EQUAL(safety_reason(), HWL_SAFE_REASON_RESET);
    CHECK_EQUAL(safety_last_kind(), 0);
    CHECK_EQUAL(safety_last_sequence(), 0);
    CHECK(safety_last_completed());
    CHECK(!safety_is_armed());
    CHECK(kept());
    CHECK(memcmp(record, wanted, sizeof wanted) == 0);
    CHECK_EQUAL(get_u32(record + 12), crc32(wanted, sizeof wanted));
}

static void a_reset_keeps_the_command_that_was_under_way(void)
{
    open();
    safety_begin(HWL_COMMAND_PULSE, 0xABCD);
    CHECK(kept());
    CHECK_EQUAL(record[8], HWL_COMMAND_PULSE);
    CHECK_EQUAL(record[9], 0);
    safety_boot(record, HWL_RESET_CAUSE_WATCHDOG);
    CHECK_EQUAL(safety_boot_counter(), 2);
    CHECK_EQUAL(safety_reset_cause(), HWL_RESET_CAUSE_WATCHDOG);
    CHECK_EQUAL(safety_last_kind(), HWL_COMMAND_PULSE);
    CHECK_EQUAL(safety_last_sequence(), 0xABCD);
    CHECK(!safety_last_completed());
    CHECK(!safety_is_armed());
    safety_begin(HWL_COMMAND_READ, 3);
    CHECK(!safety_last_completed());
    safety_complete(true);
    CHECK(safety_last_completed());
    CHECK(kept());
    safety_boot(record, HWL_RESET_CAUSE_PIN);
    CHECK_EQUAL(safety_boot_counter(), 3);
    CHECK_EQUAL(safety_last_kind(), HWL_COMMAND_READ);
    CHECK(safety_last_completed());
}

static void a_damaged_record_counts_as_none(void)
{
    open();
    safety_begin(HWL_COMMAND_PULSE, 5);
    CHECK(kept());
    for (size_t i = 0; i < sizeof record; i++) {
        uint8_t damaged[HAL_STORE_BYTES];
        memcpy(damaged, record, sizeof damaged);
        damaged[i] ^= 0x10;
        safety_boot(damaged, HWL_RESET_CAUSE_POWER);
        CHECK_EQUAL(safety_boot_counter(), 1);
        CHECK_EQUAL(safety_last_kind(), 0);
        CHECK(safety_last_completed());
    }
    /* A record of something else, sound in itself. */
    record[0] ^= 1;
    put_u32(record + 12, crc32(record, 12));
    safety_boot(record, HWL_RESET_CAUSE_POWER);
    CHECK_EQUAL(safety_boot_counter(), 1);
}

static void (*const tests[])(void) = {
    grounds_with_the_pins_first, the_dead_man_waits_two_seconds, the_dead_man_starts_anew_with_every_word,
    the_dead_man_outlives_the_wrap_of_the_clock, feeds_the_watchdog_at_every_call, a_long_command_hears_safe,
    a_long_command_looks_once_a_millisecond, a_long_command_ends_when_the_host_is_silent, the_first_start_counts_one,
    the_watchdog_is_a_reason_of_its_own,
    a_reset_keeps_the_command_that_was_under_way, a_damaged_record_counts_as_none};

int main(void)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        fake_board("hwloop-16x4");
        host_start();
        frame_start();
        tests[i]();
    }
    return check_result();
}
