/* Exactly once, in order, one host at a time: sessions, sequence numbers, the reply cache, and the commands without a
 * sequence number. The rules stand in protocol.toml. */
#ifndef HWLOOP_SESSION_H
#define HWLOOP_SESSION_H

#include "frame.h"

#include "../hal/hal.h"

void session_start(const struct hal_boot *boot, bool chips_answer);
/* Carry out one frame and send its reply, if it has one. */
void session_handle(const struct frame *frame);
uint16_t session_number(void);      /* 0: none is open */

#endif
