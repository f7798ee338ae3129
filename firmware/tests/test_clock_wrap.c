/* The bench clock beyond 32 bits and at its very end: elapsed ticks are right, and what is queued goes on counting. */
#include "fake_chips.h"

#include "../src/bytes.h"

static struct payload payload;

static bool waited(uint32_t ticks)
{
    add_u32(&payload, ticks);
    return run(wait_command, &payload);
}

/* One row pulse of 100 ticks; two DAC words change the first time. */
static bool pulsed(void)
{
    add_u8(&payload, 0);
    add_u8(&payload, HWL_POLARITY_SET);
    add_u8(&payload, HWL_LAYOUT_CELLS);
    add_u8(&payload, HWL_TARGET_COMMON);
    ADD_WORDS(&payload, 100, 20000, 25000, 1, 5);
    return run(pulse_command, &payload);
}

static uint64_t last_at(void)
{
    uint64_t ticks = 0;
    for (size_t i = 0; i < fake_entry_count; i++)
        if (fake_entries[i].kind == FAKE_AT)
            ticks = fake_entries[i].ticks;
    return ticks;
}

static void runs_over(uint64_t end)
{
    fake_board("hwloop-16x4");
    bench_ticks = end - 130;
    CHECK(pulsed());
    CHECK_EQUAL(get_u32(reply), 2 * 10 + 100 + 100 + 50);
    CHECK(last_at() == end + 140);
    fake_forget();
    bench_ticks = end - 5;
    CHECK(waited(UINT32_MAX));
    CHECK_EQUAL(get_u32(reply), UINT32_MAX);
    CHECK(last_at() == end - 5 + UINT32_MAX);
    CHECK(bench_ticks == last_at());
}

static void goes_on_beyond_32_bits(void)
{
    runs_over((uint64_t)1 << 32);
    runs_over((uint64_t)1 << 33);
}

static void goes_on_beyond_63_bits(void)
{
    runs_over((uint64_t)1 << 63);
}

static void wraps_at_64_bits(void)
{
    runs_over(0);
}

int main(void)
{
    RUN(goes_on_beyond_32_bits);
    RUN(goes_on_beyond_63_bits);
    RUN(wraps_at_64_bits);
    return check_result();
}
