/* A body of hal.h for unit tests. */
#include "fake_hal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ENTRIES = 1 << 18, BYTES = 1 << 22, PORT = 1 << 20, RESULTS = 1 << 20, TRACE = 1 << 20 };

struct fake_entry fake_entries[ENTRIES];
size_t fake_entry_count;
uint8_t fake_bytes[BYTES];
void (*fake_answer)(uint16_t select, const uint8_t *frame, uint8_t frame_bytes, uint8_t *kept, uint8_t count);
void (*fake_frame)(uint16_t select, const uint8_t *frame, uint8_t frame_bytes);
bool fake_chips_dead;
uint32_t fake_finishes;
uint32_t fake_finishes_left;
uint8_t fake_inputs;
size_t fake_result_room;
uint32_t fake_milliseconds;
uint32_t fake_watchdog_feeds;
struct hal_boot fake_boot;
uint8_t fake_port_said[PORT];
size_t fake_port_said_count;

static size_t byte_count;
static uint8_t heard[PORT];
static size_t heard_count, heard_taken;
static uint8_t results[RESULTS];
static size_t result_count;

void fake_reset(void)
{
    fake_forget();
    fake_answer = NULL;
    fake_frame = NULL;
    fake_finishes = 0;
    fake_finishes_left = UINT32_MAX;
    fake_chips_dead = false;
    fake_inputs = 0;
    fake_result_room = 1024;
    fake_milliseconds = 0;
    fake_watchdog_feeds = 0;
    memset(&fake_boot, 0, sizeof fake_boot);
    fake_port_said_count = heard_count = heard_taken = result_count = 0;
}

void fake_forget(void)
{
    fake_entry_count = byte_count = 0;
}

const struct fake_entry *fake_transfer(uint16_t select, size_t n)
{
    for (size_t i = 0; i < fake_entry_count; i++) {
        const struct fake_entry *entry = &fake_entries[i];
        if ((entry->kind == FAKE_WRITE || entry->kind == FAKE_READ) && entry->select == select && n-- == 0)
            return entry;
    }
    return NULL;
}

static char trace[TRACE];
static size_t trace_count;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list values;
    va_start(values, format);
    trace_count += (size_t)vsnprintf(trace + trace_count, TRACE - trace_count, format, values);
    va_end(values);
}

static void say_transfer(const struct fake_entry *entry)
{
    say("%s%x", entry->kind == FAKE_READ ? "read " : "", entry->select);
    for (size_t i = 0; i < entry->bytes; i++)
        say("%s%02x", i % entry->frame_bytes == 0 ? " " : "", fake_bytes[entry->first_byte + i]);
}

const char *fake_trace(void)
{
    trace_count = 0;
    trace[0] = '\0';
    for (size_t i = 0; i < fake_entry_count; i++) {
        const struct fake_entry *entry = &fake_entries[i];
        say("%s", i == 0 ? "" : "; ");
        switch (entry->kind) {
        case FAKE_AT:
            say("at %llu", (unsigned long long)entry->ticks);
            break;
        case FAKE_PULSE:
            say("pulse %llu", (unsigned long long)entry->ticks);
            break;
        case FAKE_PIN:
            say("pin %u %s", entry->pin, entry->level ? "high" : "low");
            break;
        case FAKE_STORE:
            say("store");
            break;
        default:
            say_transfer(entry);
            break;
        }
    }
    return trace;
}

void fake_port_hears(const uint8_t *bytes, size_t count)
{
    memcpy(heard + heard_count, bytes, count);
    heard_count += count;
}

static void tell_frames(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes)
{
    for (uint16_t i = 0; fake_frame != NULL && i < frames; i++)
        fake_frame(select, bytes + (size_t)i * frame_bytes, frame_bytes);
}

static struct fake_entry *add(enum fake_kind kind, const uint8_t *bytes, size_t count)
{
    struct fake_entry *entry = &fake_entries[fake_entry_count++];
    memset(entry, 0, sizeof *entry);
    entry->kind = kind;
    entry->first_byte = byte_count;
    entry->bytes = count;
    if (count > 0)
        memcpy(fake_bytes + byte_count, bytes, count);
    byte_count += count;
    return entry;
}

bool hal_start(struct hal_boot *boot)
{
    *boot = fake_boot;
    return !fake_chips_dead;
}

uint32_t hal_milliseconds(void)
{
    return fake_milliseconds;
}

void hal_feed_watchdog(void)
{
    fake_watchdog_feeds++;
}

void hal_idle(void)
{
    fake_milliseconds += 10;
}

size_t hal_port_read(uint8_t *bytes, size_t room)
{
    size_t count = heard_count - heard_taken < room ? heard_count - heard_taken : room;
    memcpy(bytes, heard + heard_taken, count);
    heard_taken += count;
    return count;
}

void hal_port_write(const uint8_t *bytes, size_t count)
{
    memcpy(fake_port_said + fake_port_said_count, bytes, count);
    fake_port_said_count += count;
}

void hal_spi_write(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes)
{
    struct fake_entry *entry = add(FAKE_WRITE, bytes, (size_t)frame_bytes * frames);
    entry->select = select;
    entry->frame_bytes = frame_bytes;
    entry->frames = frames;
    tell_frames(select, frame_bytes, frames, bytes);
}

void hal_spi_read(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes, uint8_t skip)
{
    struct fake_entry *entry = add(FAKE_READ, bytes, (size_t)frame_bytes * frames);
    uint8_t kept = (uint8_t)(frame_bytes - skip);
    entry->select = select;
    entry->frame_bytes = frame_bytes;
    entry->frames = frames;
    entry->skip = skip;
    for (uint16_t i = 0; i < frames; i++) {
        memset(results + result_count, 0, kept);
        /* The answer comes back while the frame goes out, so it knows of the frames before only. */
        if (fake_answer)
            fake_answer(select, bytes + (size_t)i * frame_bytes, frame_bytes, results + result_count, kept);
        tell_frames(select, frame_bytes, 1, bytes + (size_t)i * frame_bytes);
        result_count += kept;
    }
}

void hal_spi_scan(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *frame, uint8_t skip)
{
    uint8_t bytes[64 * 8];
    for (uint16_t i = 0; i < frames; i++)
        memcpy(bytes + (size_t)i * frame_bytes, frame, frame_bytes);
    hal_spi_read(select, frame_bytes, frames, bytes, skip);
}

void hal_pin(uint8_t pin, bool high)
{
    struct fake_entry *entry = add(FAKE_PIN, NULL, 0);
    entry->pin = pin;
    entry->level = high;
}

void hal_at(uint64_t bench_ticks)
{
    add(FAKE_AT, NULL, 0)->ticks = bench_ticks;
}

void hal_pulse(uint16_t width_ticks)
{
    add(FAKE_PULSE, NULL, 0)->ticks = width_ticks;
}

void hal_store(const uint8_t store[HAL_STORE_BYTES])
{
    add(FAKE_STORE, store, HAL_STORE_BYTES);
}

size_t hal_result_room(void)
{
    return fake_result_room > result_count ? fake_result_room - result_count : 0;
}

bool hal_finish(struct hal_results *given)
{
    given->bytes = results;
    given->count = result_count;
    given->inputs = fake_inputs;
    result_count = 0;
    fake_finishes++;
    if (fake_finishes_left == 0)
        return false;
    fake_finishes_left--;
    return !fake_chips_dead;
}
