/* What the tests of the whole board share: asking it, frame by frame, and looking at what it answers. */
#ifndef HWLOOP_ASKING_H
#define HWLOOP_ASKING_H

#define FAKE_CHIPS_BODY /* safety_may_go_on() is the real one here */
#include "fake_chips.h"
#include "fake_host.h"

#include "../src/bytes.h"

enum { SESSION = 7, OTHER = 8 };

/* A board that has just started, with chips that answer as they should. */
void asking_start(const char *board_name);

/* One frame, and its reply. False: there was none. */
bool ask(uint8_t kind, uint16_t session, uint16_t sequence, size_t count, const uint8_t *payload);
/* OPEN, and WAIT of SESSION. True: it was carried out. */
bool open_as(uint16_t session, uint16_t tag, uint16_t resume);
bool wait_for(uint16_t sequence, uint32_t ticks);
/* OPEN of SESSION, which has to succeed. */
void open_session(void);

/* The reply that came last is this refusal. */
void check_refused(uint8_t status, uint16_t field, int32_t value, int32_t low, int32_t high);

struct status {
    uint8_t armed, reason, cause, kind;
    uint16_t sequence, completed, session, expected;
    uint32_t boots, ticks;
};
struct status status_now(void);

#endif
