/* The host at the other end of the fake port. Codes and decodes in its own way, so that it checks the firmware's. */
#include "fake_host.h"

#include <string.h>

#include "fake_hal.h"

#include "../src/bytes.h"
#include "../src/frame.h"

enum { BODY_BYTES = 1 << 15 };

struct heard heard;

static size_t taken;                        /* bytes of what the port said */
static const uint8_t *heard_at;
static size_t heard_count;

void host_start(void)
{
    taken = heard_count = 0;
    memset(&heard, 0, sizeof heard);
}

size_t host_codes(uint8_t *coded, const uint8_t *body, size_t count)
{
    size_t code_at = 0, to = 1;
    for (size_t i = 0; i < count; i++) {
        if (body[i] != 0)
            coded[to++] = body[i];
        if (body[i] == 0 || (to - code_at == 255 && i + 1 < count)) {
            coded[code_at] = (uint8_t)(to - code_at);
            code_at = to++;
        }
    }
    coded[code_at] = (uint8_t)(to - code_at);
    coded[to++] = 0;
    return to;
}

size_t host_body(uint8_t *body, uint8_t kind, uint8_t status, uint16_t session, uint16_t sequence, size_t count,
                 const uint8_t *payload)
{
    body[0] = kind;
    body[1] = status;
    put_u16(body + 2, session);
    put_u16(body + 4, sequence);
    if (count > 0)
        memcpy(body + 6, payload, count);
    put_u32(body + 6 + count, crc32(body, 6 + count));
    return count + 10;
}

void host_says_body(const uint8_t *body, size_t count)
{
    static uint8_t coded[BODY_BYTES];
    fake_port_hears(coded, host_codes(coded, body, count));
}

void host_says(uint8_t kind, uint16_t session, uint16_t sequence, size_t count, const uint8_t *payload)
{
    static uint8_t body[BODY_BYTES];
    host_says_body(body, host_body(body, kind, 0, session, sequence, count, payload));
}

static size_t decode(uint8_t *body, const uint8_t *coded, size_t count)
{
    size_t to = 0, next = 0;
    bool zero = false;
    for (size_t i = 0; i < count; i++) {
        if (i == next) {
            if (zero)
                body[to++] = 0;
            zero = coded[i] < 255;
            next = i + coded[i];
        } else {
            body[to++] = coded[i];
        }
    }
    return next == count ? to : 0;
}

bool host_hears(void)
{
    static uint8_t body[BODY_BYTES];
    if (taken == fake_port_said_count)
        return false;
    const uint8_t *end = memchr(fake_port_said + taken, 0, fake_port_said_count - taken);
    if (end == NULL)
        return false;
    heard_at = fake_port_said + taken;
    heard_count = (size_t)(end + 1 - heard_at);
    taken += heard_count;
    memset(&heard, 0, sizeof heard);
    size_t count = decode(body, heard_at, heard_count - 1);
    if (count < 10 || get_u32(body + count - 4) != crc32(body, count - 4)) {
        heard.kind = heard.status = 0xFF;
        return true;
    }
    heard.kind = body[0];
    heard.status = body[1];
    heard.session = get_u16(body + 2);
    heard.sequence = get_u16(body + 4);
    heard.payload_bytes = count - 10;
    memcpy(heard.payload, body + 6, heard.payload_bytes);
    return true;
}

const uint8_t *host_heard_bytes(size_t *count)
{
    *count = heard_count;
    return heard_at;
}
