/* Refusals: status, field, position, value and bounds. */
#include "refusal.h"

#include "protocol.h"

/* Modulo 2^32, as the wire has it. */
static int32_t wrapped(int64_t value)
{
    return (int32_t)(uint32_t)(uint64_t)value;
}

bool refuse(struct refusal *why, uint8_t status, uint16_t field, uint32_t position, int64_t value, int64_t low,
            int64_t high)
{
    why->status = status;
    why->field = field;
    why->position = (uint16_t)position;
    why->value = wrapped(value);
    why->low = wrapped(low);
    why->high = wrapped(high);
    return false;
}

bool in_range(struct refusal *why, uint16_t field, int64_t value, int64_t low, int64_t high, uint32_t position)
{
    if (value >= low && value <= high)
        return true;
    return refuse(why, HWL_STATUS_OUT_OF_RANGE, field, position, value, low, high);
}

bool has_length(struct refusal *why, uint32_t given_bytes, uint32_t wanted_bytes)
{
    if (given_bytes == wanted_bytes)
        return true;
    return refuse(why, HWL_STATUS_BAD_LENGTH, HWL_FIELD_ENTRIES, 0, given_bytes, wanted_bytes, wanted_bytes);
}
