/* The host at the other end of the fake port: frames out, replies in. */
#ifndef HWLOOP_FAKE_HOST_H
#define HWLOOP_FAKE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heard {
    uint8_t kind, status;
    uint16_t session, sequence;
    uint8_t payload[16384];
    size_t payload_bytes;
};
extern struct heard heard;      /* the reply that host_hears() took last */

void host_start(void);          /* nothing of what the port says was heard yet: after fake_reset() */
/* Say a frame; only the header and the payload are given. */
void host_says(uint8_t kind, uint16_t session, uint16_t sequence, size_t count, const uint8_t *payload);
/* Say a body as it is, CRC and all, coded. */
void host_says_body(const uint8_t *body, size_t count);
/* COBS of `count` bytes, with the delimiter; gives the bytes. */
size_t host_codes(uint8_t *coded, const uint8_t *body, size_t count);
/* A body: header, payload, CRC; gives the bytes. */
size_t host_body(uint8_t *body, uint8_t kind, uint8_t status, uint16_t session, uint16_t sequence, size_t count,
                 const uint8_t *payload);
/* Take the next reply; false: there is none. One that is no good frame has kind and status 255. */
bool host_hears(void);
/* Coded bytes of the reply that host_hears() took last. */
const uint8_t *host_heard_bytes(size_t *count);

#endif
