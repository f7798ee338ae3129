/* The SPI queue: what goes over the wires, what comes back, and buses that stand still. */
#include "check.h"
#include "fake_registers.h"

#include <string.h>

#include "../hal/hal.h"
#include "../hal/stm32f405/selects.h"
#include "../hal/stm32f405/spi.h"
#include "../src/wiring.h"

enum { MOST_READS = 1000000, ROOM = 1024 };

static const uint8_t *results;
static size_t result_count;

static void start(void)
{
    registers_reset();
    spi_start();
}

static bool finish(void)
{
    return spi_finish(&results, &result_count);
}

#define CHECK_WIRE(bus, wanted)                                                               \
    do {                                                                                      \
        if (strcmp(register_spi_trace(bus), wanted) != 0) {                                   \
            check_failures++;                                                                 \
            fprintf(stderr, "%s:%d: \"%s\"\n", __FILE__, __LINE__, register_spi_trace(bus));  \
        }                                                                                     \
    } while (0)

static void a_word_to_a_dac_is_32_bits_with_8_in_front(void)
{
    const uint8_t words[] = {0x30, 0x12, 0x34, 0x3F, 0xAB, 0xCD};
    start();
    hal_spi_write(HWL_SELECT_COLUMN_DAC, 3, 2, words);
    CHECK(finish());
    CHECK_WIRE(0, "E0- 0030 1234 E0+ E0- 003f abcd E0+ ");
    CHECK_EQUAL(result_count, 0);
    CHECK_EQUAL(register_value(SPI1 + SPI_CR1) & (SPI_CR1_CPHA | SPI_CR1_CPOL | 0x38), SPI_CR1_BY_2);
}

static void a_chain_goes_out_in_one_frame(void)
{
    const uint8_t bytes[] = {1, 2, 3, 4}, odd[] = {5, 6, 7};
    start();
    hal_spi_write(HWL_SELECT_ROW_SELECT, 4, 1, bytes);
    hal_spi_write(HWL_SELECT_ROW_MASK, 3, 1, odd);
    CHECK(finish());
    CHECK_WIRE(2, "E10- 0102 0304 E10+ E11- 05 06 07 E11+ ");
}

static uint32_t bus_and_unit(uint32_t bus, uint32_t unit)
{
    return unit == 0 ? bus << 8 | 0x42 : 0;
}

static void scans_of_two_adcs_come_back_in_the_order_asked_for(void)
{
    const uint8_t no_op[4] = {0};
    start();
    register_spi_answer = bus_and_unit;
    hal_spi_scan(HWL_SELECT_ADC_LOW, 4, 2, no_op, 2);
    hal_spi_scan(HWL_SELECT_ADC_HIGH, 4, 1, no_op, 2);
    CHECK_EQUAL(hal_result_room(), ROOM - 6);
    CHECK(finish());
    CHECK_EQUAL(result_count, 6);
    CHECK(memcmp(results, "\1\x42\1\x42\2\x42", 6) == 0);
    CHECK_EQUAL(hal_result_room(), ROOM);
}

static uint32_t count_up(uint32_t bus, uint32_t unit)
{
    static uint32_t count;
    (void)bus;
    (void)unit;
    return ++count;
}

static void skipped_bytes_of_odd_frames_are_dropped(void)
{
    const uint8_t frames[] = {0x0B, 0, 0, 0x0B, 0, 0};
    start();
    register_spi_answer = count_up;
    hal_spi_read(HWL_SELECT_ADC_LOW, 3, 2, frames, 2);
    CHECK(finish());
    CHECK_EQUAL(result_count, 2);
    CHECK_EQUAL(results[0], 3);
    CHECK_EQUAL(results[1], 6);
}

static void more_than_fits_is_sent_on_the_way(void)
{
    uint8_t words[48];
    memset(words, 0x11, sizeof words);
    start();
    for (uint32_t i = 0; i < 40; i++)
        hal_spi_write(HWL_SELECT_INPUT_DAC, 3, 16, words);
    CHECK(finish());
    CHECK_EQUAL(register_writes_to(SPI1 + SPI_DR), 40 * 16 * 2);
}

static void every_chip_has_a_select_of_its_own(void)
{
    const struct select *found[64];
    size_t count = 0;
    for (uint32_t select = 0; select < 0x500; select++)
        if (select_of((uint16_t)select) != NULL)
            found[count++] = select_of((uint16_t)select);
    CHECK_EQUAL(count, 10 + 2 + 8 + 8);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            CHECK(found[i]->port != found[j]->port || found[i]->pin_bit != found[j]->pin_bit);
}

static void a_chip_that_is_not_there_is_told_at_the_end(void)
{
    const uint8_t byte = 0;
    start();
    hal_spi_write(HWL_SELECT_INPUT_DAC + 8, 1, 1, &byte);
    CHECK(!finish());
    CHECK(finish());
}

static void more_results_than_there_is_room_for_are_refused(void)
{
    const uint8_t frame[4] = {0};
    start();
    hal_spi_scan(HWL_SELECT_ADC_LOW, 4, ROOM / 2, frame, 2);
    hal_spi_scan(HWL_SELECT_ADC_LOW, 4, 1, frame, 2);
    CHECK(!finish());
    hal_spi_scan(HWL_SELECT_ADC_LOW, 4, 1, frame, 4);
    CHECK(!finish());
}

static void stands_still(void)
{
    const uint8_t word[3] = {0x30, 0, 0}, chain[2] = {0}, no_op[4] = {0};
    hal_spi_write(HWL_SELECT_COLUMN_DAC, 3, 1, word);
    hal_spi_write(HWL_SELECT_COLUMN_SELECT, 2, 1, chain);
    hal_spi_scan(HWL_SELECT_ADC_HIGH, 4, 1, no_op, 2);
    CHECK(!finish());
    CHECK(register_reads < MOST_READS);
    /* Selects that went down are up again, and nothing goes on. */
    CHECK_EQUAL(register_value(SPI1 + SPI_CR1) & SPI_CR1_SPE, 0);
    CHECK_EQUAL(register_value(SPI2 + SPI_CR1) & SPI_CR1_SPE, 0);
    CHECK_EQUAL(register_value(SPI3 + SPI_CR1) & SPI_CR1_SPE, 0);
    CHECK(strstr(register_spi_trace(0), "E0- ") != NULL);
}

static void a_transmitter_that_takes_nothing(void)
{
    start();
    register_spi_takes = false;
    stands_still();
    CHECK(strstr(register_spi_trace(0), "E0+ ") != NULL);
    CHECK(strstr(register_spi_trace(1), "E7+ ") != NULL);
}

static void an_answer_that_never_comes(void)
{
    start();
    register_spi_answers = false;
    stands_still();
    CHECK(strstr(register_spi_trace(2), "E4+ ") != NULL);
    register_spi_answers = true;
    const uint8_t no_op[4] = {0};
    hal_spi_scan(HWL_SELECT_ADC_HIGH, 4, 1, no_op, 2);
    CHECK(finish());
    CHECK_EQUAL(result_count, 2);
}

int main(void)
{
    RUN(a_word_to_a_dac_is_32_bits_with_8_in_front);
    RUN(a_chain_goes_out_in_one_frame);
    RUN(scans_of_two_adcs_come_back_in_the_order_asked_for);
    RUN(skipped_bytes_of_odd_frames_are_dropped);
    RUN(more_than_fits_is_sent_on_the_way);
    RUN(every_chip_has_a_select_of_its_own);
    RUN(a_chip_that_is_not_there_is_told_at_the_end);
    RUN(more_results_than_there_is_room_for_are_refused);
    RUN(a_transmitter_that_takes_nothing);
    RUN(an_answer_that_never_comes);
    return check_result();
}
