/* SOLVE and MVM: batches of inputs on the masked rows and columns. Both go the same way; they differ in what is
 * connected and in what counts as saturated. */
#include <string.h>

#include "bytes.h"
#include "engine.h"
#include "panel.h"
#include "sampler.h"
#include "sections.h"
#include "wiring.h"

#include "../hal/hal.h"

_Static_assert(HWL_SOLVE_REPLY_LOAD_TICKS == HWL_MVM_REPLY_LOAD_TICKS && HWL_SOLVE_REPLY_BYTES == HWL_MVM_REPLY_BYTES,
               "the two answers begin alike");

enum { BIAS_FOLLOWS = 0x80, FLAGS_A_SOLVE = 2 };

static const struct output_limits solve_limits = {
    -(int32_t)HWL_SCALE_SATURATED_CODE, (int32_t)HWL_SCALE_SATURATED_CODE, (int32_t)HWL_SCALE_UNSETTLED_CODE};
/* The ends of the ADC's range; two codes are never so far apart that a product would be unsettled. */
static const struct output_limits product_limits = {INT16_MIN, INT16_MAX, UINT16_MAX};

/* Where the codes of a section that come back go. */
struct work {
    const struct batch *batch;
    bool under_way;                 /* `outputs` has begun */
    struct outputs outputs;
    const struct output_limits *limits;
    uint8_t *codes;                 /* of the section, in the answer */
    uint8_t *flags;
    uint32_t solve;                 /* the one that comes next */
};

/* What is different between the two commands. */
struct kind {
    bool (*check)(const uint8_t *payload, size_t bytes, uint32_t *offset, uint32_t position, struct batch *batch,
                  struct refusal *why);
    void (*connect)(const struct batch *batch);
    enum panel_source source;
    const struct output_limits *limits;
};

/* ---- checks ---- */

static bool header_fits(const uint8_t *payload, size_t bytes, uint32_t *offset, struct batch *batch,
                        struct refusal *why)
{
    uint32_t header = *offset;
    *offset += HWL_SOLVE_SECTION_BYTES;
    if (!reaches(why, bytes, *offset))
        return false;
    batch_header(payload + header, batch);
    return true;
}

static bool sampling_check(const struct batch *batch, uint32_t position, struct refusal *why)
{
    return in_range(why, HWL_FIELD_SAMPLES, batch->averages, 1, HWL_LIMIT_SAMPLES, position) &&
           in_range(why, HWL_FIELD_SETTLE_TICKS, batch->settle_ticks, HWL_TICKS_SETTLE_MIN, UINT16_MAX, position);
}

static uint8_t divider_of(const struct batch *batch)
{
    return batch->header[HWL_SOLVE_SECTION_BIAS_DIVIDER] & (uint8_t)~BIAS_FOLLOWS;
}

static bool codes_check(const struct batch *batch, uint32_t position, struct refusal *why)
{
    const int32_t most_bias = HWL_LIMIT_BIAS_CODE;
    for (uint32_t i = 0; batch->feedback != NULL && i < batch->columns; i++)
        if (!in_range(why, HWL_FIELD_FEEDBACK_CODE, get_u16(batch->feedback + 2 * i), 0, HWL_LIMIT_FEEDBACK_CODE,
                      position))
            return false;
    for (uint32_t i = 0; batch->bias != NULL && i < batch->columns; i++)
        if (!in_range(why, HWL_FIELD_BIAS_CODE, get_i16(batch->bias + 2 * i), -most_bias, most_bias, position))
            return false;
    return true;
}

static bool solve_check(const uint8_t *payload, size_t bytes, uint32_t *offset, uint32_t position, struct batch *batch,
                        struct refusal *why)
{
    if (!header_fits(payload, bytes, offset, batch, why))
        return false;
    uint8_t feedback = batch->header[HWL_SOLVE_SECTION_FEEDBACK];
    bool bias = (batch->header[HWL_SOLVE_SECTION_BIAS_DIVIDER] & BIAS_FOLLOWS) != 0;
    return in_range(why, HWL_FIELD_CONSTRAINT, batch->header[HWL_SOLVE_SECTION_CONSTRAINT], 0, HWL_CONSTRAINT_NONE,
                    position) &&
           in_range(why, HWL_FIELD_FEEDBACK_CODE, feedback, 0, 1, position) &&
           in_range(why, HWL_FIELD_BIAS_CODE, divider_of(batch), 0, HWL_BIAS_DIVIDER_BY_256, position) &&
           sampling_check(batch, position, why) &&
           batch_check(payload, bytes, offset, feedback != 0, bias, position, batch, why) &&
           codes_check(batch, position, why);
}

static bool mvm_check(const uint8_t *payload, size_t bytes, uint32_t *offset, uint32_t position, struct batch *batch,
                      struct refusal *why)
{
    return header_fits(payload, bytes, offset, batch, why) &&
           in_range(why, HWL_FIELD_ARRAY, batch->header[HWL_MVM_SECTION_ARRAY], 0, 1, position) &&
           in_range(why, HWL_FIELD_TIA_RANGE, batch->header[HWL_MVM_SECTION_TIA_RANGE], 0, HWL_TIA_RANGE_COARSE,
                    position) &&
           sampling_check(batch, position, why) &&
           batch_check(payload, bytes, offset, false, false, position, batch, why);
}

static uint32_t codes_bytes(const struct batch *batch)
{
    return 2 * batch->solve_count * batch->columns;
}

static uint32_t flags_bytes(const struct batch *batch)
{
    return packed_bits_bytes(FLAGS_A_SOLVE * (uint32_t)batch->solve_count);
}

static bool check(const struct kind *kind, const uint8_t *payload, size_t bytes, struct refusal *why)
{
    struct batch batch;
    uint32_t offset = 0, reply_bytes = HWL_SOLVE_REPLY_BYTES;
    for (uint32_t number = 0; offset < bytes; number++) {
        if (!kind->check(payload, bytes, &offset, number, &batch, why))
            return false;
        reply_bytes += codes_bytes(&batch) + flags_bytes(&batch);
    }
    return engine_reply_fits(reply_bytes, why);
}

/* ---- what is connected ---- */

static void connect_solve(const struct batch *batch)
{
    static const uint16_t dividers[] = {
        [HWL_BIAS_DIVIDER_BY_1] = 0,
        [HWL_BIAS_DIVIDER_BY_16] = 1u << HWL_MODE_BIAS_BY_16,
        [HWL_BIAS_DIVIDER_BY_256] = 1u << HWL_MODE_BIAS_BY_256,
    };
    static const uint16_t constraints[] = {
        [HWL_CONSTRAINT_RAIL] = 0,
        [HWL_CONSTRAINT_RECTIFIER] = 1u << HWL_MODE_RECTIFIER,
        [HWL_CONSTRAINT_NONE] = 1u << HWL_MODE_DUAL_SUPPLY,
    };
    panel_feedback(batch->column_mask, batch->feedback);
    panel_bias(batch->column_mask, batch->bias);
    panel_mode(1u << HWL_MODE_CONNECT_A | 1u << HWL_MODE_CONNECT_B | 1u << HWL_MODE_SOLVE |
               1u << HWL_MODE_ADC_FROM_OUTPUTS | dividers[divider_of(batch)] |
               constraints[batch->header[HWL_SOLVE_SECTION_CONSTRAINT]]);
}

static void connect_products(const struct batch *batch)
{
    uint32_t connect = batch->header[HWL_MVM_SECTION_ARRAY] == 0 ? HWL_MODE_CONNECT_A : HWL_MODE_CONNECT_B;
    bool coarse = batch->header[HWL_MVM_SECTION_TIA_RANGE] == HWL_TIA_RANGE_COARSE;
    panel_mode(1u << connect | 1u << HWL_MODE_MULTIPLY | (coarse ? 1u << HWL_MODE_TIA_COARSE : 0));
}

/* ---- carrying out ---- */

static void put_solve(struct work *work)
{
    const struct outputs *outputs = &work->outputs;
    uint32_t bit = FLAGS_A_SOLVE * work->solve++;
    for (uint32_t column = 0; column < outputs->columns; column++, work->codes += 2)
        put_u16(work->codes, (uint16_t)outputs_code(outputs, column));
    work->flags[bit / 8] |= (uint8_t)(outputs->flags << bit % 8);
    work->under_way = false;
}

static bool digest(void *context, const uint8_t *at, const uint8_t *end)
{
    struct work *work = context;
    uint32_t scan_bytes = 2 * work->batch->columns;
    for (; at < end; at += scan_bytes) {
        if (work->solve == work->batch->solve_count || (uint32_t)(end - at) < scan_bytes)
            return false;
        if (!work->under_way)
            outputs_begin(&work->outputs, work->limits, work->batch->columns, work->batch->averages);
        work->under_way = true;
        if (outputs_take(&work->outputs, at))
            put_solve(work);
    }
    return true;
}

static uint32_t input_ticks(const struct batch *batch)
{
    uint32_t buses = geometry.rows < HWL_TICKS_ROWS_A_BUS ? 1 : geometry.rows / HWL_TICKS_ROWS_A_BUS;
    return (batch->row_count * HWL_TICKS_SOLVE_INPUT + buses - 1) / buses;
}

static bool one_solve(const struct batch *batch, const uint16_t *row_mask, const uint8_t *inputs,
                      struct sampling *sampling, struct refusal *why)
{
    if (!engine_may_go_on(why) || !sampling_prepare(sampling, batch->averages, batch->columns, why))
        return false;
    hal_at(bench_ticks);
    panel_inputs(row_mask, inputs);
    bench_ticks += input_ticks(batch);
    hal_at(bench_ticks);
    hal_pin(HWL_PIN_DRIVE, true);
    bench_ticks += batch->settle_ticks;
    if (!sampling_scans(sampling, bench_ticks, batch->averages, batch->columns, why))
        return false;
    bench_ticks += batch->averages * HWL_TICKS_SAMPLE;
    hal_at(bench_ticks);
    hal_pin(HWL_PIN_DRIVE, false);
    return true;
}

static bool carry_out(const struct kind *kind, const struct batch *batch, uint8_t *answer, uint32_t *load_ticks,
                      struct refusal *why)
{
    uint16_t row_mask[HWL_MAX_ROWS / 16];
    struct work work = {
        .batch = batch, .limits = kind->limits, .codes = answer, .flags = answer + codes_bytes(batch)};
    struct sampling sampling = {.digest = digest, .work = &work};
    memset(work.flags, 0, flags_bytes(batch));
    batch_row_mask(batch, row_mask);
    hal_at(bench_ticks);
    uint32_t ticks = panel_load_masks(row_mask, batch->column_mask);
    *load_ticks += ticks;
    bench_ticks += ticks;
    kind->connect(batch);
    panel_scan_setup(kind->source, batch->column_mask);
    for (uint32_t solve = 0; solve < batch->solve_count; solve++) {
        const uint8_t *inputs = batch->inputs + 2 * solve * batch->row_count;
        if (!one_solve(batch, row_mask, inputs, &sampling, why))
            return false;
    }
    if (!sampling_finish(&sampling, why))
        return false;
    if (work.solve < batch->solve_count)
        return engine_fault(why); /* fewer codes than were asked for */
    return true;
}

static bool command(const struct kind *kind, const uint8_t *payload, size_t bytes, struct answer *answer,
                    struct refusal *why)
{
    struct batch batch;
    uint64_t start_ticks = bench_ticks;
    uint32_t offset = 0, used = HWL_SOLVE_REPLY_BYTES, load_ticks = 0;
    if (!check(kind, payload, bytes, why))
        return false;
    panel_deselect();
    for (uint32_t number = 0; offset < bytes; number++) {
        (void)kind->check(payload, bytes, &offset, number, &batch, why); /* finds the parts again */
        if (!carry_out(kind, &batch, answer->bytes + used, &load_ticks, why))
            return false;
        used += codes_bytes(&batch) + flags_bytes(&batch);
    }
    engine_answer(answer, start_ticks, used);
    put_u32(answer->bytes + HWL_SOLVE_REPLY_LOAD_TICKS, load_ticks);
    return engine_end(why);
}

bool solve_command(const uint8_t *payload, size_t bytes, struct answer *answer, struct refusal *why)
{
    static const struct kind kind = {solve_check, connect_solve, PANEL_OUTPUTS, &solve_limits};
    return command(&kind, payload, bytes, answer, why);
}

bool mvm_command(const uint8_t *payload, size_t bytes, struct answer *answer, struct refusal *why)
{
    static const struct kind kind = {mvm_check, connect_products, PANEL_PRODUCTS, &product_limits};
    return command(&kind, payload, bytes, answer, why);
}
