/* COMPENSATE: compensation conductances of rows. */
#include "bytes.h"
#include "engine.h"
#include "geometry.h"
#include "panel.h"
#include "sections.h"

#include "../hal/hal.h"

enum { PAIR_BYTES = 4 };

static bool check(const uint8_t *payload, size_t bytes, struct refusal *why)
{
    if (!reaches(why, bytes, HWL_COMPENSATE_REQUEST_BYTES))
        return false;
    const uint8_t *pairs = payload + HWL_COMPENSATE_REQUEST_BYTES;
    uint32_t count = ((uint32_t)bytes - HWL_COMPENSATE_REQUEST_BYTES) / PAIR_BYTES;
    if (!has_length(why, (uint32_t)bytes, HWL_COMPENSATE_REQUEST_BYTES + PAIR_BYTES * count))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!in_range(why, HWL_FIELD_ROW, get_u16(pairs + PAIR_BYTES * i), 0, geometry.rows - 1, i))
            return false;
    for (uint32_t i = 0; i < count; i++)
        if (!in_range(why, HWL_FIELD_COMPENSATION_CODE, get_u16(pairs + PAIR_BYTES * i + 2), 0,
                      HWL_LIMIT_COMPENSATION_CODE, i))
            return false;
    return true;
}

bool compensate_command(const uint8_t *payload, size_t bytes, struct answer *answer, struct refusal *why)
{
    uint64_t start_ticks = bench_ticks;
    if (!check(payload, bytes, why))
        return false;
    if (get_u16(payload + HWL_COMPENSATE_REQUEST_CONTINUED) == 0)
        bench_ticks += HWL_TICKS_LOAD;
    hal_at(start_ticks);
    for (const uint8_t *pair = payload + HWL_COMPENSATE_REQUEST_BYTES; pair < payload + bytes; pair += PAIR_BYTES)
        if (panel_compensation(get_u16(pair), get_u16(pair + 2)))
            bench_ticks += HWL_TICKS_LOAD_CHANGED_ROW;
    panel_send_compensation();
    engine_answer(answer, start_ticks, HWL_COMPENSATE_REPLY_BYTES);
    return engine_end(why);
}
