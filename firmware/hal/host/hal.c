/* The firmware on a PC: two streams, one to the host and one to simulated chips (wiring.toml [stream]). */
#define _POSIX_C_SOURCE 200809L

#include "../hal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../src/bytes.h"
#include "../../src/wiring.h"
#include "streams.h"

enum {
    QUEUE_BYTES = 1 << 16,
    RESULT_BYTES = 1 << 18,
    FINISH_HEAD = 6,
    HELLO_HEAD = 19,                /* up to the stored bytes */
    /* Simulated chips may have to compile, or to compute for long. */
    CHIPS_MILLISECONDS = 120000,
    PORT_MILLISECONDS = 2000,
    IDLE_MILLISECONDS = 10,
};

static int port_fd, chips_fd;
static bool chips_dead;
static bool host_stuck;             /* it took nothing for too long, and is not waited for before it does again */

static uint8_t queue[QUEUE_BYTES];
static size_t queued;
static uint8_t results[RESULT_BYTES];
static size_t asked;                /* result bytes that hal_finish() will bring */

/* ---- streams ---- */

void streams_use(int port, int chips)
{
    port_fd = port;
    chips_fd = chips;
}

uint32_t hal_milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u);
}

/* Wait until `events` are there. False: not within the time. */
static bool wait_for(int fd, short events, int milliseconds)
{
    struct pollfd waiting = {.fd = fd, .events = events};
    int found;
    do
        found = poll(&waiting, 1, milliseconds);
    while (found < 0 && errno == EINTR);
    return found > 0;
}

/* Whoever holds the other end is gone: so is the board. Whatever was queued is not said any more, and the chips ground
 * every line when the stream ends. */
static _Noreturn void end(void)
{
    exit(EXIT_SUCCESS);
}

static void chips_write(const uint8_t *bytes, size_t count)
{
    while (count > 0 && !chips_dead) {
        ssize_t written = write(chips_fd, bytes, count);
        if (written < 0 && errno != EAGAIN && errno != EINTR)
            end();
        if (written < 0)
            chips_dead = !wait_for(chips_fd, POLLOUT, CHIPS_MILLISECONDS);
        else {
            bytes += written;
            count -= (size_t)written;
        }
    }
}

static bool chips_read(uint8_t *bytes, size_t count)
{
    while (count > 0) {
        if (!wait_for(chips_fd, POLLIN, CHIPS_MILLISECONDS))
            return false;
        ssize_t got = read(chips_fd, bytes, count);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
            end();
        if (got > 0) {
            bytes += got;
            count -= (size_t)got;
        }
    }
    return true;
}

static void flush(void)
{
    chips_write(queue, queued);
    queued = 0;
}

/* Room for `count` more bytes of the stream; they are to be filled in. */
static uint8_t *append(size_t count)
{
    if (count > QUEUE_BYTES - queued)
        flush();
    uint8_t *at = queue + queued;
    queued += count;
    return at;
}

/* ---- start, time ---- */

bool hal_start(struct hal_boot *boot)
{
    uint8_t answer[HELLO_HEAD + HAL_STORE_BYTES];
    uint8_t *hello = append(2);
    hello[0] = HWL_STREAM_HELLO;
    hello[1] = HWL_STREAM_VERSION;
    flush();
    if (chips_dead || !chips_read(answer, sizeof answer) || answer[0] != HWL_STREAM_HELLO ||
        answer[1] != HWL_STREAM_VERSION) {
        chips_dead = true;
        return false;
    }
    boot->board_serial = get_u32(answer + 2);
    boot->array_serial = get_u32(answer + 6);
    boot->reset_cause = answer[10];
    boot->bench_ticks = get_u32(answer + 11) | (uint64_t)get_u32(answer + 15) << 32;
    memcpy(boot->store, answer + HELLO_HEAD, HAL_STORE_BYTES);
    return true;
}

void hal_feed_watchdog(void)
{
    /* The process that serves the chips starts this one again when it ends. */
}

void hal_idle(void)
{
    struct pollfd waiting[2] = {{.fd = port_fd, .events = POLLIN}, {.fd = chips_fd, .events = 0}};
    (void)poll(waiting, 2, IDLE_MILLISECONDS);
    if (waiting[1].revents & (POLLHUP | POLLERR))
        end();
}

/* ---- the port to the host ---- */

size_t hal_port_read(uint8_t *bytes, size_t room)
{
    ssize_t got = room > 0 ? read(port_fd, bytes, room) : -1;
    if (room > 0 && (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)))
        end();
    return got > 0 ? (size_t)got : 0;
}

void hal_port_write(const uint8_t *bytes, size_t count)
{
    flush();    /* what was done is on record before the host hears of it */
    while (count > 0) {
        ssize_t written = write(port_fd, bytes, count);
        if (written < 0 && errno != EAGAIN && errno != EINTR)
            end();
        if (written < 0 && (host_stuck || !wait_for(port_fd, POLLOUT, PORT_MILLISECONDS))) {
            host_stuck = true;
            return;
        }
        if (written > 0) {
            host_stuck = false;
            bytes += written;
            count -= (size_t)written;
        }
    }
}

/* ---- the queue to the chips ---- */

static void put_transfer(uint8_t *at, uint8_t kind, uint16_t select, uint8_t frame_bytes, uint16_t frames)
{
    at[0] = kind;
    put_u16(at + 1, select);
    at[3] = frame_bytes;
    put_u16(at + 4, frames);
}

void hal_spi_write(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes)
{
    size_t count = (size_t)frame_bytes * frames;
    uint8_t *at = append(6 + count);
    put_transfer(at, HWL_STREAM_WRITE, select, frame_bytes, frames);
    memcpy(at + 6, bytes, count);
}

static uint8_t *append_read(uint16_t select, uint8_t frame_bytes, uint16_t frames, uint8_t skip)
{
    uint8_t *at = append(7 + (size_t)frame_bytes * frames);
    put_transfer(at, HWL_STREAM_READ, select, frame_bytes, frames);
    at[6] = skip;
    asked += (size_t)(frame_bytes - skip) * frames;
    return at + 7;
}

void hal_spi_read(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes, uint8_t skip)
{
    memcpy(append_read(select, frame_bytes, frames, skip), bytes, (size_t)frame_bytes * frames);
}

void hal_spi_scan(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *frame, uint8_t skip)
{
    uint8_t *at = append_read(select, frame_bytes, frames, skip);
    for (uint32_t i = 0; i < frames; i++, at += frame_bytes)
        memcpy(at, frame, frame_bytes);
}

void hal_pin(uint8_t pin, bool high)
{
    uint8_t *at = append(3);
    at[0] = HWL_STREAM_PIN;
    at[1] = pin;
    at[2] = high;
}

void hal_at(uint64_t bench_ticks)
{
    uint8_t *at = append(9);
    at[0] = HWL_STREAM_AT;
    put_u64(at + 1, bench_ticks);
}

void hal_pulse(uint16_t width_ticks)
{
    uint8_t *at = append(3);
    at[0] = HWL_STREAM_PULSE;
    put_u16(at + 1, width_ticks);
}

void hal_store(const uint8_t store[HAL_STORE_BYTES])
{
    uint8_t *at = append(1 + HAL_STORE_BYTES);
    at[0] = HWL_STREAM_STORE;
    memcpy(at + 1, store, HAL_STORE_BYTES);
    flush();
}

size_t hal_result_room(void)
{
    return RESULT_BYTES - asked;
}

bool hal_finish(struct hal_results *given)
{
    uint8_t head[FINISH_HEAD] = {0};
    size_t wanted = asked;
    *append(1) = HWL_STREAM_FINISH;
    flush();
    asked = 0;
    if (!chips_dead && chips_read(head, sizeof head) && head[0] == HWL_STREAM_FINISH &&
        get_u32(head + 2) == HWL_STREAM_FAILED)
        return false;
    if (chips_dead || head[0] != HWL_STREAM_FINISH || get_u32(head + 2) != wanted || !chips_read(results, wanted)) {
        chips_dead = true;      /* out of step: no answer could be told from an older one */
        return false;
    }
    given->bytes = results;
    given->count = wanted;
    given->inputs = head[1];
    return true;
}
