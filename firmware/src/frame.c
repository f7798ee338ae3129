/* The receive ring, COBS both ways, and the look ahead. What is damaged, or longer than a frame can be, is dropped. */
#include "frame.h"

#include <string.h>

#include "../hal/hal.h"
#include "bytes.h"
#include "geometry.h"
#include "safety.h"

/* COBS adds a byte at the start, and one more for every 254. */
#define CODED_BYTES(frame_bytes) ((frame_bytes) + (frame_bytes) / 254u + 1u)

enum {
    RING_BYTES = HWL_MAX_IN_FLIGHT * (CODED_BYTES(HWL_MAX_FRAME_BYTES) + 1u),   /* with delimiters */
    CHUNK_BYTES = 256,
    LONGEST_RUN = 254,          /* bytes behind one COBS code */
};

/* What a CRC-32 over some bytes and then their own CRC-32, little-endian, always gives. */
#define CRC_OF_WHOLE 0x2144DF1Cu

static uint8_t ring[RING_BYTES];
static size_t first;            /* where the oldest byte stands */
static size_t held;             /* bytes: whole blocks with their delimiters, then a block that is still coming */
static size_t coming;           /* bytes of that block */
static bool skipping;           /* that block is too long already: nothing of it is held */
static size_t looked_at;        /* bytes, from `first` on, of blocks that were looked at ahead of their turn */
static size_t safes_ahead;      /* SAFEs among them */

static uint8_t decoded[HWL_MAX_FRAME_BYTES];

/* Where decoded bytes go: kept as far as there is room, and counted and summed in any case. */
struct sink {
    uint8_t *bytes;
    size_t room;
    size_t count;
    uint32_t crc;
};

static size_t place(size_t offset)
{
    size_t at = first + offset;
    return at < RING_BYTES ? at : at - RING_BYTES;
}

void frame_start(void)
{
    first = held = coming = looked_at = safes_ahead = 0;
    skipping = false;
}

static void take_in(uint8_t byte)
{
    if (byte == HWL_DELIMITER) {
        if (coming > 0) {
            ring[place(held++)] = byte;
            coming = 0;
        }
        skipping = false;
    } else if (coming == CODED_BYTES(geometry.max_frame_bytes)) {
        held -= coming;
        coming = 0;
        skipping = true;
    } else if (!skipping) {
        ring[place(held++)] = byte;
        coming++;
    }
}

void frame_receive(void)
{
    uint8_t chunk[CHUNK_BYTES];
    size_t count = CHUNK_BYTES;
    /* Bounded: a flood of skipped bytes takes no room, and must not keep the board from its other work. */
    for (size_t taken = 0; taken < RING_BYTES && count == CHUNK_BYTES; taken += count) {
        size_t room = RING_BYTES - held;
        count = hal_port_read(chunk, room < CHUNK_BYTES ? room : CHUNK_BYTES);
        for (size_t i = 0; i < count; i++)
            take_in(chunk[i]);
    }
}

static void pour(struct sink *sink, const uint8_t *bytes, size_t count)
{
    sink->crc = crc32_continue(sink->crc, bytes, count);
    if (sink->count < sink->room) {
        size_t room = sink->room - sink->count;
        memcpy(sink->bytes + sink->count, bytes, count < room ? count : room);
    }
    sink->count += count;
}

/* Pour `count` bytes of the ring, from `offset` on: two pieces where they go round its end. */
static void pour_ring(struct sink *sink, size_t offset, size_t count)
{
    size_t at = place(offset), straight = RING_BYTES - at;
    if (count <= straight) {
        pour(sink, ring + at, count);
    } else {
        pour(sink, ring + at, straight);
        pour(sink, ring, count - straight);
    }
}

/* Bytes of the block that begins at `offset`, without its delimiter, which is known to be there. */
static size_t block_bytes(size_t offset)
{
    size_t at = place(offset), straight = RING_BYTES - at;
    const uint8_t *end = memchr(ring + at, HWL_DELIMITER, straight);
    if (end != NULL)
        return (size_t)(end - (ring + at));
    end = memchr(ring, HWL_DELIMITER, at);
    return straight + (size_t)(end - ring);
}

/* Decode a block of `count` bytes into `sink`. False: damaged. */
static bool decode(size_t offset, size_t count, struct sink *sink)
{
    static const uint8_t zero = 0;
    sink->count = 0;
    sink->crc = 0;
    while (count > 0) {
        uint8_t code = ring[place(offset)];
        size_t run = code - 1u;
        if (run > --count)
            return false;
        pour_ring(sink, offset + 1u, run);
        offset += code;
        count -= run;
        if (count > 0 && run < LONGEST_RUN)
            pour(sink, &zero, 1);
    }
    return sink->count >= HWL_FRAME_OVERHEAD && sink->count <= geometry.max_frame_bytes && sink->crc == CRC_OF_WHOLE;
}

static void read_header(struct frame *frame, const uint8_t *header)
{
    frame->kind = header[HWL_HEADER_KIND];
    frame->status = header[HWL_HEADER_STATUS];
    frame->session = get_u16(header + HWL_HEADER_SESSION);
    frame->sequence = get_u16(header + HWL_HEADER_SEQUENCE);
}

bool frame_is_request(const struct frame *frame)
{
    return !(frame->kind & HWL_REPLY_BIT) && frame->status == HWL_STATUS_OK;
}

static bool is_safe_request(const struct frame *frame)
{
    return frame->kind == HWL_COMMAND_SAFE && frame->status == HWL_STATUS_OK;
}

bool frame_next(struct frame *frame)
{
    while (held > coming) {
        struct sink sink = {.bytes = decoded, .room = sizeof decoded};
        size_t count = block_bytes(0);
        bool good = decode(0, count, &sink);
        bool was_looked_at = looked_at > 0;
        first = place(count + 1u);
        held -= count + 1u;
        if (was_looked_at)
            looked_at -= count + 1u;
        if (!good)
            continue;
        read_header(frame, decoded);
        frame->payload = decoded + HWL_HEADER_BYTES;
        frame->payload_bytes = sink.count - HWL_FRAME_OVERHEAD;
        if (was_looked_at && is_safe_request(frame))
            safes_ahead--;
        return true;
    }
    return false;
}

bool frame_safe_waits(uint16_t session)
{
    while (held - coming > looked_at) {
        uint8_t header[HWL_HEADER_BYTES] = {0};
        struct sink sink = {.bytes = header, .room = sizeof header};
        struct frame frame;
        size_t count = block_bytes(looked_at);
        if (decode(looked_at, count, &sink)) {
            read_header(&frame, header);
            if (frame_is_request(&frame) && frame.session == session)
                safety_heard();
            if (is_safe_request(&frame))
                safes_ahead++;
        }
        looked_at += count + 1u;
    }
    return safes_ahead > 0;
}

/* Coded bytes on their way to the port, gathered so that not every run is a call. */
struct outgoing {
    uint8_t bytes[CHUNK_BYTES];
    size_t count;
};

static void send(struct outgoing *outgoing, const uint8_t *bytes, size_t count)
{
    if (count > sizeof outgoing->bytes - outgoing->count) {
        hal_port_write(outgoing->bytes, outgoing->count);
        outgoing->count = 0;
        frame_receive();    /* a line without flow control goes on while a long reply goes out */
    }
    memcpy(outgoing->bytes + outgoing->count, bytes, count);    /* a run always fits into an empty chunk */
    outgoing->count += count;
}

static size_t run_bytes(const uint8_t *bytes, size_t count)
{
    size_t run = 0;
    while (run < count && run < LONGEST_RUN && bytes[run] != 0)
        run++;
    return run;
}

void frame_resend(const uint8_t *body, size_t body_bytes)
{
    static const uint8_t delimiter = HWL_DELIMITER;
    struct outgoing outgoing;
    size_t at = 0;
    outgoing.count = 0;
    for (;;) {
        size_t run = run_bytes(body + at, body_bytes - at);
        uint8_t code = (uint8_t)(run + 1u);
        send(&outgoing, &code, 1);
        send(&outgoing, body + at, run);
        at += run;
        if (at == body_bytes)
            break;
        if (run < LONGEST_RUN)
            at++;       /* the zero that the next code stands for */
    }
    send(&outgoing, &delimiter, 1);
    hal_port_write(outgoing.bytes, outgoing.count);
}

void frame_send(uint8_t *body, size_t payload_bytes, uint8_t kind, uint8_t status, uint16_t session, uint16_t sequence)
{
    size_t crc_at = HWL_HEADER_BYTES + payload_bytes;
    body[HWL_HEADER_KIND] = kind;
    body[HWL_HEADER_STATUS] = status;
    put_u16(body + HWL_HEADER_SESSION, session);
    put_u16(body + HWL_HEADER_SEQUENCE, sequence);
    put_u32(body + crc_at, crc32(body, crc_at));
    frame_resend(body, payload_bytes + HWL_FRAME_OVERHEAD);
}
