/* Grounding, the dead-man, the watchdog, and the record that survives a reset. */
#include "safety.h"

#include <string.h>

#include "../hal/hal.h"
#include "bytes.h"
#include "frame.h"
#include "panel.h"
#include "protocol.h"
#include "session.h"
#include "wiring.h"

/* Byte offsets of the record (wiring.toml, stream_sizes). */
enum {
    RECORD_MAGIC = 0,
    RECORD_BOOT_COUNTER = 4,
    RECORD_KIND = 8,
    RECORD_COMPLETED = 9,
    RECORD_SEQUENCE = 10,
    RECORD_CRC = 12,
    RECORD_BYTES = 16,
};
_Static_assert(HWL_STREAM_STORE_BYTES == (uint32_t)RECORD_BYTES && HAL_STORE_BYTES == (int)RECORD_BYTES,
               "one record, one size");

static bool armed;
static uint8_t reason = HWL_SAFE_REASON_RESET;
static uint32_t heard_milliseconds, looked_milliseconds;

static struct {
    uint32_t boot_counter;
    uint16_t sequence;
    uint8_t kind;
    bool completed;
    uint8_t reset_cause;
} record;

/* ---- grounding ---- */

void safety_ground(uint8_t safe_reason)
{
    armed = false;
    reason = safe_reason;
    panel_ground();
}

void safety_arm(void)
{
    armed = true;
    reason = HWL_SAFE_REASON_NONE;
    safety_heard();
}

bool safety_is_armed(void)
{
    return armed;
}

uint8_t safety_reason(void)
{
    return reason;
}

void safety_heard(void)
{
    heard_milliseconds = hal_milliseconds();
}

void safety_check_dead_man(void)
{
    /* A difference of unsigned numbers holds over the wrap of the clock. */
    if (armed && hal_milliseconds() - heard_milliseconds > HWL_SESSION_DEAD_MAN_MILLISECONDS)
        safety_ground(HWL_SAFE_REASON_DEAD_MAN);
}

bool safety_may_go_on(void)
{
    uint32_t now = hal_milliseconds();
    hal_feed_watchdog();
    if (now != looked_milliseconds) {
        looked_milliseconds = now;
        frame_receive();
        if (frame_safe_waits(session_number()) && armed)
            safety_ground(HWL_SAFE_REASON_COMMAND);
        safety_check_dead_man();
    }
    return armed;
}

/* ---- the record ---- */

static void keep(void)
{
    uint8_t store[RECORD_BYTES];
    put_u32(store + RECORD_MAGIC, HWL_STREAM_STORE_MAGIC);
    put_u32(store + RECORD_BOOT_COUNTER, record.boot_counter);
    store[RECORD_KIND] = record.kind;
    store[RECORD_COMPLETED] = record.completed;
    put_u16(store + RECORD_SEQUENCE, record.sequence);
    put_u32(store + RECORD_CRC, crc32(store, RECORD_CRC));
    hal_store(store);
}

void safety_boot(const uint8_t store[16], uint8_t reset_cause)
{
    memset(&record, 0, sizeof record);
    record.completed = true;
    if (get_u32(store + RECORD_MAGIC) == HWL_STREAM_STORE_MAGIC &&
        get_u32(store + RECORD_CRC) == crc32(store, RECORD_CRC)) {
        record.boot_counter = get_u32(store + RECORD_BOOT_COUNTER);
        record.kind = store[RECORD_KIND];
        record.completed = store[RECORD_COMPLETED] != 0;
        record.sequence = get_u16(store + RECORD_SEQUENCE);
    }
    record.boot_counter++;
    record.reset_cause = reset_cause;
    armed = false;
    reason = reset_cause == HWL_RESET_CAUSE_WATCHDOG ? HWL_SAFE_REASON_WATCHDOG : HWL_SAFE_REASON_RESET;
    looked_milliseconds = hal_milliseconds();
    keep();
}

void safety_begin(uint8_t kind, uint16_t sequence)
{
    record.kind = kind;
    record.sequence = sequence;
    record.completed = false;
    keep();
    looked_milliseconds = hal_milliseconds();   /* what is over within a millisecond is not interrupted */
}

void safety_complete(bool completed)
{
    record.completed = completed;
    keep();
}

uint32_t safety_boot_counter(void)
{
    return record.boot_counter;
}

uint8_t safety_reset_cause(void)
{
    return record.reset_cause;
}

uint8_t safety_last_kind(void)
{
    return record.kind;
}

uint16_t safety_last_sequence(void)
{
    return record.sequence;
}

bool safety_last_completed(void)
{
    return record.completed;
}
