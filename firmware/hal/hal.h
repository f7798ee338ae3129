/* Everything that the firmware asks of its hardware. One header, several bodies: stm32f405/ (registers), host/ (a PC),
 * emulated/ (the stm32f405 body with the chips at the end of a second UART). Nothing else touches a register.
 *
 * The chips are reached through a queue. A body may carry out each entry at once, or keep entries and send them later in
 * one go; what was queued is carried out in order, and only after hal_finish() has it happened for certain. Bench ticks
 * (hal_at) order entries in time; a body with real chips waits until that moment, and a body with simulated chips tells
 * them. */
#ifndef HWLOOP_HAL_H
#define HWLOOP_HAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- start ---- */

enum { HAL_STORE_BYTES = 16 };

struct hal_boot {
    uint32_t board_serial;
    uint32_t array_serial;          /* 0 where the board cannot tell */
    uint8_t reset_cause;            /* enum hwl_reset_cause */
    uint64_t bench_ticks;           /* where the bench clock goes on; 0 where nothing kept it */
    uint8_t store[HAL_STORE_BYTES]; /* what hal_store() kept last; zeros or rubbish where nothing survived */
};

/* Clocks, pins (ENABLE and DRIVE low first of all), ports, watchdog. Every wait in it is bounded; what does not come up
 * is gone without. False: the chips do not answer, and the board must stay safe. */
bool hal_start(struct hal_boot *boot);

/* ---- time and liveness ---- */

uint32_t hal_milliseconds(void);    /* wall clock; wraps; the dead-man and time-outs only */
void hal_feed_watchdog(void);
void hal_idle(void);                /* sleep until a byte arrives or about 10 ms have passed */

/* ---- the port to the host ---- */

size_t hal_port_read(uint8_t *bytes, size_t room);              /* what has arrived, at most `room`; never waits */
void hal_port_write(const uint8_t *bytes, size_t count);        /* waits, bounded; a host that takes nothing loses bytes */

/* ---- the queue to the chips ---- */

/* `frames` transfers of `frame_bytes` each, one after the other; chip select falls and rises round each. */
void hal_spi_write(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes);
/* As hal_spi_write; of what comes back in each frame the first `skip` bytes are dropped and the others become results. */
void hal_spi_read(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes, uint8_t skip);
/* The same `frame_bytes` sent `frames` times over, each answer kept as in hal_spi_read: an ADC scan. */
void hal_spi_scan(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *frame, uint8_t skip);
void hal_pin(uint8_t pin, bool high);
void hal_at(uint64_t bench_ticks);
/* DRIVE high for `width_ticks` from the last hal_at() on; ended by hardware even where the processor hangs. */
void hal_pulse(uint16_t width_ticks);
/* Keep 16 bytes over a reset. Queued like the others, and on its way before anything queued after it is carried out. */
void hal_store(const uint8_t store[HAL_STORE_BYTES]);

/* How many result bytes may be outstanding before hal_finish() has to be called. At least 256. */
size_t hal_result_room(void);

struct hal_results {
    const uint8_t *bytes;           /* valid until the next entry is queued */
    size_t count;
    uint8_t inputs;                 /* input pins as they are now, bits HWL_INPUT_… */
};

/* Wait, bounded, until everything queued has happened. False: the chips did not answer; nothing can be trusted. */
bool hal_finish(struct hal_results *results);

#endif
