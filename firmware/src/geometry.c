/* The boards of protocol.toml that this build has room for. */
#include "geometry.h"

#include <string.h>

#define BOARD(name, size)                                                                                          \
    {                                                                                                              \
        name, HWL_BOARD_##size##_ROWS, HWL_BOARD_##size##_COLUMNS, HWL_BOARD_##size##_MAX_FRAME_BYTES,             \
            HWL_BOARD_##size##_MAX_IN_FLIGHT                                                                       \
    }

static const struct geometry boards[] = {
#if defined(HWL_BUILD_ALL) || defined(HWL_BUILD_128X16)
    BOARD("hwloop-128x16", 128X16),
#endif
#if defined(HWL_BUILD_ALL)
    BOARD("hwloop-4096x16", 4096X16),
#endif
#if defined(HWL_BUILD_ALL) || defined(HWL_BUILD_16X4)
    BOARD("hwloop-16x4", 16X4),
#endif
};

struct geometry geometry;

bool geometry_choose(const char *name)
{
    for (size_t i = 0; i < sizeof boards / sizeof boards[0]; i++) {
        if (strcmp(name, boards[i].name) == 0) {
            geometry = boards[i];
            return true;
        }
    }
    return false;
}
