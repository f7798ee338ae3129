/* Hard limits: they start as compiled in and only go down. */
#include "limits.h"

static const uint32_t hardest[LIMIT_KINDS] = {
    [HWL_LIMIT_KIND_AMPLITUDE_CODE] = HWL_LIMIT_AMPLITUDE_CODE,
    [HWL_LIMIT_KIND_FORM_CODE] = HWL_LIMIT_FORM_CODE,
    [HWL_LIMIT_KIND_GATE_CODE] = HWL_LIMIT_GATE_CODE,
    [HWL_LIMIT_KIND_WIDTH_TICKS] = HWL_LIMIT_WIDTH_TICKS,
    [HWL_LIMIT_KIND_ROW_ON_TICKS] = HWL_LIMIT_ROW_ON_TICKS,
    [HWL_LIMIT_KIND_PULSE_ENERGY] = HWL_LIMIT_PULSE_ENERGY,
};

static uint32_t limits[LIMIT_KINDS];        /* all 0 before limits_reset(): nothing is allowed */

void limits_reset(void)
{
    for (uint32_t kind = 0; kind < LIMIT_KINDS; kind++)
        limits[kind] = hardest[kind];
}

uint32_t limit_of(enum hwl_limit_kind kind)
{
    return limits[kind];
}

bool limit_tighten(enum hwl_limit_kind kind, uint32_t value)
{
    if (value > limits[kind])
        return false;
    limits[kind] = value;
    return true;
}
