/* Vector table and the first instructions after a reset. */
#include <stdint.h>
#include <string.h>

#include "port.h"
#include "registers.h"
#include "selects.h"
#include "system.h"

extern uint32_t link_stack_top, link_data_start, link_data_end, link_data_image, link_bss_start, link_bss_end;
extern int main(void);
/* Of the emulated shim; a board with real chips has none. */
void chips_interrupt(void) __attribute__((weak, alias("fault")));

/* Whatever goes wrong: every line to ground, then start again. */
static void fault(void)
{
    system_reset();
}

_Noreturn void reset(void);
_Noreturn void reset(void)
{
    pins_ground(); /* after a reset by software the pins may still be what they were */
    memcpy(&link_data_start, &link_data_image, (size_t)((uintptr_t)&link_data_end - (uintptr_t)&link_data_start));
    memset(&link_bss_start, 0, (size_t)((uintptr_t)&link_bss_end - (uintptr_t)&link_bss_start));
    (void)main();
    system_reset();
}

enum { EXCEPTIONS = 16, SYSTICK = 15, RESET = 1 };

typedef void handler(void);

struct vectors {
    uint32_t *stack_top; /* cppcheck-suppress unusedStructMember ; the core reads it */
    handler *handlers[EXCEPTIONS - 1 + INTERRUPTS]; /* cppcheck-suppress unusedStructMember ; so it does these */
};

#define EXCEPTION(number) ((number) - 1)
#define INTERRUPT(number) (EXCEPTIONS - 1 + (number))

__attribute__((section(".vectors"), used)) static const struct vectors vectors = {
    &link_stack_top,
    {
        [EXCEPTION(RESET)] = reset,
        [EXCEPTION(2) ... EXCEPTION(SYSTICK) - 1] = fault,
        [EXCEPTION(SYSTICK)] = system_tick_interrupt,
        [INTERRUPT(0)] = fault,
        [INTERRUPT(INTERRUPT_PVD)] = system_supply_interrupt,
        [INTERRUPT(INTERRUPT_PVD + 1) ... INTERRUPT(INTERRUPT_USART1 - 1)] = fault,
        [INTERRUPT(INTERRUPT_USART1)] = port_host_interrupt,
        [INTERRUPT(INTERRUPT_USART2)] = chips_interrupt,
        [INTERRUPT(INTERRUPT_USART2 + 1) ... INTERRUPT(INTERRUPTS - 1)] = fault,
    },
};
