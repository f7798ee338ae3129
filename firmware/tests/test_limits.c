/* Hard limits: as in the wire table, and only down. */
#include "check.h"

#include "../src/limits.h"

static void starts_as_compiled_in(void)
{
    CHECK_EQUAL(limit_of(HWL_LIMIT_KIND_AMPLITUDE_CODE), 0);    /* before the reset: nothing is allowed */
    limits_reset();
    CHECK_EQUAL(limit_of(HWL_LIMIT_KIND_AMPLITUDE_CODE), HWL_LIMIT_AMPLITUDE_CODE);
    CHECK_EQUAL(limit_of(HWL_LIMIT_KIND_FORM_CODE), HWL_LIMIT_FORM_CODE);
    CHECK_EQUAL(limit_of(HWL_LIMIT_KIND_GATE_CODE), HWL_LIMIT_GATE_CODE);
    CHECK_EQUAL(limit_of(HWL_LIMIT_KIND_WIDTH_TICKS), HWL_LIMIT_WIDTH_TICKS);
    CHECK_EQUAL(limit_of(HWL_LIMIT_KIND_ROW_ON_TICKS), HWL_LIMIT_ROW_ON_TICKS);
    CHECK_EQUAL(limit_of(HWL_LIMIT_KIND_PULSE_ENERGY), HWL_LIMIT_PULSE_ENERGY);
}

static void goes_down_only(void)
{
    limits_reset();
    CHECK(limit_tighten(HWL_LIMIT_KIND_WIDTH_TICKS, HWL_LIMIT_WIDTH_TICKS));
    CHECK(limit_tighten(HWL_LIMIT_KIND_WIDTH_TICKS, 100));
    CHECK(!limit_tighten(HWL_LIMIT_KIND_WIDTH_TICKS, 101));
    CHECK(!limit_tighten(HWL_LIMIT_KIND_WIDTH_TICKS, UINT32_MAX));
    CHECK_EQUAL(limit_of(HWL_LIMIT_KIND_WIDTH_TICKS), 100);
    CHECK(limit_tighten(HWL_LIMIT_KIND_WIDTH_TICKS, 0));
    CHECK_EQUAL(limit_of(HWL_LIMIT_KIND_WIDTH_TICKS), 0);
    CHECK_EQUAL(limit_of(HWL_LIMIT_KIND_GATE_CODE), HWL_LIMIT_GATE_CODE);
    limits_reset();
    CHECK_EQUAL(limit_of(HWL_LIMIT_KIND_WIDTH_TICKS), HWL_LIMIT_WIDTH_TICKS);
}

int main(void)
{
    RUN(starts_as_compiled_in);
    RUN(goes_down_only);
    return check_result();
}
