/* Scans of the ADCs: queued one after the other, and their codes made into means, steady bits and flags when they come
 * back. What comes out does not depend on how often the queue had to be emptied in between. */
#ifndef HWLOOP_SAMPLER_H
#define HWLOOP_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"
#include "refusal.h"

/* ---- queue and results ---- */

/* Use up the codes from `at` to `end`: whole scans, in the order queued. False: they are not what was asked for. */
typedef bool sampler_digest(void *work, const uint8_t *at, const uint8_t *end);

struct sampling {
    sampler_digest *digest;
    void *work;
    bool outstanding;               /* scans are queued whose codes have not come back */
};

/* Before a run of scans: empties the queue where the whole run has no room behind what is outstanding. */
bool sampling_prepare(struct sampling *sampling, uint32_t scans, uint32_t columns, struct refusal *why);
/* Queue `scans` scans of the columns that are set up, the first at `first_ticks`; empties the queue as needed. */
bool sampling_scans(struct sampling *sampling, uint64_t first_ticks, uint32_t scans, uint32_t columns,
                    struct refusal *why);
/* Empty the queue. */
bool sampling_finish(struct sampling *sampling, struct refusal *why);

/* Mean code of n samples, rounded half up. */
static inline uint32_t mean_of(uint32_t sum, uint32_t n)
{
    return (2 * sum + n) / (2 * n);
}

/* ---- one row read ---- */

struct reading {
    uint32_t columns;
    uint32_t averages, parts;       /* samples of a part, parts of the reading */
    uint32_t sample, part;          /* of the scan that comes next */
    uint32_t part_sums[HWL_MAX_COLUMNS];
    uint32_t sums[HWL_MAX_COLUMNS];
    uint16_t lowest[HWL_MAX_COLUMNS], highest[HWL_MAX_COLUMNS]; /* means of parts */
};

void reading_begin(struct reading *reading, uint32_t columns, uint32_t averages, uint32_t parts);
/* One scan. True: it was the last. */
bool reading_take(struct reading *reading, const uint8_t *codes);
uint16_t reading_code(const struct reading *reading, uint32_t column);
bool reading_is_steady(const struct reading *reading, uint32_t column, uint32_t spread_code);

/* ---- one solve or product ---- */

struct output_limits {
    int32_t saturated_low, saturated_high;  /* a sample at or beyond either is saturated */
    int32_t unsettled;                      /* first and last sample further apart than this */
};

struct outputs {
    const struct output_limits *limits;
    uint32_t columns, averages;
    uint32_t sample;                /* the scan that comes next */
    uint8_t flags;                  /* HWL_SOLVE_FLAG_… */
    int32_t sums[HWL_MAX_COLUMNS];
    int32_t first[HWL_MAX_COLUMNS];
};

void outputs_begin(struct outputs *outputs, const struct output_limits *limits, uint32_t columns, uint32_t averages);
/* One scan. True: it was the last. */
bool outputs_take(struct outputs *outputs, const uint8_t *codes);
int16_t outputs_code(const struct outputs *outputs, uint32_t column);

#endif
