/* ADS8688: an ADC of 16 bit with eight channels and a range for each. */
#ifndef HWLOOP_ADS8688_H
#define HWLOOP_ADS8688_H

#include <stdint.h>

enum { ADS8688_CHANNELS = 8 };

enum ads8688_range { ADS8688_5_12_V = 0x01, ADS8688_2_56_V = 0x02, ADS8688_0_TO_5_12_V = 0x06 };

/* All registers to their defaults. */
void ads8688_reset(uint16_t select);
/* The same range for all channels. Leaves the automatic sequence. */
void ads8688_set_range(uint16_t select, enum ads8688_range range);
/* Scan the channels of this mask (not 0) from now on, beginning with the lowest. */
void ads8688_start_sequence(uint16_t select, uint8_t channel_mask);
/* Scan the auxiliary input, 0…4.096 V, from now on. */
void ads8688_select_auxiliary(uint16_t select);
/* Convert the next `channels` channels of the sequence: big-endian codes, two bytes each, into the results. */
void ads8688_scan(uint16_t select, uint16_t channels);
/* Range of channel 0 as the chip holds it: one byte into the results. Leaves the automatic sequence. */
void ads8688_read_range(uint16_t select);

#endif
