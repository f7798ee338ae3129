/* The queue of SPI transfers: three buses that work side by side, each in its own order. */
#ifndef HWLOOP_SPI_H
#define HWLOOP_SPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void spi_start(void);
/* Send what is queued, bounded. False: a bus stood still, or was asked for what this board does not have; then every
 * chip select is high, and what was queued is gone. */
bool spi_drain(void);
/* As spi_drain() of everything since the last call; the results begin anew. */
bool spi_finish(const uint8_t **results, size_t *count);

#endif
