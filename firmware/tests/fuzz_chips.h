/* A body of hal.h for fuzzing: chips that hold what they are sent, and abort when a line is driven beyond a limit. */
#ifndef HWLOOP_FUZZ_CHIPS_H
#define HWLOOP_FUZZ_CHIPS_H

#include "../hal/hal.h"

enum { CHIPS_INTACT, CHIPS_STUCK_LOW, CHIPS_STUCK_HIGH };

extern uint32_t chips_milliseconds;     /* the wall clock */
extern uint8_t chips_inputs;
extern uint8_t chips_fault;             /* what comes back from every chip: CHIPS_… */
extern uint32_t chips_silent;           /* so many hal_finish() give false */

/* As after power-on; the wall clock begins at `milliseconds`. */
void chips_power_on(uint32_t milliseconds);
/* The microcontroller is reset: pins fall, chips keep what they hold, hal_start() gives `reset_cause`. */
void chips_reset(uint8_t reset_cause);
/* Between two steps of the board no line is driven, and none may be unless a session is open and armed. */
void chips_check_at_rest(void);

/* The port: bytes from the host, and where the board's bytes go. */
void chips_port_hears(const uint8_t *bytes, size_t count);
void host_hears(const uint8_t *bytes, size_t count);

#endif
