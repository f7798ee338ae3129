/* ADG1414 over SPI. Source: data sheet ADG1414 Rev. A, "Serial Interface", "Daisy-Chain Mode".
 * A chip is a shift register of 8 bits, one a switch, bit 0 = S1, taken over when chip select rises. In a chain the
 * byte of the farthest chip goes first, and what was shifted in before comes out at its end. No commands. */
#include "adg1414.h"

#include "../hal/hal.h"

static void put_chain(uint8_t *frame, uint32_t chips, const uint8_t *switches)
{
    for (uint32_t chip = 0; chip < chips; chip++)
        frame[chips - 1 - chip] = switches[chip];
}

void adg1414_write(uint16_t select, uint32_t chips, const uint8_t *switches)
{
    uint8_t frame[ADG1414_MOST_CHIPS];
    put_chain(frame, chips, switches);
    hal_spi_write(select, (uint8_t)chips, 1, frame);
}

void adg1414_exchange(uint16_t select, uint32_t chips, const uint8_t *switches)
{
    uint8_t frame[ADG1414_MOST_CHIPS];
    put_chain(frame, chips, switches);
    hal_spi_read(select, (uint8_t)chips, 1, frame, 0);
}

bool adg1414_gave_back(const uint8_t *results, uint32_t chips, const uint8_t *switches)
{
    uint8_t differences = 0;
    for (uint32_t chip = 0; chip < chips; chip++)
        differences |= results[chips - 1 - chip] ^ switches[chip];
    return differences == 0;
}
