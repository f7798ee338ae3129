/* Chips that answer as they should, on top of the fake HAL: mode switches, ADCs, temperature sensor. And what the tests
 * of the commands share: payloads, running one, comparing what was queued. */
#ifndef HWLOOP_FAKE_CHIPS_H
#define HWLOOP_FAKE_CHIPS_H

#include <string.h>

#include "check.h"
#include "fake_hal.h"

#include "../src/commands.h"
#include "../src/geometry.h"
#include "../src/safety.h"

/* A board of this name as after start and OPEN, at tick 0; entries forgotten, limits as compiled in. */
void fake_board(const char *name);
/* Raw code of the next conversion: `scan` counts the conversions of this column since fake_board(). */
extern uint16_t (*fake_convert)(uint32_t column, uint32_t scan);
extern int16_t fake_temperature;        /* 1/128 degree Celsius */
extern int fake_stuck_select;           /* this chip answers with fake_stuck_byte only; -1: none */
extern uint8_t fake_stuck_byte;

/* The board is grounded from this call of safety_may_go_on() on, counted from 1 within a command; 0: never. */
extern uint32_t fake_grounded_at;
bool fake_may_go_on(void);
#ifndef FAKE_CHIPS_BODY
/* In the test's own object, so that the linker does not ask for the one of safety.c. */
bool safety_may_go_on(void)
{
    return fake_may_go_on();
}
#endif

/* ---- payloads ---- */

struct payload {
    uint8_t bytes[16384];
    size_t count;
};

void add_u8(struct payload *payload, uint32_t value);
void add_u16(struct payload *payload, uint32_t value);
void add_u32(struct payload *payload, uint32_t value);
void add_words(struct payload *payload, size_t count, const uint16_t *words);
#define ADD_WORDS(payload, ...) \
    add_words(payload, sizeof(uint16_t[]){__VA_ARGS__} / 2, (const uint16_t[]){__VA_ARGS__})

/* ---- running a command ---- */

extern uint8_t reply[];
extern size_t reply_bytes;
extern struct refusal refusal;

/* Run it on a copy that ends where the payload ends, and drop the payload. True: it was carried out. */
bool run(command_function *command, struct payload *payload);

#define CHECK_TRACE(wanted)                                                                         \
    do {                                                                                            \
        if (strcmp(fake_trace(), wanted) != 0) {                                                    \
            check_failures++;                                                                       \
            fprintf(stderr, "%s:%d: queued\n  %s\nnot\n  %s\n", __FILE__, __LINE__, fake_trace(), wanted); \
        }                                                                                           \
        fake_forget();                                                                              \
    } while (0)

/* The last command was refused so; positions and values as on the wire. */
#define CHECK_REFUSED(status_, field_, position_, value_, low_, high_)                              \
    do {                                                                                            \
        CHECK_EQUAL(refusal.status, status_);                                                       \
        CHECK_EQUAL(refusal.field, field_);                                                         \
        CHECK_EQUAL(refusal.position, position_);                                                   \
        CHECK_EQUAL(refusal.value, value_);                                                         \
        CHECK_EQUAL(refusal.low, low_);                                                             \
        CHECK_EQUAL(refusal.high, high_);                                                           \
        CHECK_EQUAL(fake_entry_count, 0);                                                           \
    } while (0)
#define CHECK_OUT_OF_RANGE(name, position, value, low, high) \
    CHECK_REFUSED(HWL_STATUS_OUT_OF_RANGE, HWL_FIELD_##name, position, value, low, high)
#define CHECK_BAD_LENGTH(given, wanted) \
    CHECK_REFUSED(HWL_STATUS_BAD_LENGTH, HWL_FIELD_ENTRIES, 0, given, wanted, wanted)
/* Nothing was queued for a time that the bench clock has not come to: it would have to go back. */
bool fake_clock_is_behind(void);

#define CHECK_FAULT()                                       \
    do {                                                    \
        CHECK(!fake_clock_is_behind());                     \
        CHECK_EQUAL(refusal.status, HWL_STATUS_FAULT);      \
        CHECK_EQUAL(refusal.field, 0);                      \
        CHECK_EQUAL(refusal.high, 0);                       \
        fake_forget();                                      \
    } while (0)

#endif
