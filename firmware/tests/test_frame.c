/* Frames: both ways of COBS, what is dropped, the receive ring, and the look ahead. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "fake_hal.h"
#include "fake_host.h"

#include "../src/frame.h"
#include "../src/geometry.h"
#include "../src/safety.h"

enum { SESSION = 0x1234, LONGEST = 512, LONGEST_CODED = LONGEST + LONGEST / 254 + 1 };

static uint32_t times_heard;
static struct frame frame;
static uint8_t body[1 << 15], coded[1 << 15];

/* In place of the one of safety.c. */
void safety_heard(void)
{
    times_heard++;
}

static bool next(void)
{
    frame_receive();
    return frame_next(&frame);
}

static void say(uint8_t kind, uint16_t sequence)
{
    host_says(kind, SESSION, sequence, 0, NULL);
}

static void crc_is_that_of_ethernet(void)
{
    const uint8_t *digits = (const uint8_t *)"123456789";
    CHECK_EQUAL(crc32(digits, 9), 0xCBF43926);
    CHECK_EQUAL(crc32(digits, 0), 0);
    CHECK_EQUAL(crc32_continue(crc32(digits, 4), digits + 4, 5), 0xCBF43926);
}

static void a_frame_comes_whole(void)
{
    CHECK(!next());
    host_says(7, SESSION, 0xFEDC, 3, (const uint8_t *)"a\0b");
    CHECK(next());
    CHECK_EQUAL(frame.kind, 7);
    CHECK_EQUAL(frame.status, 0);
    CHECK_EQUAL(frame.session, SESSION);
    CHECK_EQUAL(frame.sequence, 0xFEDC);
    CHECK_EQUAL(frame.payload_bytes, 3);
    CHECK(memcmp(frame.payload, "a\0b", 3) == 0);
    CHECK(!next());
}

static void a_frame_comes_byte_by_byte(void)
{
    size_t count = host_codes(coded, body, host_body(body, 7, 0, SESSION, 1, 0, NULL));
    for (size_t i = 0; i + 1 < count; i++) {
        fake_port_hears(coded + i, 1);
        CHECK(!next());
    }
    fake_port_hears(coded + count - 1, 1);
    CHECK(next());
    CHECK_EQUAL(frame.sequence, 1);
}

static void bytes_on_the_wire(void)
{
    uint8_t answer[32] = {0};
    memcpy(answer + 6, "a\0b", 3);
    frame_send(answer, 3, 0x81, 2, 0x0304, 0x0005);
    CHECK_EQUAL(fake_port_said_count, 15);
    CHECK(memcmp(fake_port_said, "\x06\x81\x02\x04\x03\x05\x02" "a\x06" "b", 10) == 0);
    CHECK_EQUAL(fake_port_said[14], 0);
    CHECK(host_hears());
    CHECK_EQUAL(heard.kind, 0x81);
    CHECK_EQUAL(heard.payload_bytes, 3);
}

static uint8_t pattern(int which, size_t i, size_t count)
{
    switch (which) {
    case 0:
        return 0;
    case 1:
        return 1;
    case 2:
        return (uint8_t)(i + 1 == count ? 0 : 255);
    default:
        return (uint8_t)(rand() % 300 > 250 ? 0 : rand());
    }
}

/* Every length round the ends of COBS blocks, out and in. */
static void any_length_goes_and_comes(void)
{
    static uint8_t payload[LONGEST];
    for (int which = 0; which < 4; which++) {
        for (size_t count = 0; count <= LONGEST - HWL_FRAME_OVERHEAD; count++) {
            size_t said = fake_port_said_count;
            for (size_t i = 0; i < count; i++)
                payload[i] = pattern(which, i, count);
            memcpy(body + 6, payload, count);
            frame_send(body, count, 5, 0, SESSION, 9);
            size_t wanted = host_codes(coded, body, count + HWL_FRAME_OVERHEAD);
            CHECK_EQUAL(fake_port_said_count - said, wanted);
            CHECK(memcmp(fake_port_said + said, coded, wanted) == 0);
            fake_port_hears(coded, wanted);
            CHECK(next());
            CHECK_EQUAL(frame.payload_bytes, count);
            CHECK(memcmp(frame.payload, payload, count) == 0);
            if (said > 500000) {
                fake_reset();
                host_start();
            }
        }
    }
}

static void a_body_goes_out_again_as_it_was(void)
{
    frame_send(body, 0, 5, 0, SESSION, 9);
    size_t said = fake_port_said_count;
    frame_resend(body, HWL_FRAME_OVERHEAD);
    CHECK_EQUAL(fake_port_said_count, 2 * said);
    CHECK(memcmp(fake_port_said, fake_port_said + said, said) == 0);
}

/* Whatever is dropped, the frame behind it is not. */
static void check_dropped(void)
{
    say(9, 77);
    CHECK(next());
    CHECK_EQUAL(frame.sequence, 77);
    CHECK(!next());
}

static void one_byte_too_long_is_dropped(void)
{
    memset(body, 1, sizeof body);
    size_t longest = LONGEST - HWL_FRAME_OVERHEAD;
    host_says(5, SESSION, 3, longest, body + 6);
    CHECK(next());
    CHECK_EQUAL(frame.payload_bytes, longest);
    host_says(5, SESSION, 3, longest + 1, body + 6);
    check_dropped();
    /* Short blocks: few coded bytes make too long a frame. */
    memset(body, 0, sizeof body);
    host_says(5, SESSION, 3, longest + 1, body + 6);
    check_dropped();
}

static void what_is_shorter_than_header_and_crc_is_dropped(void)
{
    for (size_t count = 0; count < HWL_FRAME_OVERHEAD; count++) {
        memset(body, 5, count);
        if (count >= 4)
            memcpy(body + count - 4, (uint32_t[]){crc32(body, count - 4)}, 4);
        host_says_body(body, count);
        check_dropped();
    }
    fake_port_hears((const uint8_t *)"\0\0\0", 3);
    check_dropped();
}

static void damage_is_dropped(void)
{
    size_t count = host_codes(coded, body, host_body(body, 7, 0, SESSION, 1, 0, NULL));
    for (size_t i = 0; i + 1 < count; i++) {
        for (uint32_t bit = 0; bit < 8; bit++) {
            coded[i] ^= (uint8_t)(1u << bit);
            if (coded[i] != 0) {
                fake_port_hears(coded, count);
                check_dropped();
            }
            coded[i] ^= (uint8_t)(1u << bit);
        }
    }
    fake_port_hears(coded, count / 2);
    fake_port_hears((const uint8_t *)"", 1);
    check_dropped();
}

/* A code of 255 at the end stands for no zero; a sender may put an empty block behind it. */
static void a_full_block_may_have_an_empty_one_behind(void)
{
    enum { PAYLOAD = 2 + 254 - HWL_FRAME_OVERHEAD };    /* the one zero is the status: kind, zero, and a full run */
    memset(body, 3, sizeof body);
    size_t count = host_codes(coded, body, host_body(body, 7, 0, 0x0101, 0x0101, PAYLOAD, body + 1000));
    CHECK_EQUAL(coded[2], 255);
    coded[count - 1] = 1;
    coded[count] = 0;
    fake_port_hears(coded, count + 1);
    CHECK(next());
    CHECK_EQUAL(frame.payload_bytes, PAYLOAD);
}

static void a_block_too_long_is_skipped_to_its_end(void)
{
    memset(coded, 1, sizeof coded);
    fake_port_hears(coded, LONGEST_CODED);
    CHECK(!next());
    fake_port_hears((const uint8_t *)"", 1);
    check_dropped();
    for (int i = 0; i < 20; i++) {
        fake_port_hears(coded, sizeof coded);
        CHECK(!next());
    }
    /* What stands behind without a delimiter between is the end of the same block. */
    say(9, 5);
    CHECK(!next());
    check_dropped();
}

static void takes_frames_in_order_and_leaves_the_others_in_the_port(void)
{
    memset(body, 1, sizeof body);
    uint16_t said = 0, came = 0;
    for (; said < 500; said++)
        host_says(5, SESSION, said, said, body + 6);
    while (next())
        CHECK_EQUAL(frame.sequence, came++);
    CHECK_EQUAL(came, said);
}

static void holds_what_may_be_in_flight(void)
{
    memset(body, 1, sizeof body);
    for (uint16_t i = 0; i < geometry.max_in_flight; i++)
        host_says(5, SESSION, i, LONGEST - HWL_FRAME_OVERHEAD, body + 6);
    frame_receive();
    for (uint16_t i = 0; i < geometry.max_in_flight; i++) {
        CHECK(frame_next(&frame));
        CHECK_EQUAL(frame.sequence, i);
    }
}

static void sees_a_safe_behind_other_frames(void)
{
    say(HWL_COMMAND_READ, 0);
    say(HWL_COMMAND_READ, 1);
    frame_receive();
    CHECK(!frame_safe_waits(SESSION));
    host_says(HWL_COMMAND_SAFE, 9, 2, 0, NULL);     /* also another host's */
    CHECK(!frame_safe_waits(SESSION));              /* not taken in yet */
    frame_receive();
    CHECK(frame_safe_waits(SESSION));
    CHECK(next());
    CHECK(frame_safe_waits(SESSION));
    CHECK(next());
    CHECK(frame_safe_waits(SESSION));
    CHECK(next());
    CHECK_EQUAL(frame.kind, HWL_COMMAND_SAFE);
    CHECK(!frame_safe_waits(SESSION));
    CHECK(!next());
}

static void each_safe_counts(void)
{
    say(HWL_COMMAND_SAFE, 0);
    say(HWL_COMMAND_READ, 1);
    say(HWL_COMMAND_SAFE, 2);
    frame_receive();
    CHECK(frame_safe_waits(SESSION));
    CHECK(next());
    CHECK(frame_safe_waits(SESSION));
    CHECK(next());
    CHECK(next());
    CHECK(!frame_safe_waits(SESSION));
    /* One that was taken without a look ahead is none that waits. */
    say(HWL_COMMAND_SAFE, 3);
    CHECK(next());
    CHECK(!frame_safe_waits(SESSION));
}

static void is_not_deceived(void)
{
    host_says_body(body, host_body(body, HWL_COMMAND_SAFE | HWL_REPLY_BIT, 0, SESSION, 1, 0, NULL));
    host_says_body(body, host_body(body, HWL_COMMAND_SAFE, 1, SESSION, 1, 0, NULL));
    size_t count = host_body(body, HWL_COMMAND_SAFE, 0, SESSION, 1, 0, NULL);
    body[5] ^= 1;
    host_says_body(body, count);
    frame_receive();
    CHECK(!frame_safe_waits(SESSION));
    CHECK_EQUAL(times_heard, 0);
    while (next())
        CHECK(!frame_is_request(&frame));
    CHECK(!frame_safe_waits(SESSION));
}

static void hears_its_own_host_once(void)
{
    host_says(HWL_COMMAND_HEARTBEAT, SESSION, 0, 0, NULL);
    host_says(HWL_COMMAND_HEARTBEAT, SESSION + 1, 0, 0, NULL);
    host_says(HWL_COMMAND_READ, SESSION, 0, 0, NULL);
    frame_receive();
    CHECK(!frame_safe_waits(SESSION));
    CHECK_EQUAL(times_heard, 2);
    CHECK(!frame_safe_waits(SESSION));
    CHECK_EQUAL(times_heard, 2);
}

static void looks_round_the_end_of_the_ring(void)
{
    memset(body, 1, sizeof body);
    for (uint16_t i = 0; i < 3000; i++) {
        host_says(i % 3 == 0 ? HWL_COMMAND_SAFE : HWL_COMMAND_READ, SESSION, i, i % 97, body + 6);
        if (i == 2999 || i % 5 != 0)
            continue;
        frame_receive();
        CHECK(frame_safe_waits(SESSION));
        while (next())
            ;
        CHECK(!frame_safe_waits(SESSION));
    }
}

static void a_flood_does_not_keep_the_board(void)
{
    static uint8_t flood[1 << 19];
    memset(flood, 1, sizeof flood);
    fake_port_hears(flood, sizeof flood);
    frame_receive();    /* comes back before all of it was taken */
    uint8_t left;
    CHECK_EQUAL(hal_port_read(&left, 1), 1);
}

static void (*const tests[])(void) = {
    crc_is_that_of_ethernet, a_frame_comes_whole, a_frame_comes_byte_by_byte, bytes_on_the_wire,
    any_length_goes_and_comes, a_body_goes_out_again_as_it_was, one_byte_too_long_is_dropped,
    what_is_shorter_than_header_and_crc_is_dropped, damage_is_dropped, a_full_block_may_have_an_empty_one_behind,
    a_block_too_long_is_skipped_to_its_end, takes_frames_in_order_and_leaves_the_others_in_the_port,
    holds_what_may_be_in_flight, sees_a_safe_behind_other_frames, each_safe_counts, is_not_deceived,
    hears_its_own_host_once, looks_round_the_end_of_the_ring, a_flood_does_not_keep_the_board};

int main(void)
{
    CHECK(!geometry_choose("hwloop-1x1"));
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        fake_reset();
        host_start();
        frame_start();
        times_heard = 0;
        CHECK(geometry_choose("hwloop-16x4"));
        tests[i]();
    }
    return check_result();
}
