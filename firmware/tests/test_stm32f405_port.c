/* The serial port to the host. */
#include "check.h"
#include "fake_registers.h"

#include <string.h>

#include "../hal/hal.h"
#include "../hal/stm32f405/port.h"

enum { MOST_READS = 1000000 };

static void baud_follows_the_clock(void)
{
    registers_reset();
    port_start(84000000);
    CHECK_EQUAL(register_value(USART1 + USART_BRR), 84);
    port_start(16000000);
    CHECK_EQUAL(register_value(USART1 + USART_BRR), 16);
    CHECK_EQUAL(register_value(NVIC_ISER + 4), 1 << 5);
}

static void gives_what_arrived(void)
{
    uint8_t bytes[8] = {0};
    registers_reset();
    port_start(84000000);
    CHECK_EQUAL(hal_port_read(bytes, sizeof bytes), 0);
    register_usart_hears("hello");
    for (int i = 0; i < 5; i++)
        port_host_interrupt();
    CHECK_EQUAL(hal_port_read(bytes, 3), 3);
    CHECK(memcmp(bytes, "hel", 3) == 0);
    CHECK_EQUAL(hal_port_read(bytes, sizeof bytes), 2);
    CHECK(memcmp(bytes, "lo", 2) == 0);
    CHECK(port_is_empty());
}

static void a_full_ring_takes_no_more_until_it_is_read(void)
{
    static uint8_t bytes[2 * PORT_RING_BYTES];
    registers_reset();
    port_start(84000000);
    for (int i = 0; i <= PORT_RING_BYTES; i++) {
        register_usart_hears(i == PORT_RING_BYTES ? "!" : "x");
        port_host_interrupt();
    }
    CHECK_EQUAL(register_value(NVIC_ICER + 4), 1 << 5);
    size_t enabled = register_writes_to(NVIC_ISER + 4);
    CHECK_EQUAL(hal_port_read(bytes, sizeof bytes), PORT_RING_BYTES);
    CHECK_EQUAL(register_writes_to(NVIC_ISER + 4), enabled + 1);
    port_host_interrupt();
    CHECK_EQUAL(hal_port_read(bytes, sizeof bytes), 1);
    CHECK_EQUAL(bytes[0], '!');
}

static void an_interrupt_without_a_byte_reads_the_overrun_away(void)
{
    registers_reset();
    port_start(84000000);
    uint32_t reads = register_reads;
    port_host_interrupt();
    CHECK(port_is_empty());
    CHECK_EQUAL(register_reads - reads, 2); /* status, then data */
}

static void a_transmitter_that_stands_still_loses_bytes_and_no_time(void)
{
    registers_reset();
    port_start(84000000);
    hal_port_write((const uint8_t *)"ok", 2);
    CHECK_EQUAL(register_writes_to(USART1 + USART_DR), 2);
    register_usart_sends = false;
    hal_port_write((const uint8_t *)"lost", 4);
    CHECK_EQUAL(register_writes_to(USART1 + USART_DR), 2);
    CHECK(register_reads < MOST_READS);
}

int main(void)
{
    RUN(baud_follows_the_clock);
    RUN(gives_what_arrived);
    RUN(a_full_ring_takes_no_more_until_it_is_read);
    RUN(an_interrupt_without_a_byte_reads_the_overrun_away);
    RUN(a_transmitter_that_stands_still_loses_bytes_and_no_time);
    return check_result();
}
