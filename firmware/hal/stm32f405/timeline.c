#include "timeline.h"

#include "registers.h"
#include "selects.h"
#include "spi.h"

#include "../../src/protocol.h"
#include "../../src/wiring.h"
#include "../hal.h"

enum {
    TICKS_A_MICROSECOND = HWL_TICK_HERTZ / 1000000,
    MOST_TICKS = 1000000,               /* waited for in one go: 0.1 s, well within the watchdog's time */
    STILL_READS = 1000,                 /* a timer that has not moved for so long is broken */
    PULSE_READS = 400000,               /* the longest pulse takes 7 ms */
    MOST_COUNTS = 65535,                /* of a pulse: TIM4 has 16 bits */
    FAST_MEGAHERTZ = 42                 /* above it TIM4 counts every second clock, so that 1.5 ms fit */
};

static struct {
    uint64_t ticks;                     /* of the last hal_at() */
    uint32_t count;                     /* of TIM2 at that moment */
    uint32_t remainder;                 /* of the conversion, in 1 / TICKS_A_MICROSECOND counts */
    uint32_t megahertz;                 /* of TIM2 */
    uint32_t pulse_megahertz;           /* of TIM4 */
    uint32_t late;
    bool runs, broken;
} line;

void timeline_start(uint32_t timer_hertz)
{
    uint32_t megahertz = timer_hertz / 1000000;
    uint32_t divider = megahertz > FAST_MEGAHERTZ ? 2 : 1;
    line.megahertz = megahertz;
    line.pulse_megahertz = megahertz / divider;
    line.late = 0;
    line.runs = line.broken = false;
    reg_enable(RCC_APB1ENR, RCC_APB1ENR_TIM2 | RCC_APB1ENR_TIM4);
    reg_write(TIM2 + TIM_PSC, 0);
    reg_write(TIM2 + TIM_ARR, UINT32_MAX);
    reg_write(TIM2 + TIM_EGR, TIM_EGR_UG);
    reg_write(TIM2 + TIM_CR1, TIM_CR1_CEN);
    reg_write(TIM4 + TIM_CCMR1, TIM_CCMR1_FORCE_LOW);
    reg_write(TIM4 + TIM_CR1, TIM_CR1_URS | TIM_CR1_OPM);
    reg_write(TIM4 + TIM_PSC, divider - 1);
    reg_write(TIM4 + TIM_CCR1, 1);
    reg_write(TIM4 + TIM_EGR, TIM_EGR_UG);
    reg_write(TIM4 + TIM_CCER, TIM_CCER_CC1E);
    pins_drive_by_timer();
}

/* ---- bench ticks ---- */

static void wait_for_count(uint32_t count)
{
    uint32_t now = reg_read(TIM2 + TIM_CNT), before = now, still = 0;
    if (now - count - 1 < UINT32_MAX / 2) {
        line.late++;
        line.count = now;
        return;
    }
    while (count - now - 1 < UINT32_MAX / 2) {
        now = reg_read(TIM2 + TIM_CNT);
        still = now == before ? still + 1 : 0;
        before = now;
        if (still > STILL_READS) {
            line.broken = true;
            return;
        }
    }
}

static void wait_ticks(uint32_t ticks)
{
    uint32_t parts = ticks * line.megahertz + line.remainder;
    line.count += parts / TICKS_A_MICROSECOND;
    line.remainder = parts % TICKS_A_MICROSECOND;
    wait_for_count(line.count);
}

void hal_at(uint64_t bench_ticks)
{
    if (!spi_drain() || line.broken)
        return;
    if (!line.runs) {
        line.runs = true;
        line.count = reg_read(TIM2 + TIM_CNT);
        line.remainder = 0;
    } else {
        uint64_t left = bench_ticks > line.ticks ? bench_ticks - line.ticks : 0;
        for (; left > MOST_TICKS && !line.broken; left -= MOST_TICKS) {
            wait_ticks(MOST_TICKS);
            hal_feed_watchdog();
        }
        wait_ticks((uint32_t)left);
    }
    line.ticks = bench_ticks;
}

uint32_t timeline_late(void)
{
    return line.late;
}

/* ---- pins and pulses ---- */

static void drive(bool high)
{
    /* Also ends a pulse that is under way: what is to be low is low at once. */
    reg_write(TIM4 + TIM_CCMR1, high ? TIM_CCMR1_FORCE_HIGH : TIM_CCMR1_FORCE_LOW);
    reg_write(TIM4 + TIM_CR1, TIM_CR1_URS | TIM_CR1_OPM);
    reg_write(TIM4 + TIM_CNT, 0);
}

void hal_pin(uint8_t pin, bool high)
{
    bool sound = spi_drain() && !line.broken;
    if (high && !sound && pin != HWL_PIN_LDAC)
        return; /* nothing is driven on the strength of words that may not have arrived */
    if (pin == HWL_PIN_DRIVE)
        drive(high);
    else
        pins_set(pin, high);
}

void hal_pulse(uint16_t width_ticks)
{
    uint32_t counts = (width_ticks * line.pulse_megahertz + TICKS_A_MICROSECOND / 2) / TICKS_A_MICROSECOND;
    if (!spi_drain() || line.broken)
        return;
    if (counts == 0 || counts > MOST_COUNTS) {
        line.broken = true;
        return;
    }
    drive(false);
    /* High from count 1 to the last, low at 0, where one-pulse mode stops. */
    reg_write(TIM4 + TIM_ARR, counts);
    reg_write(TIM4 + TIM_CCMR1, TIM_CCMR1_PWM2);
    reg_write(TIM4 + TIM_CR1, TIM_CR1_URS | TIM_CR1_OPM | TIM_CR1_CEN);
}

bool timeline_finish(void)
{
    uint32_t reads = PULSE_READS;
    while ((reg_read(TIM4 + TIM_CR1) & TIM_CR1_CEN) != 0 && --reads > 0)
        ;
    if (reads == 0)
        drive(false);
    bool sound = !line.broken && reads > 0;
    line.runs = line.broken = false;
    return sound;
}
