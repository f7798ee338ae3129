#include "port.h"

#include "registers.h"

#include "../hal.h"

enum {
    HOST_BAUD = 1000000,
    SENT_READS = 20000,                 /* a byte takes 10 us; 20000 reads at least 0.5 ms */
    INTERRUPT_WORD = 32
};

static struct port host;

void port_open(struct port *port, uint32_t base, uint32_t bus_hertz, uint32_t baud, uint32_t interrupt)
{
    port->base = base;
    port->in = port->out = 0;
    port->enable_offset = interrupt / INTERRUPT_WORD * 4;
    port->enable_bit = 1u << interrupt % INTERRUPT_WORD;
    reg_write(base + USART_BRR, (bus_hertz + baud / 2) / baud);
    reg_write(base + USART_CR1, USART_CR1_UE | USART_CR1_TE | USART_CR1_RE | USART_CR1_RXNEIE);
    reg_write(NVIC_ISER + port->enable_offset, port->enable_bit);
}

void port_interrupt(struct port *port)
{
    if ((reg_read(port->base + USART_SR) & USART_SR_RXNE) == 0) {
        (void)reg_read(port->base + USART_DR); /* ends an overrun */
        return;
    }
    uint32_t in = port->in;
    if (in - port->out == PORT_RING_BYTES) {
        /* At the interrupt controller: the emulated USART goes on asking where its own enable bit is cleared. */
        reg_write(NVIC_ICER + port->enable_offset, port->enable_bit);
        return;
    }
    port->ring[in % PORT_RING_BYTES] = (uint8_t)reg_read(port->base + USART_DR);
    port->in = in + 1;
}

size_t port_read(struct port *port, uint8_t *bytes, size_t room)
{
    uint32_t out = port->out;
    size_t count = port->in - out;
    if (count == 0)
        return 0;
    count = count < room ? count : room;
    for (size_t i = 0; i < count; i++)
        bytes[i] = port->ring[(out + i) % PORT_RING_BYTES];
    port->out = out + (uint32_t)count;
    reg_write(NVIC_ISER + port->enable_offset, port->enable_bit);
    return count;
}

bool port_write(struct port *port, const uint8_t *bytes, size_t count)
{
    for (; count > 0; count--) {
        uint32_t reads = SENT_READS;
        while ((reg_read(port->base + USART_SR) & USART_SR_TXE) == 0)
            if (--reads == 0)
                return false;
        reg_write(port->base + USART_DR, *bytes++);
    }
    return true;
}

void port_start(uint32_t apb2_hertz)
{
    reg_enable(RCC_APB2ENR, RCC_APB2ENR_USART1);
    port_open(&host, USART1, apb2_hertz, HOST_BAUD, INTERRUPT_USART1);
}

bool port_is_empty(void)
{
    return host.in == host.out;
}

void port_host_interrupt(void)
{
    port_interrupt(&host);
}

size_t hal_port_read(uint8_t *bytes, size_t room)
{
    return port_read(&host, bytes, room);
}

void hal_port_write(const uint8_t *bytes, size_t count)
{
    (void)port_write(&host, bytes, count);
}
