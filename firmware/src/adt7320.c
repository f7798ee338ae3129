/* ADT7320 over SPI. Source: data sheet ADT7320 Rev. 0, "Registers", "Serial Interface".
 * A frame is a command byte (bit 6: read; bits 5…3: register) and the register's 8 or 16 bits. Registers used:
 * 0x01 configuration, 0x02 temperature, 0x03 ID, 0x04 T_CRIT, 0x05 T_HYST. 32 ones reset the serial interface. */
#include "adt7320.h"

#include "../hal/hal.h"

enum {
    READ = 0x40,
    CONFIGURATION = 0x01 << 3,
    TEMPERATURE = 0x02 << 3,
    ID = 0x03 << 3,
    CRITICAL = 0x04 << 3,
    HYSTERESIS = 0x05 << 3,
    RESOLUTION_16_BIT = 0x80,
    COMPARATOR_MODE = 0x10,
    CT_ACTIVE_HIGH = 0x04 /* open drain: high as well where the sensor is missing or dead */
};

void adt7320_start(uint16_t select, int16_t critical)
{
    static const uint8_t reset_interface[4] = {0xFF, 0xFF, 0xFF, 0xFF};
    static const uint8_t configuration[2] = {CONFIGURATION, RESOLUTION_16_BIT | COMPARATOR_MODE | CT_ACTIVE_HIGH};
    static const uint8_t no_hysteresis[2] = {HYSTERESIS, 0};
    const uint8_t limit[3] = {CRITICAL, (uint8_t)((uint16_t)critical >> 8), (uint8_t)critical};
    hal_spi_write(select, sizeof reset_interface, 1, reset_interface);
    hal_spi_write(select, sizeof limit, 1, limit);
    hal_spi_write(select, sizeof no_hysteresis, 1, no_hysteresis);
    hal_spi_write(select, sizeof configuration, 1, configuration);
}

void adt7320_read_temperature(uint16_t select)
{
    static const uint8_t frame[3] = {READ | TEMPERATURE, 0, 0};
    hal_spi_read(select, sizeof frame, 1, frame, 1);
}

void adt7320_read_id(uint16_t select)
{
    static const uint8_t frame[2] = {READ | ID, 0};
    hal_spi_read(select, sizeof frame, 1, frame, 1);
}
