/* The body of hal.h with real chips: start, what survives a reset, and the end of a queue. */
#include "../hal.h"

#include "clock.h"
#include "port.h"
#include "registers.h"
#include "selects.h"
#include "spi.h"
#include "system.h"
#include "timeline.h"

#include "../../src/bytes.h"

enum { BACKUP_READS = 100000 };

/* The page behind the image, written once with the board (README.md): a magic word, then the serial number. */
#define SERIALS 0x08010000u
#define SERIALS_MAGIC 0x4E534C48u   /* "HLSN" */

static void start_backup(void)
{
    reg_enable(RCC_APB1ENR, RCC_APB1ENR_PWR);
    reg_set(PWR_CR, PWR_CR_DBP);
    reg_enable(RCC_AHB1ENR, RCC_AHB1ENR_BKPSRAM);
    reg_set(PWR_CSR, PWR_CSR_BRE);
    /* Without its regulator the memory still keeps what it has while the supply is there: most resets. */
    (void)clock_wait(PWR_CSR, PWR_CSR_BRR, PWR_CSR_BRR, BACKUP_READS);
}

bool hal_start(struct hal_boot *boot)
{
    pins_start();
    struct clocks clocks = clock_start();
    *boot = (struct hal_boot){.reset_cause = system_reset_cause()};
    system_start(clocks.core_hertz);
    port_start(clocks.apb2_hertz);
    spi_start();
    timeline_start(clocks.timer_hertz);
    start_backup();
    hal_feed_watchdog();
    if (reg_read(SERIALS) == SERIALS_MAGIC)
        boot->board_serial = reg_read(SERIALS + 4);
    for (uint32_t i = 0; i < HAL_STORE_BYTES; i += 4)
        put_u32(boot->store + i, reg_read(BACKUP_SRAM + i));
    return system_watch_supply();
}

void hal_store(const uint8_t store[HAL_STORE_BYTES])
{
    (void)spi_drain();
    for (uint32_t i = 0; i < HAL_STORE_BYTES; i += 4)
        reg_write(BACKUP_SRAM + i, get_u32(store + i));
}

bool hal_finish(struct hal_results *given)
{
    bool sound = spi_finish(&given->bytes, &given->count);
    sound = timeline_finish() && sound;
    given->inputs = pins_inputs();
    return sound;
}
