/* Fuzz target: the whole board behind its port. An input is a geometry and then records, each an operation, a length and
 * as many bytes: raw bytes, frames with a good CRC (and, if wanted, the right session, sequence and wire hash, so that
 * what is behind them gets its share), silence, heat, chips that break, resets. Every reply has to be a whole frame. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/board.h"
#include "../src/bytes.h"
#include "../src/frame.h"
#include "../src/geometry.h"
#include "../src/session.h"
#include "fuzz_chips.h"

enum operation { RAW, FRAME, TIME, INPUTS, BREAK_CHIPS, SILENCE_CHIPS, RESET, STEP, OPERATIONS };

/* First byte of a FRAME record. */
enum { RIGHT_SESSION = 1, RIGHT_SEQUENCE = 2, RIGHT_HASH = 4, NO_STEP = 8 };

enum { RECORD_BYTES = 3, MOST_RECORDS = 256, MOST_FRAME_BYTES = 14000 };

static uint8_t reply[2 * MOST_FRAME_BYTES];
static size_t reply_bytes;
static uint16_t next_sequence, own_session;

static void demand(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "host: %s\n", what);
        abort();
    }
}

/* COBS backwards, in place; gives the bytes. */
static size_t decode(uint8_t *bytes, size_t count)
{
    size_t from = 0, to = 0;
    while (from < count) {
        size_t run = bytes[from] - 1u;
        demand(from + run < count, "a reply that is no COBS");
        memmove(bytes + to, bytes + from + 1, run);
        from += run + 1;
        to += run;
        if (from < count && run < 254)
            bytes[to++] = 0;
    }
    return to;
}

static void look_at(const uint8_t *frame, size_t bytes)
{
    uint8_t kind = frame[HWL_HEADER_KIND] & 0x7F, status = frame[HWL_HEADER_STATUS];
    demand(bytes >= HWL_FRAME_OVERHEAD && bytes <= geometry.max_frame_bytes, "a reply of no possible length");
    demand(get_u32(frame + bytes - 4) == crc32(frame, bytes - 4), "a reply with a wrong CRC");
    demand(frame[HWL_HEADER_KIND] & HWL_REPLY_BIT, "the board sent a request");
    demand(status == HWL_STATUS_OK || bytes == HWL_FRAME_OVERHEAD + HWL_REFUSAL_BYTES, "a refusal of another length");
    if (kind == HWL_COMMAND_OPEN && status == HWL_STATUS_OK)
        next_sequence = get_u16(frame + HWL_HEADER_BYTES + HWL_OPEN_REPLY_EXPECTED_SEQUENCE);
    if (kind < 32 && HWL_SEQUENCED_COMMANDS >> kind & 1 && get_u16(frame + HWL_HEADER_SEQUENCE) == next_sequence &&
        (status < HWL_STATUS_NOT_OPEN || status == HWL_STATUS_FAULT))
        next_sequence++;
}

void host_hears(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        demand(reply_bytes < sizeof reply, "a reply without an end");
        if (bytes[i] != HWL_DELIMITER) {
            reply[reply_bytes++] = bytes[i];
        } else {
            look_at(reply, decode(reply, reply_bytes));
            reply_bytes = 0;
        }
    }
}

static void say(const uint8_t *body, size_t count)
{
    static uint8_t coded[MOST_FRAME_BYTES + MOST_FRAME_BYTES / 254 + 2];
    size_t at = 0, to = 0;
    for (;;) {
        size_t run = 0;
        while (at + run < count && run < 254 && body[at + run] != 0)
            run++;
        coded[to++] = (uint8_t)(run + 1);
        memcpy(coded + to, body + at, run);
        to += run;
        at += run;
        if (at == count)
            break;
        if (run < 254)
            at++;
    }
    coded[to++] = HWL_DELIMITER;
    chips_port_hears(coded, to);
}

static void step(void)
{
    board_step();
    chips_check_at_rest();
}

static void frame_record(const uint8_t *bytes, size_t count)
{
    static uint8_t body[MOST_FRAME_BYTES];
    if (count < 1 + HWL_HEADER_BYTES || count > MOST_FRAME_BYTES - 4)
        return;
    uint8_t flags = bytes[0];
    memcpy(body, bytes + 1, --count);
    if (flags & RIGHT_SESSION)
        put_u16(body + HWL_HEADER_SESSION, session_number() != 0 ? session_number() : own_session);
    if (flags & RIGHT_SEQUENCE)
        put_u16(body + HWL_HEADER_SEQUENCE, next_sequence);
    if (flags & RIGHT_HASH && count >= HWL_HEADER_BYTES + 4)
        put_u32(body + HWL_HEADER_BYTES, HWL_WIRE_HASH);
    put_u32(body + count, crc32(body, count));
    say(body, count + 4);
    if (!(flags & NO_STEP))
        step();
}

static void record(enum operation operation, const uint8_t *bytes, size_t count)
{
    uint8_t value = count > 0 ? bytes[0] : 0;
    switch (operation) {
    case RAW:
        chips_port_hears(bytes, count);
        break;
    case FRAME:
        frame_record(bytes, count);
        break;
    case TIME:
        chips_milliseconds += count >= 2 ? get_u16(bytes) : value;
        step();
        break;
    case INPUTS:
        chips_inputs = value & 1;
        break;
    case BREAK_CHIPS:
        chips_fault = value % 3;
        break;
    case SILENCE_CHIPS:
        chips_silent = value;
        break;
    case RESET:
        chips_reset(value % 5);
        board_start();
        chips_check_at_rest();
        break;
    default:
        step();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const boards[] = {"hwloop-16x4", "hwloop-128x16", "hwloop-4096x16"};
    if (size < 1)
        return 0;
    demand(geometry_choose(boards[data[0] % 3]), "no such board");
    reply_bytes = 0;
    next_sequence = 0;
    own_session = 0x0B0B;
    chips_power_on(data[0] & 0x80 ? 0xFFFFFF00u : 0u);
    board_start();
    chips_check_at_rest();
    size_t at = 1;
    for (uint32_t n = 0; n < MOST_RECORDS && size - at >= RECORD_BYTES; n++) {
        size_t count = get_u16(data + at + 1), left = size - at - RECORD_BYTES;
        enum operation operation = (enum operation)(data[at] % OPERATIONS);
        count = count < left ? count : left;
        record(operation, data + at + RECORD_BYTES, count);
        at += RECORD_BYTES + count;
    }
    step();
    return 0;
}
