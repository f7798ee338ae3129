/* How a command is refused: whole, before any line moves, with field, value and bounds (protocol.toml [[refusal]]). */
#ifndef HWLOOP_REFUSAL_H
#define HWLOOP_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

struct refusal {
    uint8_t status;                 /* enum hwl_status; HWL_STATUS_OK: not refused */
    uint16_t field;                 /* enum hwl_field, or 0 */
    uint16_t position;
    int32_t value;
    int32_t low;
    int32_t high;
};

/* Fill `why` and give false, so that a check reads `return refuse(…)`. */
bool refuse(struct refusal *why, uint8_t status, uint16_t field, uint32_t position, int64_t value, int64_t low,
            int64_t high);

/* True where low <= value <= high; else fills `why` with OUT_OF_RANGE. Values wrap to 32 bits, as on the
 * Python board. */
bool in_range(struct refusal *why, uint16_t field, int64_t value, int64_t low, int64_t high, uint32_t position);

/* True where both lengths are equal; else BAD_LENGTH, field entries, position 0. */
bool has_length(struct refusal *why, uint32_t given_bytes, uint32_t wanted_bytes);

#endif
