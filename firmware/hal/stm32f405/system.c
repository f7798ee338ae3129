#include "system.h"

#include "port.h"
#include "registers.h"
#include "selects.h"

#include "../../src/protocol.h"
#include "../hal.h"

enum {
    WATCHDOG_RELOAD = 1000,             /* of LSI / 16, 2 kHz: 0.5 s, and 0.34 to 0.94 s as the oscillator varies */
    WATCHDOG_READS = 100000,            /* the registers take some cycles of LSI: 200 us */
    SUPPLY_READS = 100000,
    IDLE_MILLISECONDS = 10
};
#define BROWN_OUT_MARK 0x4C4F5721u

static volatile uint32_t milliseconds;
/* Survives a reset that keeps the supply: start-up code leaves this section alone. */
static uint32_t supply_mark __attribute__((section(".noinit")));

static void priority(enum interrupt interrupt, uint32_t level)
{
    uint32_t address = NVIC_IPR + (uint32_t)interrupt / 4 * 4, shift = (uint32_t)interrupt % 4 * 8;
    reg_change(address, 255u << shift, level << 4 << shift);
}

static void start_watchdog(void)
{
    reg_write(IWDG_KR, IWDG_KEY_START);
    reg_write(IWDG_KR, IWDG_KEY_UNLOCK);
    reg_write(IWDG_PR, IWDG_PR_BY_16);
    reg_write(IWDG_RLR, WATCHDOG_RELOAD);
    /* Where it does not come, the reset values hold: LSI / 4 and 4095, which is 0.5 s too. */
    (void)clock_wait(IWDG_SR, UINT32_MAX, 0, WATCHDOG_READS);
    hal_feed_watchdog();
}

void system_start(uint32_t core_hertz)
{
    milliseconds = 0;
    reg_write(SYSTICK_LOAD, core_hertz / 1000 - 1);
    reg_write(SYSTICK_VAL, 0);
    reg_write(SCB_SHPR3, 2u << 28); /* SysTick below the ports, the ports below the supply */
    reg_write(SYSTICK_CTRL, SYSTICK_CTRL_ENABLE | SYSTICK_CTRL_TICKINT | SYSTICK_CTRL_CORE_CLOCK);
    priority(INTERRUPT_PVD, 0);
    priority(INTERRUPT_USART1, 1);
    priority(INTERRUPT_USART2, 1);
    start_watchdog();
}

bool system_watch_supply(void)
{
    reg_enable(RCC_APB1ENR, RCC_APB1ENR_PWR);
    reg_set(PWR_CR, PWR_CR_PLS_2V9 | PWR_CR_PVDE);
    bool high = clock_wait(PWR_CSR, PWR_CSR_PVDO, 0, SUPPLY_READS);
    /* Armed also where the supply is slow: what it does next is what matters. */
    reg_write(EXTI_PR, EXTI_PVD);
    reg_set(EXTI_RTSR, EXTI_PVD);
    reg_set(EXTI_IMR, EXTI_PVD);
    reg_write(NVIC_ISER, 1u << INTERRUPT_PVD);
    return high;
}

uint8_t system_reset_cause(void)
{
    uint32_t flags = reg_read(RCC_CSR);
    bool supply_fell = supply_mark == BROWN_OUT_MARK;
    supply_mark = 0;
    reg_set(RCC_CSR, RCC_CSR_RMVF);
    if ((flags & RCC_CSR_PORRST) != 0)
        return HWL_RESET_CAUSE_POWER;
    if ((flags & RCC_CSR_BORRST) != 0 || supply_fell)
        return HWL_RESET_CAUSE_BROWN_OUT;
    if ((flags & (RCC_CSR_IWDGRST | RCC_CSR_WWDGRST)) != 0)
        return HWL_RESET_CAUSE_WATCHDOG;
    if ((flags & RCC_CSR_SFTRST) != 0)
        return HWL_RESET_CAUSE_SOFTWARE;
    return (flags & RCC_CSR_PINRST) != 0 ? HWL_RESET_CAUSE_PIN : HWL_RESET_CAUSE_POWER;
}

void system_reset(void)
{
    pins_ground();
    reg_write(SCB_AIRCR, SCB_AIRCR_RESET);
    for (;;)
        ; /* the reset comes, or else the watchdog */
}

void system_tick_interrupt(void)
{
    milliseconds++;
}

void system_supply_interrupt(void)
{
    supply_mark = BROWN_OUT_MARK;
    system_reset();
}

uint32_t hal_milliseconds(void)
{
    return milliseconds;
}

void hal_feed_watchdog(void)
{
    reg_write(IWDG_KR, IWDG_KEY_FEED);
}

/* The look and the sleep are one step: an interrupt between the two stays pending and ends the sleep at once. */
void hal_idle(void)
{
    uint32_t start = milliseconds;
    bool wait = true;
    while (wait) {
        core_mask_interrupts();
        wait = port_is_empty() && milliseconds - start < IDLE_MILLISECONDS;
        if (wait)
            core_wait_for_interrupt();
        core_unmask_interrupts();
    }
}
