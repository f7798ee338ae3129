/* The board's chips as one panel: rows, columns, modes, codes. Knows the wiring (wiring.h) and the chip drivers; knows
 * nothing of commands, limits or sessions. Everything goes through the queue of hal.h. */
#ifndef HWLOOP_PANEL_H
#define HWLOOP_PANEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pins and chips to their resting state: spans and ranges set, codes 0, switches open. False: a chip does not answer
 * as it should. Used at boot. */
bool panel_start(void);
/* Every line to ground: pins first, then codes 0, switches open, masks forgotten, compensation 0. */
void panel_ground(void);
/* ENABLE high: the panel may drive lines. Checks that every chip that can answer does; false: it does not. */
bool panel_enable(void);
/* Mode switches to rest, and the same check of chips, queued behind a command's work. Gives whether the check passed;
 * also false where hal_finish() failed. Ends a command. */
bool panel_rest(void);

/* Mode switches, bits HWL_MODE_…; only a change is sent. OUTPUTS_TO_DAQ is kept by the panel itself. */
void panel_mode(uint32_t mode);
/* As panel_mode, beside all that stands at the instrument ports: SAMPLE. */
void panel_mode_of_ports(uint32_t mode);

/* PULSE: select the row and the columns (bit mask), load what changed of the column DACs and the gate DAC. Gives the
 * number of DAC words that changed. `amplitude_codes` (columns) is read at the set bits of `column_mask` only. */
uint32_t panel_load_pulse(uint16_t row, uint16_t column_mask, const uint16_t *amplitude_codes, uint16_t gate_code);
/* READ: select one row. */
void panel_select_row(uint16_t row);
/* Neither row nor column selected: ends the route beside OUTPUTS_TO_DAQ, and what was held for it. */
void panel_deselect(void);

/* SOLVE and MVM: take these as active rows (bit mask, 16 rows a word) and columns. Gives the ticks it takes by the
 * rules: 0 where they are the active ones already. */
uint32_t panel_load_masks(const uint16_t *row_mask, uint16_t column_mask);
void panel_feedback(uint16_t column_mask, const uint8_t *codes);     /* code a set column, u16; NULL: all 0 S */
void panel_bias(uint16_t column_mask, const uint8_t *codes);         /* code a set column, i16; NULL: all 0 A */
/* Input codes (i16, little-endian, one an active row in ascending order), then LDAC. */
void panel_inputs(const uint16_t *row_mask, const uint8_t *codes);

/* Compensation of one row; gives whether the code changed. Sent by panel_send_compensation(). */
bool panel_compensation(uint16_t row, uint16_t code);
void panel_send_compensation(void);

enum panel_source { PANEL_READ, PANEL_PRODUCTS, PANEL_OUTPUTS, PANEL_SUPPLY };
/* ADC range and inputs for what is about to be sampled, and the columns to scan; only changes are sent. Of PANEL_SUPPLY
 * there is one code a scan, whatever the columns. */
void panel_scan_setup(enum panel_source source, uint16_t column_mask);
/* One scan of the columns set up: a raw code a set column, big-endian 16 bit, in ascending order, into the results. */
void panel_scan(void);

/* What stands at the instrument ports, as protocol.toml has routes (panel_ports.c). */
void panel_route(uint8_t route, uint8_t array, uint16_t row, uint16_t column);
uint8_t panel_routed(void);         /* the route beside OUTPUTS_TO_DAQ */
/* Hold a level, enum hwl_hold; `code` as on the wire. Gives whether it changed. */
bool panel_hold(uint8_t what, uint16_t channel, uint16_t code);
void panel_hold_divider(uint8_t divider);   /* of all held bias codes, enum hwl_bias_divider */

/* Ask for the input pins as they are now: between commands only. False: the chips do not answer. */
bool panel_look(void);
/* The over-temperature line when the chips answered last. */
bool panel_is_too_hot(void);
/* The sensor's raw reading, 1/128 degree Celsius. False: it did not answer. */
bool panel_temperature(int16_t *raw);
/* A raw reading in 0.01 degree Celsius, rounded half up. */
int32_t panel_centicelsius(int16_t raw);

#endif
