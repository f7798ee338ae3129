/* ADG1414: eight switches a chip, in daisy chains. */
#ifndef HWLOOP_ADG1414_H
#define HWLOOP_ADG1414_H

#include <stdbool.h>
#include <stdint.h>

enum { ADG1414_SWITCHES = 8, ADG1414_MOST_CHIPS = 24 };

/* Set a chain: a byte a chip, the nearest chip first, bit 0 is switch S1. At most ADG1414_MOST_CHIPS. */
void adg1414_write(uint16_t select, uint32_t chips, const uint8_t *switches);
/* As adg1414_write; what the chain was sent before comes back into the results, a byte a chip. */
void adg1414_exchange(uint16_t select, uint32_t chips, const uint8_t *switches);
/* Whether an exchange gave back `switches` (nearest chip first). */
bool adg1414_gave_back(const uint8_t *results, uint32_t chips, const uint8_t *switches);

#endif
