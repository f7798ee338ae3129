/* What the engines of the sequenced commands have in common. */
#include "engine.h"

#include "bytes.h"
#include "geometry.h"
#include "panel.h"
#include "safety.h"

#include "../hal/hal.h"

_Static_assert(HWL_PULSE_REPLY_ELAPSED_TICKS == 0 && HWL_READ_REPLY_ELAPSED_TICKS == 0 &&
               HWL_SOLVE_REPLY_ELAPSED_TICKS == 0 && HWL_MVM_REPLY_ELAPSED_TICKS == 0 &&
               HWL_COMPENSATE_REPLY_ELAPSED_TICKS == 0 && HWL_ROUTE_REPLY_ELAPSED_TICKS == 0 &&
               HWL_TEMPERATURE_REPLY_ELAPSED_TICKS == 0 && HWL_WAIT_REPLY_ELAPSED_TICKS == 0 &&
               HWL_TIGHTEN_REPLY_ELAPSED_TICKS == 0 && HWL_HOLD_REPLY_ELAPSED_TICKS == 0 &&
               HWL_SAMPLE_REPLY_ELAPSED_TICKS == 0, "every reply begins with the elapsed ticks");

bool engine_fault(struct refusal *why)
{
    return refuse(why, HWL_STATUS_FAULT, 0, 0, 0, 0, 0);
}

bool engine_may_go_on(struct refusal *why)
{
    if (safety_may_go_on())
        return true;
    return engine_fault(why);
}

bool engine_end(struct refusal *why)
{
    hal_at(bench_ticks);
    if (panel_rest())
        return true;
    return engine_fault(why);
}

void engine_answer(struct answer *answer, uint64_t start_ticks, uint32_t bytes)
{
    put_u32(answer->bytes, (uint32_t)(bench_ticks - start_ticks));
    answer->used = bytes;
}

bool engine_reply_fits(uint32_t bytes, struct refusal *why)
{
    return in_range(why, HWL_FIELD_ENTRIES, bytes, 0, geometry.max_frame_bytes - HWL_FRAME_OVERHEAD, 0);
}
