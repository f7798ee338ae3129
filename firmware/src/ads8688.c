/* ADS8688 over SPI. Source: data sheet SBAS582, "Command Register", "Program Register Map".
 * Commands are frames of 32 bits, 16 of command and 16 in which the conversion comes back: NO_OP 0x0000 (go on),
 * RST 0x8500, AUTO_RST 0xA000 (the next frame converts the lowest channel of the sequence), AUX 0xE000 (the next frames
 * convert the auxiliary input).
 * Program registers are frames of 24 bits: address (7), write (1), data (8), and 8 in which the register comes back.
 * Registers used: 0x01 AUTO_SEQ_EN, 0x05…0x0C range of channel 0…7. */
#include "ads8688.h"

#include "../hal/hal.h"

enum {
    COMMAND_BYTES = 4,
    COMMAND_SKIP = 2, /* of the answer: the conversion follows the command's 16 clocks */
    PROGRAM_BYTES = 3,
    PROGRAM_SKIP = 2,
    RST = 0x85,
    AUTO_RST = 0xA0,
    AUX = 0xE0,
    AUTO_SEQ_EN = 0x01,
    RANGE_OF_CHANNEL_0 = 0x05,
    WRITE = 1
};

static void command(uint16_t select, uint8_t word)
{
    const uint8_t frame[COMMAND_BYTES] = {word, 0, 0, 0};
    hal_spi_write(select, COMMAND_BYTES, 1, frame);
}

static void put_program(uint8_t *frame, uint32_t address, uint8_t data)
{
    frame[0] = (uint8_t)(address << 1 | WRITE);
    frame[1] = data;
    frame[2] = 0;
}

void ads8688_reset(uint16_t select)
{
    command(select, RST);
}

void ads8688_set_range(uint16_t select, enum ads8688_range range)
{
    uint8_t frames[ADS8688_CHANNELS * PROGRAM_BYTES];
    for (uint32_t channel = 0; channel < ADS8688_CHANNELS; channel++)
        put_program(frames + channel * PROGRAM_BYTES, RANGE_OF_CHANNEL_0 + channel, (uint8_t)range);
    hal_spi_write(select, PROGRAM_BYTES, ADS8688_CHANNELS, frames);
}

void ads8688_start_sequence(uint16_t select, uint8_t channel_mask)
{
    uint8_t frame[PROGRAM_BYTES];
    put_program(frame, AUTO_SEQ_EN, channel_mask);
    hal_spi_write(select, PROGRAM_BYTES, 1, frame);
    command(select, AUTO_RST);
}

void ads8688_select_auxiliary(uint16_t select)
{
    command(select, AUX);
}

void ads8688_scan(uint16_t select, uint16_t channels)
{
    static const uint8_t no_op[COMMAND_BYTES];
    hal_spi_scan(select, COMMAND_BYTES, channels, no_op, COMMAND_SKIP);
}

void ads8688_read_range(uint16_t select)
{
    static const uint8_t frame[PROGRAM_BYTES] = {RANGE_OF_CHANNEL_0 << 1, 0, 0};
    hal_spi_read(select, PROGRAM_BYTES, 1, frame, PROGRAM_SKIP);
}
