/* What keeps the arrays alive: grounding, the dead-man, the watchdog, and the look at them in long commands. */
#ifndef HWLOOP_SAFETY_H
#define HWLOOP_SAFETY_H

#include <stdbool.h>
#include <stdint.h>

/* Every line to ground, pins first, then every chip to its resting state; the reason is told by STATUS. Never fails
 * visibly: where chips do not answer, the pins alone ground the lines. */
void safety_ground(uint8_t safe_reason);
/* A session was opened: lines may be driven. */
void safety_arm(void);
bool safety_is_armed(void);
uint8_t safety_reason(void);

/* The host spoke. */
void safety_heard(void);
/* Ground the lines where the host has been silent for too long. */
void safety_check_dead_man(void);
/* Call often, also between the rows of a long command: feeds the watchdog; looks, at most once a millisecond, at the
 * port (a waiting SAFE or HEARTBEAT) and at the dead-man, and grounds where it must. False: the
 * board was grounded, and a command that is under way must stop and end as a FAULT. */
bool safety_may_go_on(void);
/* The record that survives a reset: boot counter, and the sequenced command begun last. */
void safety_boot(const uint8_t store[16], uint8_t reset_cause);
void safety_begin(uint8_t kind, uint16_t sequence);
void safety_complete(bool completed);
uint32_t safety_boot_counter(void);
uint8_t safety_reset_cause(void);
uint8_t safety_last_kind(void);
uint16_t safety_last_sequence(void);
bool safety_last_completed(void);

#endif
