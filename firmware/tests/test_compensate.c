/* COMPENSATE: changed chains, ticks, refusals. */
#include "fake_chips.h"

#include "../src/bytes.h"

static struct payload payload;

static uint32_t elapsed(void)
{
    CHECK(run(compensate_command, &payload));
    CHECK_EQUAL(reply_bytes, 4);
    return get_u32(reply);
}

static void a_load_counts_the_rows_that_change(void)
{
    ADD_WORDS(&payload, 0);
    CHECK_EQUAL(elapsed(), 200);
    ADD_WORDS(&payload, 0, 3, 100, 4, 0, 15, 1023);
    CHECK_EQUAL(elapsed(), 220);
    ADD_WORDS(&payload, 0, 3, 100, 15, 1023);
    CHECK_EQUAL(elapsed(), 200);
    ADD_WORDS(&payload, 0, 3, 0, 3, 100); /* there and back again: two changes */
    CHECK_EQUAL(elapsed(), 220);
    CHECK_EQUAL(bench_ticks, 840);
    fake_forget();
}

static void a_load_may_go_on(void)
{
    ADD_WORDS(&payload, 1);
    CHECK_EQUAL(elapsed(), 0);
    ADD_WORDS(&payload, 1, 3, 7);
    CHECK_EQUAL(elapsed(), 10);
    fake_forget();
}

static void only_changed_chains_are_sent(void)
{
    fake_board("hwloop-128x16");
    bench_ticks = 50;
    ADD_WORDS(&payload, 0, 1, 0, 17, 1);
    CHECK_EQUAL(elapsed(), 210);
    CHECK_TRACE("at 50; 201 0000000000000000000000000000000000000400; at 260; "
                "read 6 00000000; read 6 00000000; read 3 0a0000; read 4 0a0000; read 5 5800");
}

static void refuses_lengths_then_rows_then_codes(void)
{
    add_u8(&payload, 0);
    CHECK(!run(compensate_command, &payload));
    CHECK_BAD_LENGTH(1, 2);
    ADD_WORDS(&payload, 0, 1, 2, 3);
    CHECK(!run(compensate_command, &payload));
    CHECK_BAD_LENGTH(8, 6);
    ADD_WORDS(&payload, 0, 0, 1024, 15, 0, 16, 0);
    CHECK(!run(compensate_command, &payload));
    CHECK_OUT_OF_RANGE(ROW, 2, 16, 0, 15);
    ADD_WORDS(&payload, 0, 0, 1023, 15, 1024);
    CHECK(!run(compensate_command, &payload));
    CHECK_OUT_OF_RANGE(COMPENSATION_CODE, 1, 1024, 0, 1023);
}

static void chips_that_fail_are_a_fault(void)
{
    ADD_WORDS(&payload, 0, 1, 2);
    fake_chips_dead = true;
    CHECK(!run(compensate_command, &payload));
    CHECK_FAULT();
}

static void (*const tests[])(void) = {
    a_load_counts_the_rows_that_change, a_load_may_go_on, only_changed_chains_are_sent,
    refuses_lengths_then_rows_then_codes, chips_that_fail_are_a_fault};

int main(void)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        fake_board("hwloop-16x4");
        payload.count = 0;
        tests[i]();
    }
    return check_result();
}
