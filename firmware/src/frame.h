/* Frames: COBS of header, payload and CRC-32, ended by a zero byte. */
#ifndef HWLOOP_FRAME_H
#define HWLOOP_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame {
    uint8_t kind;
    uint8_t status;
    uint16_t session;
    uint16_t sequence;
    const uint8_t *payload;         /* valid until the next frame_next() */
    size_t payload_bytes;
};

/* No frame is waiting: at boot. */
void frame_start(void);
/* Take what has arrived at the port into the receive ring. Never waits. */
void frame_receive(void);
/* The next whole frame that passed its CRC. False: none yet. Damaged and overlong frames are dropped. */
bool frame_next(struct frame *frame);
/* True where the frame asks for something: what carries the reply bit or a status is an echo. */
bool frame_is_request(const struct frame *frame);
/* Look ahead, without taking anything, at frames that have arrived whole: true where one of them is a valid SAFE. Tells
 * safety_heard() of valid requests of `session`, HEARTBEATs above all. Looks at each byte once. */
bool frame_safe_waits(uint16_t session);

/* Send header, payload and CRC. `body` is where they stand: HWL_HEADER_BYTES of room, then the payload, then 4 bytes of
 * room. Header fields and CRC are filled in here. */
void frame_send(uint8_t *body, size_t payload_bytes, uint8_t kind, uint8_t status, uint16_t session, uint16_t sequence);
/* Send a body that frame_send() has filled in before. */
void frame_resend(const uint8_t *body, size_t body_bytes);

uint32_t crc32(const uint8_t *bytes, size_t count);
/* CRC-32 of all that gave `crc` (0: of nothing), and then `bytes`. */
uint32_t crc32_continue(uint32_t crc, const uint8_t *bytes, size_t count);

#endif
