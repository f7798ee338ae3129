/* A body of hal.h for unit tests: keeps everything that was queued, answers what it is told to answer. */
#ifndef HWLOOP_FAKE_HAL_H
#define HWLOOP_FAKE_HAL_H

#include "../hal/hal.h"

enum fake_kind { FAKE_WRITE, FAKE_READ, FAKE_PIN, FAKE_AT, FAKE_PULSE, FAKE_STORE };

struct fake_entry {
    enum fake_kind kind;
    uint16_t select;            /* WRITE, READ */
    uint8_t frame_bytes, skip;
    uint16_t frames;
    uint8_t pin, level;         /* PIN */
    uint64_t ticks;             /* AT; PULSE: the width */
    size_t first_byte, bytes;   /* WRITE, READ, STORE: where they stand in fake_bytes */
};

extern struct fake_entry fake_entries[];    /* since fake_reset() or fake_forget() */
extern size_t fake_entry_count;
extern uint8_t fake_bytes[];

void fake_reset(void);          /* as new: time 0, nothing queued, port empty, results all zero */
void fake_forget(void);         /* drop the entries, keep the rest */
/* The n-th WRITE or READ to `select`, n from 0; NULL where there are fewer. */
const struct fake_entry *fake_transfer(uint16_t select, size_t n);

/* What READ gives back: asked once for each frame; NULL gives zeros. `kept` has frame_bytes - skip bytes to fill. */
extern void (*fake_answer)(uint16_t select, const uint8_t *frame, uint8_t frame_bytes, uint8_t *kept, uint8_t count);
extern bool fake_chips_dead;            /* hal_finish() gives false */
extern uint8_t fake_inputs;
extern size_t fake_result_room;         /* at start 1024 */
extern uint32_t fake_milliseconds;
extern uint32_t fake_watchdog_feeds;
extern struct hal_boot fake_boot;

/* Told each frame that goes out, WRITE or READ (then after its answer was asked for); NULL: nobody listens. */
extern void (*fake_frame)(uint16_t select, const uint8_t *frame, uint8_t frame_bytes);
extern uint32_t fake_finishes;          /* calls of hal_finish() since fake_reset() */
extern uint32_t fake_finishes_left;     /* so many more succeed; at start UINT32_MAX */

/* What was queued since fake_reset() or fake_forget(), in words: "at 300; 7 01; read 6 0000; pin 1 high; pulse 10".
 * A transfer is its select in hexadecimal and its frames. Valid until the next call. */
const char *fake_trace(void);

void fake_port_hears(const uint8_t *bytes, size_t count);   /* bytes from the host */
extern uint8_t fake_port_said[];                            /* bytes to the host */
extern size_t fake_port_said_count;

#endif
