/* What the files of the panel share: what the chips were sent last. Only changes go out; grounding and starting send
 * everything, whatever is remembered. */
#ifndef HWLOOP_PANEL_STATE_H
#define HWLOOP_PANEL_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "geometry.h"
#include "protocol.h"
#include "wiring.h"

enum {
    MODE_CHIPS = 4,
    NO_ROW = 0xFFFF,
    PANEL_MASK_ROWS = 16,               /* rows in a word of a row mask, on an input DAC, on a compensation chain */
    MASK_WORDS = HWL_MAX_ROWS / PANEL_MASK_ROWS,
    BIPOLAR_ZERO = 0x8000,              /* straight binary code of 0 V on a bipolar span */
    BIAS_SHIFT = 4                      /* a 12-bit code stands in the upper bits of 16 */
};

#define MODE_BIT(name) (1u << HWL_MODE_##name)

struct panel {
    uint32_t mode;                      /* MODE_SWITCHES as sent last */
    uint32_t routes;                    /* mode bits that stay while the board rests */
    uint8_t route;                      /* beside OUTPUTS_TO_DAQ, enum hwl_route */
    uint8_t range;                      /* of the ADCs, enum ads8688_range */
    uint16_t scanned;                   /* columns in the sequences of the ADCs; 0: none is under way */
    uint16_t row;                       /* in ROW_SELECT, or NO_ROW */
    uint16_t columns;                   /* in COLUMN_SELECT */
    uint16_t row_mask[MASK_WORDS];
    uint16_t column_mask;
    uint16_t amplitude_codes[HWL_MAX_COLUMNS];
    uint16_t gate_code;
    uint16_t input_codes[HWL_MAX_ROWS]; /* held for instruments, as on the wire; those of solves are not kept */
    uint16_t feedback_codes[HWL_MAX_COLUMNS];
    uint16_t bias_codes[HWL_MAX_COLUMNS];
    uint16_t compensation_codes[HWL_MAX_ROWS];
    uint16_t unsent[(MASK_WORDS + PANEL_MASK_ROWS - 1) / PANEL_MASK_ROWS]; /* a bit a compensation chain */
};

extern struct panel panel;

uint32_t panel_mask_words(void);
uint32_t panel_adcs(void);
void panel_send_mode(uint32_t mode);            /* exactly these mode switches; only a change is sent */
void panel_select_columns(uint16_t column_mask);
void panel_send_feedback(void);

#endif
