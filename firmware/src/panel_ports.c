/* The panel's instrument ports: routes, and the levels held for them. Mode switches that a route has closed stay closed
 * while the board rests. An instrument lets go before anything moves behind its port. */
#include <string.h>

#include "ltc2668.h"
#include "panel.h"
#include "panel_state.h"

enum uses { ROW = 1, COLUMN = 2, CELL = 4, REFERENCE = 8 }; /* fields of ROUTE */

static const struct {
    uint32_t mode;
    uint8_t uses;
    bool at_daq;
} ways[] = {
    [HWL_ROUTE_NOTHING] = {0, 0, true},
    [HWL_ROUTE_CELL_TO_SMU] = {MODE_BIT(ROUTE_CELL_TO_SMU), ROW | COLUMN | CELL, false},
    [HWL_ROUTE_OUTPUTS_TO_DAQ] = {MODE_BIT(ROUTE_OUTPUTS_TO_DAQ), 0, true},
    [HWL_ROUTE_INPUT_TO_SMU] = {MODE_BIT(ROUTE_INPUT_TO_SMU), ROW, false},
    [HWL_ROUTE_INPUTS_TO_DAQ] = {MODE_BIT(ROUTE_INPUTS_TO_DAQ), ROW, true},
    [HWL_ROUTE_AMPLITUDE_TO_SMU] = {MODE_BIT(ROUTE_AMPLITUDE_TO_SMU), COLUMN, false},
    [HWL_ROUTE_AMPLITUDES_TO_DAQ] = {MODE_BIT(ROUTE_AMPLITUDES_TO_DAQ), 0, true},
    [HWL_ROUTE_GATE_TO_SMU] = {MODE_BIT(ROUTE_GATE_TO_SMU), 0, false},
    [HWL_ROUTE_ROW_TO_SMU] = {MODE_BIT(ROUTE_ROW_TO_SMU), ROW, false},
    [HWL_ROUTE_COLUMN_TO_SMU] = {MODE_BIT(ROUTE_COLUMN_TO_SMU), COLUMN, false},
    [HWL_ROUTE_SMU_TO_OUTPUT] = {MODE_BIT(ROUTE_SMU_TO_OUTPUT), COLUMN, false},
    [HWL_ROUTE_REFERENCE_TO_SMU] = {MODE_BIT(ROUTE_REFERENCE_TO_SMU), REFERENCE, false},
    [HWL_ROUTE_REFERENCE_TO_TIA] = {MODE_BIT(ROUTE_REFERENCE_TO_TIA), REFERENCE | COLUMN, false},
    [HWL_ROUTE_READ_TO_SMU] = {MODE_BIT(ROUTE_READ_TO_SMU), 0, false},
    [HWL_ROUTE_LOOPBACK] = {MODE_BIT(ROUTE_LOOPBACK), 0, false},
};

static const uint32_t dividers[] = {
    [HWL_BIAS_DIVIDER_BY_1] = 0,
    [HWL_BIAS_DIVIDER_BY_16] = MODE_BIT(BIAS_BY_16),
    [HWL_BIAS_DIVIDER_BY_256] = MODE_BIT(BIAS_BY_256),
};

static const uint32_t any_divider = MODE_BIT(BIAS_BY_16) | MODE_BIT(BIAS_BY_256);

/* ---- levels ---- */

static bool holds_levels(uint8_t route)
{
    return route >= HWL_ROUTE_INPUT_TO_SMU;
}

static void levels_to_zero(void)
{
    memset(panel.amplitude_codes, 0, sizeof panel.amplitude_codes);
    memset(panel.input_codes, 0, sizeof panel.input_codes);
    panel.gate_code = 0;
    panel.routes &= ~any_divider;
    ltc2668_write_all(HWL_SELECT_COLUMN_DAC, 0);
    ltc2668_write_all(HWL_SELECT_GATE_DAC, 0);
    for (uint32_t chip = 0; chip < panel_mask_words(); chip++)
        ltc2668_write_all((uint16_t)(HWL_SELECT_INPUT_DAC + chip), BIPOLAR_ZERO);
    panel_feedback(0, NULL);
    panel_bias(0, NULL);
}

static void update(uint32_t select, uint32_t channel, uint32_t code)
{
    uint8_t word[LTC2668_WORD_BYTES];
    ltc2668_send((uint16_t)select, word, ltc2668_word(word, LTC2668_WRITE_UPDATE, channel, code));
}

/* Remember a code; false where it stands already. */
static bool changes(uint16_t *register_, uint32_t code)
{
    bool changed = *register_ != code;
    *register_ = (uint16_t)code;
    return changed;
}

bool panel_hold(uint8_t what, uint16_t channel, uint16_t code)
{
    uint32_t bias = (uint32_t)code << BIAS_SHIFT ^ BIPOLAR_ZERO, chip = channel / PANEL_MASK_ROWS;
    switch (what) {
    case HWL_HOLD_AMPLITUDE:
        if (!changes(&panel.amplitude_codes[channel], code))
            return false;
        update(HWL_SELECT_COLUMN_DAC, channel, code);
        return true;
    case HWL_HOLD_GATE:
        if (!changes(&panel.gate_code, code))
            return false;
        update(HWL_SELECT_GATE_DAC, 0, code);
        return true;
    case HWL_HOLD_INPUT:
        if (!changes(&panel.input_codes[channel], code))
            return false;
        update(HWL_SELECT_INPUT_DAC + chip, channel % PANEL_MASK_ROWS, code ^ (uint32_t)BIPOLAR_ZERO);
        return true;
    case HWL_HOLD_FEEDBACK:
        if (!changes(&panel.feedback_codes[channel], code))
            return false;
        panel_send_feedback();
        return true;
    default:
        if (!changes(&panel.bias_codes[channel], bias & UINT16_MAX))
            return false;
        update(HWL_SELECT_BIAS_DAC, channel, bias & UINT16_MAX);
        return true;
    }
}

void panel_hold_divider(uint8_t divider)
{
    panel.routes = (panel.routes & ~any_divider) | dividers[divider];
    panel_send_mode(panel.routes);
}

/* ---- routes ---- */

uint8_t panel_routed(void)
{
    return panel.route;
}

void panel_deselect(void)
{
    uint32_t outputs = panel.routes & MODE_BIT(ROUTE_OUTPUTS_TO_DAQ);
    if (holds_levels(panel.route)) {
        panel_send_mode(outputs);
        levels_to_zero();
    }
    panel.routes = outputs;
    panel.route = HWL_ROUTE_NOTHING;
    panel_select_row(NO_ROW);
    panel_select_columns(0);
}

static void route_outputs(void)
{
    if (panel.route != HWL_ROUTE_NOTHING && ways[panel.route].at_daq)
        panel_deselect();
    panel.routes |= MODE_BIT(ROUTE_OUTPUTS_TO_DAQ);
    panel_send_mode(panel.routes);
}

void panel_route(uint8_t route, uint8_t array, uint16_t row, uint16_t column)
{
    uint32_t uses = ways[route].uses;
    if (route == HWL_ROUTE_OUTPUTS_TO_DAQ) {
        route_outputs();
        return;
    }
    uint32_t outputs = ways[route].at_daq ? 0 : panel.routes & MODE_BIT(ROUTE_OUTPUTS_TO_DAQ);
    panel_send_mode(outputs);
    if (holds_levels(route) != holds_levels(panel.route))
        levels_to_zero();
    panel_select_row((uses & ROW) != 0 ? row : NO_ROW);
    panel_select_columns((uint16_t)((uses & COLUMN) != 0 ? 1u << column : 0));
    panel.route = route;
    panel.routes = outputs | (panel.routes & any_divider) | ways[route].mode;
    if ((uses & CELL) != 0)
        panel.routes |= array == 0 ? MODE_BIT(CONNECT_A) : MODE_BIT(CONNECT_B);
    if ((uses & REFERENCE) != 0 && row == HWL_REFERENCE_HIGH)
        panel.routes |= MODE_BIT(REFERENCE_HIGH);
    panel_send_mode(panel.routes);
}

/* ---- modes ---- */

void panel_mode(uint32_t mode)
{
    panel_send_mode(mode | (panel.routes & MODE_BIT(ROUTE_OUTPUTS_TO_DAQ)));
}

void panel_mode_of_ports(uint32_t mode)
{
    panel_send_mode(mode | panel.routes);
}
