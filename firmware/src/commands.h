/* The sequenced commands: payload in, payload of the reply out. Each checks everything first and refuses whole; then it
 * acts. Session and sequence are not their business (session.h). */
#ifndef HWLOOP_COMMANDS_H
#define HWLOOP_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "refusal.h"

/* The payload of a reply under construction; `room` is max_frame_bytes - HWL_FRAME_OVERHEAD. */
struct answer {
    uint8_t *bytes;
    size_t used;
    size_t room;
};

/* False: `why` says it. A status of HWL_STATUS_FAULT means that the board broke half-way: the caller grounds it. */
typedef bool command_function(const uint8_t *payload, size_t bytes, struct answer *answer, struct refusal *why);

command_function pulse_command;         /* pulse.c */
command_function read_command;          /* read.c */
command_function solve_command;         /* solve.c */
command_function mvm_command;           /* solve.c */
command_function compensate_command;    /* compensate.c */
command_function route_command;         /* ports.c */
command_function hold_command;          /* ports.c */
command_function sample_command;        /* ports.c */
command_function temperature_command;   /* settings.c */
command_function wait_command;          /* settings.c */
command_function tighten_command;       /* settings.c */

/* The function of a sequenced command; NULL: that is none. */
command_function *command_of(uint8_t kind);

/* The bench clock in ticks: advanced by commands only, by the rules of protocol.toml [ticks]. */
extern uint64_t bench_ticks;

#endif
