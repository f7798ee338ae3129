/* What the engines of the sequenced commands have in common: going on, ending, breaking. */
#ifndef HWLOOP_ENGINE_H
#define HWLOOP_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "commands.h"

/* The board broke, or was grounded, half-way. Always false. */
bool engine_fault(struct refusal *why);
/* Between two steps of a long command. False: `why` says FAULT. */
bool engine_may_go_on(struct refusal *why);
/* The end of every command that was carried out, at bench_ticks: the panel rests and is checked. False: FAULT. */
bool engine_end(struct refusal *why);
/* Begin the answer of a command that started at `start_ticks`: `bytes` in all, the first four the elapsed ticks. */
void engine_answer(struct answer *answer, uint64_t start_ticks, uint32_t bytes);
/* True where a reply of so many bytes fits into a frame. */
bool engine_reply_fits(uint32_t bytes, struct refusal *why);

#endif
