/* ADT7320: temperature to 1/128 degree Celsius, and a pin that says "too hot" by itself. */
#ifndef HWLOOP_ADT7320_H
#define HWLOOP_ADT7320_H

#include <stdint.h>

enum { ADT7320_ID = 0xC3 };

/* 16 bit, continuous; CT high while the temperature is above `critical` (1/128 degree Celsius). */
void adt7320_start(uint16_t select, int16_t critical);
/* The temperature: two bytes, big-endian, 1/128 degree Celsius, into the results. */
void adt7320_read_temperature(uint16_t select);
/* The identification, which should be ADT7320_ID: one byte into the results. */
void adt7320_read_id(uint16_t select);

#endif
