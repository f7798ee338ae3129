/* TEMPERATURE, WAIT, TIGHTEN. */
#include "fake_chips.h"

#include "../src/bytes.h"
#include "../src/limits.h"
#include "../src/wiring.h"

#define AT_REST "read 6 00000000; read 6 00000000; read 3 0a0000; read 5 5800"

static struct payload payload;

static int32_t temperature_of(int16_t raw)
{
    fake_temperature = raw;
    CHECK(run(temperature_command, &payload));
    CHECK_EQUAL(reply_bytes, 6);
    CHECK_EQUAL(get_u32(reply), 0);
    return get_i16(reply + 4);
}

static void temperature_is_rounded_half_up(void)
{
    CHECK_EQUAL(temperature_of(25 * 128), 2500);
    CHECK_EQUAL(temperature_of(85 * 128 + 1), 8501);    /* 8500.78 */
    CHECK_EQUAL(temperature_of(16), 13);                /* 12.5 */
    CHECK_EQUAL(temperature_of(0), 0);
    CHECK_EQUAL(temperature_of(-1), -1);                /* -0.78 */
    CHECK_EQUAL(temperature_of(-16), -12);              /* -12.5 */
    CHECK_EQUAL(temperature_of(-40 * 128), -4000);
    fake_forget();
    bench_ticks = 70;
    CHECK_EQUAL(temperature_of(0), 0);
    CHECK_TRACE("at 70; read 5 500000; read 5 5800; at 70; " AT_REST);
}

static void a_silent_sensor_is_a_fault(void)
{
    add_u8(&payload, 0);
    CHECK(!run(temperature_command, &payload));
    CHECK_BAD_LENGTH(1, 0);
    fake_stuck_select = HWL_SELECT_TEMPERATURE;
    CHECK(!run(temperature_command, &payload));
    CHECK_FAULT();
}

static bool waited(uint32_t ticks)
{
    add_u32(&payload, ticks);
    return run(wait_command, &payload);
}

static void waits_in_slices(void)
{
    CHECK(waited(0));
    CHECK_TRACE("at 0; " AT_REST);
    CHECK(waited(100000));
    CHECK_EQUAL(get_u32(reply), 100000);
    CHECK_TRACE("at 40000; at 80000; at 100000; " AT_REST);
    bench_ticks = UINT64_C(0xFFFFFFFF00000000);
    CHECK(waited(UINT32_MAX));
    CHECK_EQUAL(get_u32(reply), UINT32_MAX);
    CHECK(bench_ticks == UINT64_MAX);
    fake_forget();
}

static void a_wait_ends_where_it_is_grounded(void)
{
    add_u8(&payload, 0);
    CHECK(!run(wait_command, &payload));
    CHECK_BAD_LENGTH(1, 4);
    fake_grounded_at = 2;
    CHECK(!waited(5000000));
    CHECK_EQUAL(bench_ticks, 80000);
    CHECK_FAULT();
}

static bool tightened(uint16_t limit, uint32_t value)
{
    add_u16(&payload, limit);
    add_u32(&payload, value);
    return run(tighten_command, &payload);
}

static void limits_only_go_down(void)
{
    CHECK(tightened(HWL_LIMIT_KIND_GATE_CODE, 39322));
    CHECK_EQUAL(reply_bytes, 4);
    CHECK(tightened(HWL_LIMIT_KIND_GATE_CODE, 100));
    CHECK_EQUAL(limit_of(HWL_LIMIT_KIND_GATE_CODE), 100);
    fake_forget();
    CHECK(!tightened(HWL_LIMIT_KIND_GATE_CODE, 101));
    CHECK_OUT_OF_RANGE(LIMIT, 0, 101, 0, 100);
    CHECK(!tightened(HWL_LIMIT_KIND_PULSE_ENERGY, UINT32_MAX));
    CHECK_OUT_OF_RANGE(LIMIT, 0, -1, 0, 10240000);
    CHECK(!tightened(HWL_LIMIT_KIND_PULSE_ENERGY + 1, 0));
    CHECK_OUT_OF_RANGE(LIMIT, 0, 6, 0, 5);
    add_u8(&payload, 0);
    CHECK(!run(tighten_command, &payload));
    CHECK_BAD_LENGTH(1, 6);
}

static void (*const tests[])(void) = {
    temperature_is_rounded_half_up, a_silent_sensor_is_a_fault, waits_in_slices, a_wait_ends_where_it_is_grounded,
    limits_only_go_down};

int main(void)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        fake_board("hwloop-16x4");
        payload.count = 0;
        tests[i]();
    }
    return check_result();
}
