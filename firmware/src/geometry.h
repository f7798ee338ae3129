/* What kind of board this is: one of the boards of protocol.toml. The build bounds what fits into memory:
 * HWL_BUILD_ALL (host: chosen at start), HWL_BUILD_128X16 or HWL_BUILD_16X4 (microcontroller: fixed). */
#ifndef HWLOOP_GEOMETRY_H
#define HWLOOP_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

#if defined(HWL_BUILD_128X16)
#define HWL_BUILD_NAME "hwloop-128x16"
#define HWL_MAX_ROWS HWL_BOARD_128X16_ROWS
#define HWL_MAX_FRAME_BYTES HWL_BOARD_128X16_MAX_FRAME_BYTES
#define HWL_MAX_IN_FLIGHT HWL_BOARD_128X16_MAX_IN_FLIGHT
#elif defined(HWL_BUILD_16X4)
#define HWL_BUILD_NAME "hwloop-16x4"
#define HWL_MAX_ROWS HWL_BOARD_16X4_ROWS
#define HWL_MAX_FRAME_BYTES HWL_BOARD_16X4_MAX_FRAME_BYTES
#define HWL_MAX_IN_FLIGHT HWL_BOARD_16X4_MAX_IN_FLIGHT
#else
#define HWL_BUILD_ALL
#define HWL_MAX_ROWS HWL_BOARD_4096X16_ROWS
#define HWL_MAX_FRAME_BYTES HWL_BOARD_4096X16_MAX_FRAME_BYTES
#define HWL_MAX_IN_FLIGHT HWL_BOARD_4096X16_MAX_IN_FLIGHT
#endif

/* Header and CRC-32 round every payload. */
#define HWL_FRAME_OVERHEAD (HWL_HEADER_BYTES + 4u)

struct geometry {
    char name[16];                  /* ASCII, padded with zeros */
    uint16_t rows;
    uint16_t columns;
    uint16_t max_frame_bytes;
    uint8_t max_in_flight;
};

extern struct geometry geometry;    /* set once, before anything else runs */

/* Choose by name ("hwloop-128x16"). False: this build does not have it. */
bool geometry_choose(const char *name);

#endif
