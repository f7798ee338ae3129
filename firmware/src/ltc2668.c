/* LTC2668-16 over SPI. Source: data sheet 2668fa, "Serial Interface", tables of commands and SoftSpan codes.
 * Frames of 24 bits: command (4), channel (4), code (16, straight binary over the span). Commands used:
 * 0x0 write code to n, 0x3 write code to n and update n, 0xA write code to all and update all, 0xE span to all. */
#include "ltc2668.h"

#include "../hal/hal.h"

enum { WRITE_ALL_UPDATE_ALL = 0xA0, SPAN_ALL = 0xE0 };

void ltc2668_send(uint16_t select, const uint8_t *words, const uint8_t *end)
{
    if (end > words)
        hal_spi_write(select, LTC2668_WORD_BYTES, (uint16_t)((end - words) / LTC2668_WORD_BYTES), words);
}

void ltc2668_start(uint16_t select, enum ltc2668_span span, uint16_t code)
{
    const uint8_t word[LTC2668_WORD_BYTES] = {SPAN_ALL, 0, (uint8_t)span};
    hal_spi_write(select, LTC2668_WORD_BYTES, 1, word);
    ltc2668_write_all(select, code); /* a span is taken over at an update only */
}

void ltc2668_write_all(uint16_t select, uint16_t code)
{
    const uint8_t word[LTC2668_WORD_BYTES] = {WRITE_ALL_UPDATE_ALL, (uint8_t)(code >> 8), (uint8_t)code};
    hal_spi_write(select, LTC2668_WORD_BYTES, 1, word);
}
