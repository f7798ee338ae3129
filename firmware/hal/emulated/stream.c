/* The chips at the end of a second UART: what the queue is asked for goes out as the stream of wiring.toml, and
 * simulated chips carry it out. Linked with the stm32f405 body in place of its SPI, time line and backup memory. */
#include <string.h>

#include "../hal.h"
#include "../stm32f405/clock.h"
#include "../stm32f405/port.h"
#include "../stm32f405/registers.h"
#include "../stm32f405/selects.h"
#include "../stm32f405/system.h"

#include "../../src/bytes.h"
#include "../../src/wiring.h"

enum {
    CORE_HERTZ = 168000000,             /* of the emulator, whatever its RCC reads */
    CHIPS_BAUD = 1000000,
    ROOM = 1024,
    SILENCE_MILLISECONDS = 120000,      /* simulated chips may compute for long; then they are taken for dead */
    HELLO_BYTES = 19 + HWL_STREAM_STORE_BYTES, FINISHED_BYTES = 6,
    MOST_LEFT_OVER = 8                  /* answers to what a run before this one had asked */
};

static struct port chips;
static bool dead;
static size_t expected;                 /* result bytes asked for since the last finish */
static uint8_t results[ROOM];

void chips_interrupt(void);
void chips_interrupt(void)
{
    port_interrupt(&chips);
}

/* ---- bytes ---- */

static void send(const uint8_t *bytes, size_t count)
{
    if (!dead && !port_write(&chips, bytes, count))
        dead = true;
}

static void wait_for_bytes(void)
{
    core_mask_interrupts();
    if (chips.in == chips.out)
        core_wait_for_interrupt();
    core_unmask_interrupts();
}

/* Fill `bytes`; false where the chips are silent. */
static bool receive(uint8_t *bytes, size_t count)
{
    uint32_t since = hal_milliseconds();
    while (count > 0 && !dead) {
        size_t got = port_read(&chips, bytes, count);
        bytes += got;
        count -= got;
        hal_feed_watchdog();
        if (got > 0)
            since = hal_milliseconds();
        else if (hal_milliseconds() - since > SILENCE_MILLISECONDS)
            dead = true;
        else
            wait_for_bytes();
    }
    return !dead;
}

/* ---- start ---- */

/* The answer to HELLO, behind what was asked for before a reset. */
static bool receive_hello(uint8_t answer[HELLO_BYTES])
{
    for (uint32_t left_over = 0; left_over < MOST_LEFT_OVER; left_over++) {
        if (!receive(answer, 2))
            return false;
        if (answer[0] == HWL_STREAM_HELLO && answer[1] == HWL_STREAM_VERSION)
            return receive(answer + 2, HELLO_BYTES - 2);
        if (answer[0] != HWL_STREAM_FINISH || !receive(answer + 2, FINISHED_BYTES - 2))
            return false;
        uint32_t count = get_u32(answer + 2);
        if (count > ROOM || !receive(results, count))
            return false;
    }
    return false;
}

bool hal_start(struct hal_boot *boot)
{
    const uint8_t hello[] = {HWL_STREAM_HELLO, HWL_STREAM_VERSION};
    uint8_t answer[HELLO_BYTES];
    pins_start();
    (void)clock_start();
    system_start(CORE_HERTZ);
    port_start(CORE_HERTZ);
    port_open(&chips, USART2, CORE_HERTZ, CHIPS_BAUD, INTERRUPT_USART2);
    memset(boot, 0, sizeof *boot);
    dead = false;
    expected = 0;
    send(hello, sizeof hello);
    if (!receive_hello(answer)) {
        dead = true;
        return false;
    }
    boot->board_serial = get_u32(answer + 2);
    boot->array_serial = get_u32(answer + 6);
    boot->reset_cause = answer[10];
    boot->bench_ticks = get_u32(answer + 11) | (uint64_t)get_u32(answer + 15) << 32;
    memcpy(boot->store, answer + 19, sizeof boot->store);
    return true;
}

/* ---- the queue ---- */

static void send_transfer_head(uint8_t kind, uint16_t select, uint8_t frame_bytes, uint16_t frames, uint8_t skip)
{
    uint8_t head[7] = {kind, (uint8_t)select, (uint8_t)(select >> 8), frame_bytes, (uint8_t)frames,
                       (uint8_t)(frames >> 8), skip};
    send(head, kind == HWL_STREAM_READ ? 7 : 6);
    if (kind == HWL_STREAM_READ)
        expected += (size_t)(frame_bytes - skip) * frames;
}

void hal_spi_write(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes)
{
    send_transfer_head(HWL_STREAM_WRITE, select, frame_bytes, frames, 0);
    send(bytes, (size_t)frame_bytes * frames);
}

void hal_spi_read(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes, uint8_t skip)
{
    send_transfer_head(HWL_STREAM_READ, select, frame_bytes, frames, skip);
    send(bytes, (size_t)frame_bytes * frames);
}

void hal_spi_scan(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *frame, uint8_t skip)
{
    send_transfer_head(HWL_STREAM_READ, select, frame_bytes, frames, skip);
    for (uint16_t i = 0; i < frames; i++)
        send(frame, frame_bytes);
}

void hal_pin(uint8_t pin, bool high)
{
    const uint8_t record[] = {HWL_STREAM_PIN, pin, high};
    send(record, sizeof record);
}

void hal_at(uint64_t bench_ticks)
{
    uint8_t record[9] = {HWL_STREAM_AT};
    put_u64(record + 1, bench_ticks);
    send(record, sizeof record);
}

void hal_pulse(uint16_t width_ticks)
{
    const uint8_t record[] = {HWL_STREAM_PULSE, (uint8_t)width_ticks, (uint8_t)(width_ticks >> 8)};
    send(record, sizeof record);
}

void hal_store(const uint8_t store[HAL_STORE_BYTES])
{
    const uint8_t kind = HWL_STREAM_STORE;
    send(&kind, 1);
    send(store, HAL_STORE_BYTES);
}

size_t hal_result_room(void)
{
    return expected < ROOM ? ROOM - expected : 0;
}

bool hal_finish(struct hal_results *given)
{
    const uint8_t kind = HWL_STREAM_FINISH;
    uint8_t answer[FINISHED_BYTES] = {0};
    size_t wanted = expected;
    expected = 0;
    *given = (struct hal_results){.bytes = results, .count = 0, .inputs = 0};
    send(&kind, 1);
    if (!receive(answer, sizeof answer))
        return false;
    given->count = get_u32(answer + 2);
    given->inputs = answer[1];
    if (answer[0] == HWL_STREAM_FINISH && given->count == HWL_STREAM_FAILED) {
        given->count = 0;
        return false;
    }
    if (answer[0] != HWL_STREAM_FINISH || given->count != wanted || wanted > ROOM) {
        given->count = 0;
        dead = true;
        return false;
    }
    return receive(results, wanted);
}
