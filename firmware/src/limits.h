/* Hard limits, compiled in. TIGHTEN lowers one until the next reset; nothing raises one. */
#ifndef HWLOOP_LIMITS_H
#define HWLOOP_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

enum { LIMIT_KINDS = HWL_LIMIT_KIND_PULSE_ENERGY + 1 };

void limits_reset(void);                            /* as compiled in: at boot only */
uint32_t limit_of(enum hwl_limit_kind kind);
bool limit_tighten(enum hwl_limit_kind kind, uint32_t value);   /* false: that would raise it */

#endif
