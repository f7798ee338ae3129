/* Pins of this board: chip selects of wiring.toml, their buses and speeds, and the pins that ground the lines. */
#ifndef HWLOOP_SELECTS_H
#define HWLOOP_SELECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BUSES = 3 };

struct select {
    uint32_t port;                  /* GPIO of the chip select */
    uint16_t pin_bit;
    uint16_t control;               /* SPI_CR1 while it is selected */
    uint8_t bus;                    /* 0 SPI1, 1 SPI2, 2 SPI3 */
    bool is_dac;                    /* an LTC2668, which takes 32 bits as well as 24 */
};

/* NULL: this board has no such chip. */
const struct select *select_of(uint16_t select);

/* ENABLE, DRIVE and LDAC: at rest at once; nothing is read and nothing is waited for, so it also serves in a fault. */
void pins_ground(void);
/* All pins of the board to what they are for, every chip select high, every line grounded. */
void pins_start(void);
/* A pin of wiring.toml other than DRIVE. */
void pins_set(uint8_t pin, bool high);
/* Input pins, bits HWL_INPUT_… */
uint8_t pins_inputs(void);
/* Hand the pin of DRIVE to its timer, which must hold it low. */
void pins_drive_by_timer(void);

#endif
