/* TEMPERATURE, WAIT, TIGHTEN: commands without words. */
#include "bytes.h"
#include "engine.h"
#include "limits.h"
#include "panel.h"

#include "../hal/hal.h"

enum { WAIT_SLICE_TICKS = 40000 }; /* 4 ms: so soon a SAFE is heard, and the port is emptied, on hardware */

bool temperature_command(const uint8_t *payload, size_t bytes, struct answer *answer, struct refusal *why)
{
    int16_t raw;
    (void)payload;
    if (!has_length(why, (uint32_t)bytes, 0))
        return false;
    hal_at(bench_ticks);
    if (!panel_temperature(&raw))
        return engine_fault(why);
    engine_answer(answer, bench_ticks, HWL_TEMPERATURE_REPLY_BYTES);
    put_u16(answer->bytes + HWL_TEMPERATURE_REPLY_CENTICELSIUS, (uint16_t)panel_centicelsius(raw));
    return engine_end(why);
}

bool wait_command(const uint8_t *payload, size_t bytes, struct answer *answer, struct refusal *why)
{
    uint64_t start_ticks = bench_ticks;
    if (!has_length(why, (uint32_t)bytes, HWL_WAIT_REQUEST_BYTES))
        return false;
    uint64_t end_ticks = start_ticks + get_u32(payload + HWL_WAIT_REQUEST_WAIT_TICKS);
    while (end_ticks - bench_ticks > WAIT_SLICE_TICKS) {
        bench_ticks += WAIT_SLICE_TICKS;
        hal_at(bench_ticks);
        if (!engine_may_go_on(why))
            return false;
    }
    bench_ticks = end_ticks;
    engine_answer(answer, start_ticks, HWL_WAIT_REPLY_BYTES);
    return engine_end(why);
}

bool tighten_command(const uint8_t *payload, size_t bytes, struct answer *answer, struct refusal *why)
{
    if (!has_length(why, (uint32_t)bytes, HWL_TIGHTEN_REQUEST_BYTES))
        return false;
    uint32_t limit = get_u16(payload + HWL_TIGHTEN_REQUEST_LIMIT), value = get_u32(payload + HWL_TIGHTEN_REQUEST_VALUE);
    if (!in_range(why, HWL_FIELD_LIMIT, limit, 0, HWL_LIMIT_KIND_PULSE_ENERGY, 0))
        return false;
    if (!limit_tighten((enum hwl_limit_kind)limit, value))
        return refuse(why, HWL_STATUS_OUT_OF_RANGE, HWL_FIELD_LIMIT, 0, value, 0, limit_of((enum hwl_limit_kind)limit));
    engine_answer(answer, bench_ticks, HWL_TIGHTEN_REPLY_BYTES);
    return engine_end(why);
}
