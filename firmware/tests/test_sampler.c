/* Means, steady bits and flags, and that they do not depend on when results come back. */
#include "fake_chips.h"

#include "../src/panel.h"
#include "../src/sampler.h"

static void put_code(uint8_t *at, uint32_t code)
{
    at[0] = (uint8_t)(code >> 8);
    at[1] = (uint8_t)code;
}

/* ---- means ---- */

static void means_round_half_up(void)
{
    CHECK_EQUAL(mean_of(0, 4), 0);
    CHECK_EQUAL(mean_of(1, 4), 0);
    CHECK_EQUAL(mean_of(2, 4), 1);
    CHECK_EQUAL(mean_of(5, 4), 1);
    CHECK_EQUAL(mean_of(6, 4), 2);
    CHECK_EQUAL(mean_of(4096u * 65535u, 4096), 65535);
}

static int16_t mean_of_outputs(uint32_t count, const int16_t *samples)
{
    static const struct output_limits limits = {INT16_MIN, INT16_MAX, UINT16_MAX};
    struct outputs outputs;
    outputs_begin(&outputs, &limits, 1, count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t codes[2];
        put_code(codes, (uint32_t)(samples[i] + 32768));
        CHECK_EQUAL(outputs_take(&outputs, codes), i + 1 == count);
    }
    return outputs_code(&outputs, 0);
}

static void signed_means_round_half_up(void)
{
    CHECK_EQUAL(mean_of_outputs(1, (const int16_t[]){-32768}), -32768);
    CHECK_EQUAL(mean_of_outputs(1, (const int16_t[]){32767}), 32767);
    CHECK_EQUAL(mean_of_outputs(2, (const int16_t[]){-1, 0}), 0);      /* -0.5 */
    CHECK_EQUAL(mean_of_outputs(2, (const int16_t[]){-2, -1}), -1);    /* -1.5 */
    CHECK_EQUAL(mean_of_outputs(2, (const int16_t[]){1, 2}), 2);       /* 1.5 */
    CHECK_EQUAL(mean_of_outputs(3, (const int16_t[]){-1, -1, 0}), -1); /* -0.67 */
    CHECK_EQUAL(mean_of_outputs(3, (const int16_t[]){-1, 0, 0}), 0);   /* -0.33 */
}

static void sums_hold_the_longest_averages(void)
{
    static const struct output_limits limits = {INT16_MIN, INT16_MAX, UINT16_MAX};
    struct outputs outputs;
    struct reading reading;
    const uint8_t lowest[2] = {0, 0}, highest[2] = {0xFF, 0xFF};
    outputs_begin(&outputs, &limits, 1, HWL_LIMIT_SAMPLES);
    while (!outputs_take(&outputs, lowest)) {
    }
    CHECK_EQUAL(outputs_code(&outputs, 0), -32768);
    reading_begin(&reading, 1, HWL_LIMIT_SAMPLES, 1);
    while (!reading_take(&reading, highest)) {
    }
    CHECK_EQUAL(reading_code(&reading, 0), 65535);
    CHECK(reading_is_steady(&reading, 0, 0));
}

/* ---- readings ---- */

static void readings_have_parts(void)
{
    static const uint16_t samples[6][2] = {{10, 100}, {11, 100}, {20, 101}, {21, 100}, {30, 101}, {31, 100}};
    struct reading reading;
    reading_begin(&reading, 2, 2, 3); /* means of parts: 11, 21, 31 and 100, 101, 101; whole: 21 (20.5) and 100 */
    for (uint32_t i = 0; i < 6; i++) {
        uint8_t codes[4];
        put_code(codes, samples[i][0]);
        put_code(codes + 2, samples[i][1]);
        CHECK_EQUAL(reading_take(&reading, codes), i == 5);
    }
    CHECK_EQUAL(reading_code(&reading, 0), 21);
    CHECK_EQUAL(reading_code(&reading, 1), 100);
    CHECK(reading_is_steady(&reading, 0, 10));
    CHECK(!reading_is_steady(&reading, 0, 9));
    CHECK(reading_is_steady(&reading, 1, 1));
    CHECK(!reading_is_steady(&reading, 1, 0));
}

static void parts_below_make_a_reading_unsteady_too(void)
{
    static const uint16_t samples[3] = {100, 100, 40};
    struct reading reading;
    uint8_t codes[2];
    reading_begin(&reading, 1, 1, 3);
    for (uint32_t i = 0; i < 3; i++) {
        put_code(codes, samples[i]);
        (void)reading_take(&reading, codes);
    }
    CHECK_EQUAL(reading_code(&reading, 0), 80);
    CHECK(reading_is_steady(&reading, 0, 40));
    CHECK(!reading_is_steady(&reading, 0, 39));
}

/* ---- flags ---- */

static uint8_t flags_of(uint32_t count, const int16_t *samples)
{
    static const struct output_limits limits = {-30400, 30400, 24};
    struct outputs outputs;
    outputs_begin(&outputs, &limits, 2, count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t codes[4];
        put_code(codes, 32768); /* the other column is quiet */
        put_code(codes + 2, (uint32_t)(samples[i] + 32768));
        (void)outputs_take(&outputs, codes);
    }
    return outputs.flags;
}

static void any_sample_saturates(void)
{
    CHECK_EQUAL(flags_of(1, (const int16_t[]){30399}), 0);
    CHECK_EQUAL(flags_of(1, (const int16_t[]){30400}), HWL_SOLVE_FLAG_SATURATED);
    CHECK_EQUAL(flags_of(1, (const int16_t[]){-30399}), 0);
    CHECK_EQUAL(flags_of(1, (const int16_t[]){-30400}), HWL_SOLVE_FLAG_SATURATED);
    CHECK_EQUAL(flags_of(3, (const int16_t[]){0, 31000, 0}), HWL_SOLVE_FLAG_SATURATED);
}

static void first_and_last_sample_say_whether_it_settled(void)
{
    CHECK_EQUAL(flags_of(2, (const int16_t[]){0, 24}), 0);
    CHECK_EQUAL(flags_of(2, (const int16_t[]){0, 25}), HWL_SOLVE_FLAG_UNSETTLED);
    CHECK_EQUAL(flags_of(2, (const int16_t[]){-100, -124}), 0);
    CHECK_EQUAL(flags_of(2, (const int16_t[]){-100, -125}), HWL_SOLVE_FLAG_UNSETTLED);
    CHECK_EQUAL(flags_of(3, (const int16_t[]){0, 1000, 0}), 0);
    CHECK_EQUAL(flags_of(2, (const int16_t[]){-32768, 32767}), 3);
}

/* ---- the queue ---- */

static uint8_t seen[4096];
static size_t seen_bytes;
static bool digest_says;

static bool note(void *work, const uint8_t *at, const uint8_t *end)
{
    (void)work;
    memcpy(seen + seen_bytes, at, (size_t)(end - at));
    seen_bytes += (size_t)(end - at);
    return digest_says;
}

static uint16_t counted(uint32_t column, uint32_t scan)
{
    return (uint16_t)(100 * column + scan);
}

static void scan_three_runs(size_t room)
{
    struct sampling sampling = {.digest = note};
    fake_board("hwloop-16x4");
    fake_convert = counted;
    fake_result_room = room;
    seen_bytes = 0;
    digest_says = true;
    panel_scan_setup(PANEL_READ, 0xF);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(sampling_prepare(&sampling, 20, 4, &refusal));
        CHECK(sampling_scans(&sampling, 1000 * i, 20, 4, &refusal));
    }
    CHECK(sampling_finish(&sampling, &refusal));
    CHECK_EQUAL(seen_bytes, 3 * 20 * 4 * 2);
}

static void cuts_make_no_difference(void)
{
    static uint8_t whole[480];
    scan_three_runs(65536);
    CHECK_EQUAL(fake_finishes, 3 + 1); /* three of fake_board(), and one for all runs */
    memcpy(whole, seen, sizeof whole);
    for (size_t room = 8; room < 480; room += 7) {
        scan_three_runs(room);
        CHECK(memcmp(whole, seen, sizeof whole) == 0);
    }
    scan_three_runs(256); /* a run needs 160 */
    CHECK_EQUAL(fake_finishes, 3 + 3);
}

static void samples_have_their_ticks(void)
{
    struct sampling sampling = {.digest = note};
    panel_scan_setup(PANEL_READ, 0x2);
    fake_forget();
    CHECK(sampling_scans(&sampling, 5000, 3, 1, &refusal));
    CHECK_TRACE("at 5000; read 3 00000000; at 5160; read 3 00000000; at 5320; read 3 00000000");
}

static void nothing_outstanding_needs_no_finish(void)
{
    struct sampling sampling = {.digest = note};
    uint32_t before = fake_finishes;
    CHECK(sampling_finish(&sampling, &refusal));
    CHECK_EQUAL(fake_finishes, before);
}

static void broken_chips_are_a_fault(void)
{
    struct sampling sampling = {.digest = note, .outstanding = true};
    digest_says = true;
    fake_chips_dead = true;
    CHECK(!sampling_finish(&sampling, &refusal));
    CHECK_FAULT();
    fake_chips_dead = false;
    sampling.outstanding = true;
    digest_says = false;
    CHECK(!sampling_finish(&sampling, &refusal));
    CHECK_FAULT();
    sampling.outstanding = true;
    digest_says = true;
    fake_grounded_at = 1;
    CHECK(!sampling_finish(&sampling, &refusal));
    CHECK_FAULT();
}

static void a_fault_ends_a_run(void)
{
    struct sampling sampling = {.digest = note, .outstanding = true};
    fake_chips_dead = true;
    fake_result_room = 0;
    CHECK(!sampling_prepare(&sampling, 1, 4, &refusal));
    sampling.outstanding = true;
    CHECK(!sampling_scans(&sampling, 0, 1, 4, &refusal));
    CHECK_FAULT();
}

static void (*const tests[])(void) = {
    means_round_half_up, signed_means_round_half_up, sums_hold_the_longest_averages, readings_have_parts,
    parts_below_make_a_reading_unsteady_too, any_sample_saturates, first_and_last_sample_say_whether_it_settled,
    cuts_make_no_difference, samples_have_their_ticks, nothing_outstanding_needs_no_finish, broken_chips_are_a_fault,
    a_fault_ends_a_run};

int main(void)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        fake_board("hwloop-16x4");
        tests[i]();
    }
    return check_result();
}
