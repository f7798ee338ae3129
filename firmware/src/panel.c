/* The board's chips as one panel. What was sent is remembered, so that only changes go out; grounding and starting send
 * everything, whatever is remembered. */
#include "panel.h"

#include <string.h>

#include "adg1414.h"
#include "ads8688.h"
#include "adt7320.h"
#include "bytes.h"
#include "geometry.h"
#include "ltc2668.h"
#include "panel_state.h"
#include "wiring.h"

#include "../hal/hal.h"

enum {
    MASK_ROWS = PANEL_MASK_ROWS,
    CHAIN_WORDS = HWL_ROWS_A_ROW_CHAIN / MASK_ROWS,
    COMPENSATION_CHIPS = HWL_ROWS_A_COMPENSATION_CHAIN * HWL_COMPENSATION_BITS / ADG1414_SWITCHES,
    CRITICAL = HWL_LIMIT_TEMPERATURE_CENTICELSIUS * 128 / 100
};

struct panel panel;

static uint8_t inputs;                  /* input pins when the chips answered last */

/* Every wait for the chips of this file: what they answer, and how the input pins stand. */
static bool finish(struct hal_results *results)
{
    if (!hal_finish(results))
        return false;
    inputs = results->inputs;
    return true;
}

/* ---- what there is on this board ---- */

static uint32_t row_chains(void)
{
    return (geometry.rows + HWL_ROWS_A_ROW_CHAIN - 1u) / HWL_ROWS_A_ROW_CHAIN;
}

static uint32_t row_chain_chips(void)
{
    return (geometry.rows < HWL_ROWS_A_ROW_CHAIN ? geometry.rows : HWL_ROWS_A_ROW_CHAIN) / ADG1414_SWITCHES;
}

uint32_t panel_mask_words(void)
{
    return geometry.rows / MASK_ROWS;
}

static uint32_t column_chips(void)
{
    return (geometry.columns + ADG1414_SWITCHES - 1u) / ADG1414_SWITCHES;
}

static uint32_t feedback_chips(void)
{
    return (geometry.columns * HWL_FEEDBACK_BITS + ADG1414_SWITCHES - 1u) / ADG1414_SWITCHES;
}

uint32_t panel_adcs(void)
{
    return geometry.columns > ADS8688_CHANNELS ? 2 : 1;
}

/* ---- chains ---- */

static void send_word_chain(uint16_t select, uint32_t chips, uint32_t switches)
{
    const uint8_t bytes[2] = {(uint8_t)switches, (uint8_t)(switches >> 8)};
    adg1414_write(select, chips, bytes);
}

/* `words`: the chain's part of a row mask, or NULL for none selected. */
static void send_row_chain(uint32_t select, uint32_t chain, const uint16_t *words)
{
    uint8_t bytes[HWL_ROWS_A_ROW_CHAIN / ADG1414_SWITCHES] = {0};
    uint32_t chips = row_chain_chips();
    for (uint32_t chip = 0; words != NULL && chip < chips; chip++)
        bytes[chip] = (uint8_t)(words[chip / 2] >> (chip % 2 * ADG1414_SWITCHES));
    adg1414_write((uint16_t)(select + chain), chips, bytes);
}

void panel_send_feedback(void)
{
    uint8_t bytes[ADG1414_MOST_CHIPS] = {0};
    for (uint32_t column = 0; column < geometry.columns; column += 2) {
        uint32_t pair = panel.feedback_codes[column] | (uint32_t)panel.feedback_codes[column + 1] << HWL_FEEDBACK_BITS;
        uint8_t *at = bytes + column / 2 * (2 * HWL_FEEDBACK_BITS / ADG1414_SWITCHES);
        put_u16(at, pair);
        at[2] = (uint8_t)(pair >> 16);
    }
    adg1414_write(HWL_SELECT_FEEDBACK, feedback_chips(), bytes);
}

static void send_compensation_chain(uint32_t chain)
{
    uint8_t bytes[COMPENSATION_CHIPS];
    const uint16_t *code = panel.compensation_codes + chain * HWL_ROWS_A_COMPENSATION_CHAIN;
    uint32_t bits = 0, waiting = 0;
    for (uint32_t chip = 0; chip < COMPENSATION_CHIPS; chip++) {
        if (waiting < ADG1414_SWITCHES) {
            bits |= (uint32_t)*code++ << waiting;
            waiting += HWL_COMPENSATION_BITS;
        }
        bytes[chip] = (uint8_t)bits;
        bits >>= ADG1414_SWITCHES;
        waiting -= ADG1414_SWITCHES;
    }
    adg1414_write((uint16_t)(HWL_SELECT_COMPENSATION + chain), COMPENSATION_CHIPS, bytes);
}

void panel_select_row(uint16_t row)
{
    uint32_t chain = row / HWL_ROWS_A_ROW_CHAIN, within = row % HWL_ROWS_A_ROW_CHAIN;
    if (row == panel.row)
        return;
    if (panel.row != NO_ROW && (row == NO_ROW || panel.row / HWL_ROWS_A_ROW_CHAIN != chain))
        send_row_chain(HWL_SELECT_ROW_SELECT, panel.row / HWL_ROWS_A_ROW_CHAIN, NULL);
    panel.row = row;
    if (row != NO_ROW) {
        uint16_t words[CHAIN_WORDS] = {0};
        words[within / MASK_ROWS] = (uint16_t)(1u << within % MASK_ROWS);
        send_row_chain(HWL_SELECT_ROW_SELECT, chain, words);
    }
}

void panel_select_columns(uint16_t column_mask)
{
    if (column_mask == panel.columns)
        return;
    panel.columns = column_mask;
    send_word_chain(HWL_SELECT_COLUMN_SELECT, column_chips(), column_mask);
}

static void write_mode(uint32_t mode)
{
    uint8_t bytes[MODE_CHIPS];
    put_u32(bytes, mode);
    adg1414_write(HWL_SELECT_MODE_SWITCHES, MODE_CHIPS, bytes);
}

void panel_send_mode(uint32_t mode)
{
    if (mode == panel.mode)
        return;
    panel.mode = mode;
    write_mode(mode);
}

/* ---- resting, checking ---- */

static void pins_to_rest(void)
{
    hal_pin(HWL_PIN_DRIVE, false);
    hal_pin(HWL_PIN_ENABLE, false);
    hal_pin(HWL_PIN_LDAC, true);
}

static void forget(void)
{
    uint8_t range = panel.range;
    memset(&panel, 0, sizeof panel);
    panel.range = range;
    panel.row = NO_ROW;
    for (uint32_t column = 0; column < HWL_MAX_COLUMNS; column++)
        panel.bias_codes[column] = BIPOLAR_ZERO;
}

static void open_all_switches(void)
{
    write_mode(0);
    send_word_chain(HWL_SELECT_COLUMN_SELECT, column_chips(), 0);
    send_word_chain(HWL_SELECT_COLUMN_MASK, column_chips(), 0);
    for (uint32_t chain = 0; chain < row_chains(); chain++) {
        send_row_chain(HWL_SELECT_ROW_SELECT, chain, NULL);
        send_row_chain(HWL_SELECT_ROW_MASK, chain, NULL);
    }
    panel_send_feedback();
    for (uint32_t chain = 0; chain < panel_mask_words(); chain++)
        send_compensation_chain(chain);
}

void panel_ground(void)
{
    struct hal_results results;
    pins_to_rest();
    forget();
    ltc2668_write_all(HWL_SELECT_COLUMN_DAC, 0);
    ltc2668_write_all(HWL_SELECT_GATE_DAC, 0);
    ltc2668_write_all(HWL_SELECT_BIAS_DAC, BIPOLAR_ZERO);
    open_all_switches();
    for (uint32_t chip = 0; chip < panel_mask_words(); chip++)
        ltc2668_write_all((uint16_t)(HWL_SELECT_INPUT_DAC + chip), BIPOLAR_ZERO);
    /* What a command that was cut off had asked for must not be taken for an answer later. Chips that are silent are
     * found by the next check; the pins have grounded the lines by then. */
    (void)finish(&results);
}

/* Mode switches to rest, and everything that answers asked whether it still holds what it was told. */
static bool rest_and_check(void)
{
    uint8_t rest[MODE_CHIPS], before[MODE_CHIPS];
    struct hal_results results;
    put_u32(rest, panel.routes);
    put_u32(before, panel.mode);
    /* Twice: the first gives back what the command had set, the second that they rest now. */
    adg1414_exchange(HWL_SELECT_MODE_SWITCHES, MODE_CHIPS, rest);
    adg1414_exchange(HWL_SELECT_MODE_SWITCHES, MODE_CHIPS, rest);
    panel.mode = panel.routes;
    for (uint32_t adc = 0; adc < panel_adcs(); adc++)
        ads8688_read_range((uint16_t)(HWL_SELECT_ADC_LOW + adc));
    panel.scanned = 0;
    adt7320_read_id(HWL_SELECT_TEMPERATURE);
    if (!finish(&results) || results.count != 2 * MODE_CHIPS + panel_adcs() + 1)
        return false;
    bool sound = adg1414_gave_back(results.bytes, MODE_CHIPS, before) &&
                 adg1414_gave_back(results.bytes + MODE_CHIPS, MODE_CHIPS, rest);
    for (uint32_t adc = 0; adc < panel_adcs(); adc++)
        sound = sound && results.bytes[2 * MODE_CHIPS + adc] == panel.range;
    return sound && results.bytes[results.count - 1] == ADT7320_ID;
}

bool panel_start(void)
{
    pins_to_rest();
    ltc2668_start(HWL_SELECT_COLUMN_DAC, LTC2668_SPAN_0_TO_5_V, 0);
    ltc2668_start(HWL_SELECT_GATE_DAC, LTC2668_SPAN_0_TO_5_V, 0);
    ltc2668_start(HWL_SELECT_BIAS_DAC, LTC2668_SPAN_2_5_V, BIPOLAR_ZERO);
    for (uint32_t chip = 0; chip < panel_mask_words(); chip++)
        ltc2668_start((uint16_t)(HWL_SELECT_INPUT_DAC + chip), LTC2668_SPAN_2_5_V, BIPOLAR_ZERO);
    for (uint32_t adc = 0; adc < panel_adcs(); adc++) {
        ads8688_reset((uint16_t)(HWL_SELECT_ADC_LOW + adc));
        ads8688_set_range((uint16_t)(HWL_SELECT_ADC_LOW + adc), ADS8688_0_TO_5_12_V);
    }
    panel.range = ADS8688_0_TO_5_12_V;
    adt7320_start(HWL_SELECT_TEMPERATURE, CRITICAL);
    panel_ground();
    return rest_and_check();
}

bool panel_enable(void)
{
    if (!rest_and_check())
        return false;
    hal_pin(HWL_PIN_ENABLE, true);
    return true;
}

bool panel_rest(void)
{
    return rest_and_check();
}

/* ---- PULSE and READ ---- */

uint32_t panel_load_pulse(uint16_t row, uint16_t column_mask, const uint16_t *amplitude_codes, uint16_t gate_code)
{
    uint8_t words[LTC2668_CHANNELS * LTC2668_WORD_BYTES], *end = words;
    uint32_t changed = 0;
    panel_select_row(row);
    panel_select_columns(column_mask);
    for (uint32_t left = column_mask; left != 0; left &= left - 1) {
        uint32_t column = (uint32_t)__builtin_ctz(left);
        if (panel.amplitude_codes[column] == amplitude_codes[column])
            continue;
        panel.amplitude_codes[column] = amplitude_codes[column];
        end = ltc2668_word(end, LTC2668_WRITE_UPDATE, column, amplitude_codes[column]);
        changed++;
    }
    ltc2668_send(HWL_SELECT_COLUMN_DAC, words, end);
    if (panel.gate_code != gate_code) {
        panel.gate_code = gate_code;
        end = ltc2668_word(words, LTC2668_WRITE_UPDATE, 0, gate_code);
        ltc2668_send(HWL_SELECT_GATE_DAC, words, end);
        changed++;
    }
    return changed;
}

/* ---- SOLVE and MVM ---- */

uint32_t panel_load_masks(const uint16_t *row_mask, uint16_t column_mask)
{
    uint32_t changed_rows = 0;
    for (uint32_t first = 0; first < panel_mask_words(); first += CHAIN_WORDS) {
        uint32_t changed_here = 0;
        for (uint32_t word = first; word < first + CHAIN_WORDS && word < panel_mask_words(); word++) {
            changed_here += (uint32_t)__builtin_popcount((uint32_t)(row_mask[word] ^ panel.row_mask[word]));
            panel.row_mask[word] = row_mask[word];
        }
        if (changed_here != 0)
            send_row_chain(HWL_SELECT_ROW_MASK, first / CHAIN_WORDS, panel.row_mask + first);
        changed_rows += changed_here;
    }
    if (changed_rows == 0 && column_mask == panel.column_mask)
        return 0;
    if (column_mask != panel.column_mask)
        send_word_chain(HWL_SELECT_COLUMN_MASK, column_chips(), column_mask);
    panel.column_mask = column_mask;
    return HWL_TICKS_LOAD + changed_rows * HWL_TICKS_LOAD_CHANGED_ROW;
}

void panel_feedback(uint16_t column_mask, const uint8_t *codes)
{
    bool changed = false;
    for (uint32_t column = 0; column < geometry.columns; column++) {
        uint16_t code = 0;
        if (codes != NULL && (column_mask >> column & 1) != 0) {
            code = get_u16(codes);
            codes += 2;
        }
        changed = changed || code != panel.feedback_codes[column];
        panel.feedback_codes[column] = code;
    }
    if (changed)
        panel_send_feedback();
}

void panel_bias(uint16_t column_mask, const uint8_t *codes)
{
    uint8_t words[LTC2668_CHANNELS * LTC2668_WORD_BYTES], *end = words;
    for (uint32_t column = 0; column < geometry.columns; column++) {
        uint16_t code = BIPOLAR_ZERO;
        if (codes != NULL && (column_mask >> column & 1) != 0) {
            code = (uint16_t)((uint32_t)get_u16(codes) << BIAS_SHIFT ^ BIPOLAR_ZERO);
            codes += 2;
        }
        if (code != panel.bias_codes[column])
            end = ltc2668_word(end, LTC2668_WRITE_UPDATE, column, code);
        panel.bias_codes[column] = code;
    }
    ltc2668_send(HWL_SELECT_BIAS_DAC, words, end);
}

void panel_inputs(const uint16_t *row_mask, const uint8_t *codes)
{
    uint8_t words[LTC2668_CHANNELS * LTC2668_WORD_BYTES];
    for (uint32_t chip = 0; chip < panel_mask_words(); chip++) {
        uint8_t *end = words;
        for (uint32_t left = row_mask[chip]; left != 0; left &= left - 1) {
            uint32_t code = get_u16(codes) ^ (uint32_t)BIPOLAR_ZERO;
            end = ltc2668_word(end, LTC2668_WRITE, (uint32_t)__builtin_ctz(left), code);
            codes += 2;
        }
        ltc2668_send((uint16_t)(HWL_SELECT_INPUT_DAC + chip), words, end);
    }
    hal_pin(HWL_PIN_LDAC, false);
    hal_pin(HWL_PIN_LDAC, true);
}

/* ---- compensation ---- */

bool panel_compensation(uint16_t row, uint16_t code)
{
    uint32_t chain = row / HWL_ROWS_A_COMPENSATION_CHAIN;
    if (panel.compensation_codes[row] == code)
        return false;
    panel.compensation_codes[row] = code;
    panel.unsent[chain / MASK_ROWS] |= (uint16_t)(1u << chain % MASK_ROWS);
    return true;
}

void panel_send_compensation(void)
{
    for (uint32_t word = 0; word < sizeof panel.unsent / sizeof panel.unsent[0]; word++) {
        for (uint32_t left = panel.unsent[word]; left != 0; left &= left - 1)
            send_compensation_chain(word * MASK_ROWS + (uint32_t)__builtin_ctz(left));
        panel.unsent[word] = 0;
    }
}

/* ---- looking at the board ---- */

bool panel_look(void)
{
    struct hal_results results;
    return finish(&results);
}

bool panel_is_too_hot(void)
{
    return ((uint32_t)inputs >> HWL_INPUT_OVERTEMPERATURE & 1u) != 0;
}

bool panel_temperature(int16_t *raw)
{
    struct hal_results results;
    adt7320_read_temperature(HWL_SELECT_TEMPERATURE);
    adt7320_read_id(HWL_SELECT_TEMPERATURE);
    if (!finish(&results) || results.count != 3 || results.bytes[2] != ADT7320_ID)
        return false;
    *raw = (int16_t)((uint32_t)results.bytes[0] << 8 | results.bytes[1]);
    return true;
}

int32_t panel_centicelsius(int16_t raw)
{
    int32_t dividend = 100 * raw + 64, quotient = dividend / 128;
    return dividend % 128 < 0 ? quotient - 1 : quotient;
}
