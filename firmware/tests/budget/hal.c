/* The time line of the cycle budget: waits for nothing, and writes down what is done between two moments. */
#include <string.h>

#include "budget.h"

#include "../../hal/hal.h"
#include "../../hal/stm32f405/registers.h"
#include "../../hal/stm32f405/spi.h"

enum { RESULTS = 1024, DIVIDER_SHIFT = 3 };

struct budget_window budget_window[BUDGET_WINDOWS];
uint32_t budget_windows;

static bool with_spi, open;
static uint64_t last_ticks;
static uint32_t begun, excluded;
static struct budget_window current;
static uint8_t dummy[RESULTS];
static size_t dummy_count;

/* The linker puts these in front of the SPI queue (--wrap). */
void __real_hal_spi_write(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes);
void __real_hal_spi_read(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes, uint8_t skip);
void __real_hal_spi_scan(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *frame, uint8_t skip);
size_t __real_hal_result_room(void);
void __wrap_hal_spi_write(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes);
void __wrap_hal_spi_read(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes, uint8_t skip);
void __wrap_hal_spi_scan(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *frame, uint8_t skip);
size_t __wrap_hal_result_room(void);

void budget_start(void)
{
    reg_write(TIM2 + TIM_PSC, 0);
    reg_write(TIM2 + TIM_ARR, UINT32_MAX);
    reg_write(TIM2 + TIM_EGR, TIM_EGR_UG);
    reg_write(TIM2 + TIM_CR1, TIM_CR1_CEN);
    spi_start();
}

uint32_t budget_now(void)
{
    return reg_read(TIM2 + TIM_CNT);
}

void budget_begin(bool spi)
{
    with_spi = spi;
    open = false;
    budget_windows = 0;
    dummy_count = 0;
    memset(&current, 0, sizeof current);
}

/* ---- what is written down; its own instructions are taken off ---- */

static void note(uint16_t number, uint32_t frame_bytes, uint32_t frames)
{
    uint32_t start = budget_now();
    const struct select *select = select_of(number);
    uint32_t bus_megahertz = select->bus == 0 ? 84 : 42;
    uint32_t divider = 2u << (select->control >> DIVIDER_SHIFT & 7);
    uint32_t sent_bytes = frame_bytes == 3 && select->is_dac ? 4 : frame_bytes; /* as the SPI queue does */
    current.bus_nanoseconds[select->bus] += 8 * sent_bytes * frames * divider * 1000 / bus_megahertz;
    current.bus_frames[select->bus] += frames;
    excluded += budget_now() - start;
}

void __wrap_hal_spi_write(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes)
{
    note(select, frame_bytes, frames);
    if (with_spi)
        __real_hal_spi_write(select, frame_bytes, frames, bytes);
}

void __wrap_hal_spi_read(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes, uint8_t skip)
{
    note(select, frame_bytes, frames);
    dummy_count += (size_t)(frame_bytes - skip) * frames;
    if (with_spi)
        __real_hal_spi_read(select, frame_bytes, frames, bytes, skip);
}

void __wrap_hal_spi_scan(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *frame, uint8_t skip)
{
    note(select, frame_bytes, frames);
    dummy_count += (size_t)(frame_bytes - skip) * frames;
    if (with_spi)
        __real_hal_spi_scan(select, frame_bytes, frames, frame, skip);
}

size_t __wrap_hal_result_room(void)
{
    return RESULTS - dummy_count;
}

void hal_at(uint64_t bench_ticks)
{
    (void)spi_drain();
    uint32_t now = budget_now();
    if (open && budget_windows < BUDGET_WINDOWS) {
        current.ticks = (uint32_t)(bench_ticks - last_ticks);
        current.instructions = now - begun - excluded;
        budget_window[budget_windows++] = current;
    }
    memset(&current, 0, sizeof current);
    open = true;
    last_ticks = bench_ticks;
    excluded = 0;
    begun = budget_now();
}

void hal_pin(uint8_t pin, bool high)
{
    (void)spi_drain();
    pins_set(pin, high);
}

void hal_pulse(uint16_t width_ticks)
{
    (void)spi_drain();
    reg_write(TIM4 + TIM_ARR, width_ticks);
}

void hal_store(const uint8_t store[HAL_STORE_BYTES])
{
    (void)store;
}

bool hal_finish(struct hal_results *given)
{
    bool sound = spi_finish(&given->bytes, &given->count);
    if (!with_spi) {
        given->bytes = dummy;
        given->count = dummy_count;
    }
    given->inputs = 0;
    dummy_count = 0;
    current.finished = true;
    return sound;
}

bool hal_start(struct hal_boot *boot)
{
    memset(boot, 0, sizeof *boot);
    return true;
}
