/* Scans of the ADCs into means, steady bits and flags. Sums of 4096 samples of 16 bits fit 32 bits twice over. */
#include "sampler.h"

#include <string.h>

#include "engine.h"
#include "panel.h"

#include "../hal/hal.h"

enum { CODE_BYTES = 2, OFFSET_BINARY = 32768 };

/* The ADCs send the upper byte first. */
static uint32_t raw_code(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

/* ---- queue and results ---- */

bool sampling_finish(struct sampling *sampling, struct refusal *why)
{
    struct hal_results results;
    if (!sampling->outstanding)
        return true;
    sampling->outstanding = false;
    if (!hal_finish(&results) || !sampling->digest(sampling->work, results.bytes, results.bytes + results.count))
        return engine_fault(why);
    return engine_may_go_on(why);
}

static bool make_room(struct sampling *sampling, uint32_t codes, struct refusal *why)
{
    return hal_result_room() >= codes * CODE_BYTES || sampling_finish(sampling, why);
}

bool sampling_prepare(struct sampling *sampling, uint32_t scans, uint32_t columns, struct refusal *why)
{
    return make_room(sampling, scans * columns, why);
}

bool sampling_scans(struct sampling *sampling, uint64_t first_ticks, uint32_t scans, uint32_t columns,
                    struct refusal *why)
{
    for (uint32_t scan = 0; scan < scans; scan++) {
        if (!make_room(sampling, columns, why)) {
            /* What was queued was queued for times that have come: the clock is there, and never goes back. */
            if (scan > 0)
                bench_ticks = first_ticks + (scan - 1) * HWL_TICKS_SAMPLE;
            return false;
        }
        hal_at(first_ticks + scan * HWL_TICKS_SAMPLE);
        panel_scan();
        sampling->outstanding = true;
    }
    return true;
}

/* ---- one row read ---- */

void reading_begin(struct reading *reading, uint32_t columns, uint32_t averages, uint32_t parts)
{
    memset(reading, 0, sizeof *reading);
    reading->columns = columns;
    reading->averages = averages;
    reading->parts = parts;
    memset(reading->lowest, 0xFF, sizeof reading->lowest);
}

static void end_part(struct reading *reading)
{
    for (uint32_t column = 0; column < reading->columns; column++) {
        uint16_t mean = (uint16_t)mean_of(reading->part_sums[column], reading->averages);
        reading->sums[column] += reading->part_sums[column];
        reading->part_sums[column] = 0;
        if (mean < reading->lowest[column])
            reading->lowest[column] = mean;
        if (mean > reading->highest[column])
            reading->highest[column] = mean;
    }
    reading->sample = 0;
    reading->part++;
}

bool reading_take(struct reading *reading, const uint8_t *codes)
{
    for (uint32_t column = 0; column < reading->columns; column++)
        reading->part_sums[column] += raw_code(codes + CODE_BYTES * column);
    if (++reading->sample == reading->averages)
        end_part(reading);
    return reading->part == reading->parts;
}

uint16_t reading_code(const struct reading *reading, uint32_t column)
{
    return (uint16_t)mean_of(reading->sums[column], reading->averages * reading->parts);
}

bool reading_is_steady(const struct reading *reading, uint32_t column, uint32_t spread_code)
{
    uint32_t code = reading_code(reading, column);
    /* The whole mean lies between the means of its parts, both rounded the same way. */
    return reading->highest[column] - code <= spread_code && code - reading->lowest[column] <= spread_code;
}

/* ---- one solve or product ---- */

void outputs_begin(struct outputs *outputs, const struct output_limits *limits, uint32_t columns, uint32_t averages)
{
    memset(outputs, 0, sizeof *outputs);
    outputs->limits = limits;
    outputs->columns = columns;
    outputs->averages = averages;
}

bool outputs_take(struct outputs *outputs, const uint8_t *codes)
{
    const struct output_limits *limits = outputs->limits;
    uint32_t sample = outputs->sample++;
    for (uint32_t column = 0; column < outputs->columns; column++) {
        int32_t code = (int32_t)raw_code(codes + CODE_BYTES * column) - OFFSET_BINARY;
        outputs->sums[column] += code;
        if (code <= limits->saturated_low || code >= limits->saturated_high)
            outputs->flags |= HWL_SOLVE_FLAG_SATURATED;
        if (sample == 0)
            outputs->first[column] = code;
        int32_t moved = code - outputs->first[column];
        if (sample + 1 == outputs->averages && (moved > limits->unsettled || -moved > limits->unsettled))
            outputs->flags |= HWL_SOLVE_FLAG_UNSETTLED;
    }
    return sample + 1 == outputs->averages;
}

int16_t outputs_code(const struct outputs *outputs, uint32_t column)
{
    /* Back to codes from 0 on, where a division rounds down. */
    uint32_t sum = (uint32_t)(outputs->sums[column] + OFFSET_BINARY * (int32_t)outputs->averages);
    return (int16_t)((int32_t)mean_of(sum, outputs->averages) - OFFSET_BINARY);
}
