/* LTC2668-16: sixteen 16-bit DACs. */
#ifndef HWLOOP_LTC2668_H
#define HWLOOP_LTC2668_H

#include <stdint.h>

enum { LTC2668_WORD_BYTES = 3, LTC2668_CHANNELS = 16 };

enum ltc2668_command { LTC2668_WRITE = 0x0, LTC2668_WRITE_UPDATE = 0x3 };
enum ltc2668_span { LTC2668_SPAN_0_TO_5_V = 0x0, LTC2668_SPAN_2_5_V = 0x4 };

/* Build one word at `at`; gives where the next one goes. */
static inline uint8_t *ltc2668_word(uint8_t *at, enum ltc2668_command command, uint32_t channel, uint32_t code)
{
    at[0] = (uint8_t)((uint32_t)command << 4 | channel);
    at[1] = (uint8_t)(code >> 8);
    at[2] = (uint8_t)code;
    return at + LTC2668_WORD_BYTES;
}

/* Send the words from `words` up to `end`, one frame each; nothing where there are none. */
void ltc2668_send(uint16_t select, const uint8_t *words, const uint8_t *end);
/* All channels to this span and this code. */
void ltc2668_start(uint16_t select, enum ltc2668_span span, uint16_t code);
/* This code at every output. */
void ltc2668_write_all(uint16_t select, uint16_t code);

#endif
