/* Asking the whole board, and looking at what it answers. */
#include "asking.h"

#include "../src/board.h"

void asking_start(const char *board_name)
{
    fake_board(board_name);
    host_start();
    board_start();
}

bool ask(uint8_t kind, uint16_t session, uint16_t sequence, size_t count, const uint8_t *payload)
{
    host_says(kind, session, sequence, count, payload);
    fake_forget();
    board_step();
    bool answered = host_hears();
    CHECK(!answered || heard.kind == (kind | HWL_REPLY_BIT));
    CHECK(!answered || (heard.session == session && heard.sequence == sequence));
    return answered;
}

bool open_as(uint16_t session, uint16_t tag, uint16_t resume)
{
    uint8_t request[HWL_OPEN_REQUEST_BYTES];
    put_u32(request, HWL_WIRE_HASH);
    put_u16(request + HWL_OPEN_REQUEST_RESUME, resume);
    CHECK(ask(HWL_COMMAND_OPEN, session, tag, sizeof request, request));
    return heard.status == HWL_STATUS_OK;
}

void open_session(void)
{
    CHECK(open_as(SESSION, 1, 0));
}

bool wait_for(uint16_t sequence, uint32_t ticks)
{
    uint8_t request[HWL_WAIT_REQUEST_BYTES];
    put_u32(request, ticks);
    CHECK(ask(HWL_COMMAND_WAIT, SESSION, sequence, sizeof request, request));
    return heard.status == HWL_STATUS_OK;
}

void check_refused(uint8_t status, uint16_t field, int32_t value, int32_t low, int32_t high)
{
    CHECK_EQUAL(heard.status, status);
    CHECK_EQUAL(heard.payload_bytes, HWL_REFUSAL_BYTES);
    CHECK_EQUAL(get_u16(heard.payload + HWL_REFUSAL_FIELD), field);
    CHECK_EQUAL(get_u16(heard.payload + HWL_REFUSAL_POSITION), 0);
    CHECK_EQUAL((int32_t)get_u32(heard.payload + HWL_REFUSAL_VALUE), value);
    CHECK_EQUAL((int32_t)get_u32(heard.payload + HWL_REFUSAL_LOW), low);
    CHECK_EQUAL((int32_t)get_u32(heard.payload + HWL_REFUSAL_HIGH), high);
}

struct status status_now(void)
{
    CHECK(ask(HWL_COMMAND_STATUS, 0, 0, 0, NULL));
    CHECK_EQUAL(heard.payload_bytes, HWL_STATUS_REPLY_BYTES);
    const uint8_t *at = heard.payload;
    return (struct status){at[0], at[1], at[2], at[3], get_u16(at + 4), get_u16(at + 6), get_u16(at + 8),
                           get_u16(at + 10), get_u32(at + 12), get_u32(at + 16)};
}
