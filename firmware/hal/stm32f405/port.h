/* A serial port that receives by interrupt into a ring. Where the ring is full it stops taking bytes, so that a line
 * with flow control loses none; on one without, the receiver overruns and the frame's CRC tells. */
#ifndef HWLOOP_PORT_H
#define HWLOOP_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { PORT_RING_BYTES = 2048 };

struct port {
    uint32_t base;                  /* of the USART */
    uint32_t enable_offset, enable_bit; /* of its interrupt, in NVIC_ISER and NVIC_ICER */
    volatile uint32_t in, out;      /* bytes received and taken, wrapping */
    uint8_t ring[PORT_RING_BYTES];
};

void port_open(struct port *port, uint32_t base, uint32_t bus_hertz, uint32_t baud, uint32_t interrupt);
void port_interrupt(struct port *port);
size_t port_read(struct port *port, uint8_t *bytes, size_t room);
/* False: the transmitter stood still; the rest was dropped. */
bool port_write(struct port *port, const uint8_t *bytes, size_t count);

/* The port to the host. */
void port_start(uint32_t apb2_hertz);
bool port_is_empty(void);
void port_host_interrupt(void);

#endif
