#include "selects.h"

#include "registers.h"

#include "../../src/wiring.h"

/* What is on which pin (README.md shows the same):
 *   PA5  PA6  PA7    SPI1 SCK MISO MOSI      PA9  PA10   host port TX RX       PB13 PB14 PB15   SPI2 SCK MISO MOSI
 *   PC10 PC11 PC12   SPI3 SCK MISO MOSI      PD0 ENABLE  PD1 LDAC  PD2 CT      PD12 DRIVE (TIM4 channel 1)
 *   PE0…PE11, PC0…PC7, PD3…PD10              chip selects, below
 * Speeds: LTC2668 up to 50 MHz; ADS8688 up to 17 MHz; a chain of ADG1414 gives its data 40 ns after the rising edge and
 * takes it at the falling one, so 10.5 MHz; ADT7320 up to 5 MHz. SPI1 counts from 84 MHz, SPI2 and SPI3 from 42 MHz.
 * Input DACs take turns on the buses, so that neighbouring rows are sent side by side, half of them by the fast bus. */

/* Port, pin, control, bus (0 SPI1, 1 SPI2, 2 SPI3), whether it is a DAC. */
#define MASTER (SPI_CR1_MSTR | SPI_CR1_SSM | SPI_CR1_SSI | SPI_CR1_SPE)
#define DAC (MASTER | SPI_CR1_BY_2)                                             /* mode 0, 42 or 21 MHz */
#define ADC (MASTER | SPI_CR1_BY_4 | SPI_CR1_CPHA)                              /* mode 1, 10.5 MHz */
#define CHAIN (MASTER | SPI_CR1_BY_4 | SPI_CR1_CPHA)                            /* mode 1, 10.5 MHz */
#define CHAIN_SPI1 (MASTER | SPI_CR1_BY_8 | SPI_CR1_CPHA)                       /* the same on SPI1 */
#define SENSOR (MASTER | SPI_CR1_BY_16 | SPI_CR1_CPOL | SPI_CR1_CPHA)           /* mode 3, 2.6 MHz */

static const struct select fixed[] = {
    [HWL_SELECT_COLUMN_DAC] = {GPIOE, 1u << 0, DAC, 0, true},
    [HWL_SELECT_GATE_DAC] = {GPIOE, 1u << 1, DAC, 1, true},
    [HWL_SELECT_BIAS_DAC] = {GPIOE, 1u << 2, DAC, 0, true},
    [HWL_SELECT_ADC_LOW] = {GPIOE, 1u << 3, ADC, 1, false},
    [HWL_SELECT_ADC_HIGH] = {GPIOE, 1u << 4, ADC, 2, false},
    [HWL_SELECT_TEMPERATURE] = {GPIOE, 1u << 5, SENSOR, 1, false},
    [HWL_SELECT_MODE_SWITCHES] = {GPIOE, 1u << 6, CHAIN, 2, false},
    [HWL_SELECT_COLUMN_SELECT] = {GPIOE, 1u << 7, CHAIN, 1, false},
    [HWL_SELECT_COLUMN_MASK] = {GPIOE, 1u << 8, CHAIN, 1, false},
    [HWL_SELECT_FEEDBACK] = {GPIOE, 1u << 9, CHAIN_SPI1, 0, false},
};
static const struct select row_select = {GPIOE, 1u << 10, CHAIN, 2, false};
static const struct select row_mask = {GPIOE, 1u << 11, CHAIN, 2, false};
static const struct select compensation[] = {
    {GPIOC, 1u << 0, CHAIN, 1, false}, {GPIOC, 1u << 1, CHAIN, 2, false},
    {GPIOC, 1u << 2, CHAIN, 1, false}, {GPIOC, 1u << 3, CHAIN, 2, false},
    {GPIOC, 1u << 4, CHAIN, 1, false}, {GPIOC, 1u << 5, CHAIN, 2, false},
    {GPIOC, 1u << 6, CHAIN, 1, false}, {GPIOC, 1u << 7, CHAIN, 2, false},
};
static const struct select input_dac[] = {
    {GPIOD, 1u << 3, DAC, 0, true}, {GPIOD, 1u << 4, DAC, 1, true},
    {GPIOD, 1u << 5, DAC, 0, true}, {GPIOD, 1u << 6, DAC, 2, true},
    {GPIOD, 1u << 7, DAC, 0, true}, {GPIOD, 1u << 8, DAC, 1, true},
    {GPIOD, 1u << 9, DAC, 0, true}, {GPIOD, 1u << 10, DAC, 2, true},
};

enum {
    ENABLE_BIT = 1 << 0, LDAC_BIT = 1 << 1, CT_BIT = 1 << 2, DRIVE_PIN = 12, DRIVE_BIT = 1 << DRIVE_PIN,
    SELECTS_C = 0x00FF, SELECTS_D = 0x07F8, SELECTS_E = 0x0FFF,
    RESET_SHIFT = 16,                   /* in GPIO_BSRR */
    OUTPUT = 1, ALTERNATE = 2, AF_TIM4 = 2, AF_SPI1_2 = 5, AF_SPI3 = 6, AF_USART = 7
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

const struct select *select_of(uint16_t select)
{
    if (select >= HWL_SELECT_INPUT_DAC && select < HWL_SELECT_INPUT_DAC + COUNT(input_dac))
        return &input_dac[select - HWL_SELECT_INPUT_DAC];
    if (select < COUNT(fixed))
        return &fixed[select];
    if (select == HWL_SELECT_ROW_SELECT)
        return &row_select;
    if (select == HWL_SELECT_ROW_MASK)
        return &row_mask;
    if (select >= HWL_SELECT_COMPENSATION && select < HWL_SELECT_COMPENSATION + COUNT(compensation))
        return &compensation[select - HWL_SELECT_COMPENSATION];
    return NULL;
}

void pins_ground(void)
{
    reg_write(GPIOD + GPIO_BSRR, (uint32_t)(ENABLE_BIT | DRIVE_BIT) << RESET_SHIFT | LDAC_BIT);
    /* DRIVE may belong to its timer: force that low, and take the pin back as a plain output. */
    reg_write(TIM4 + TIM_CCMR1, TIM_CCMR1_FORCE_LOW);
    reg_change(GPIOD + GPIO_MODER, 3u << 2 * DRIVE_PIN, (uint32_t)OUTPUT << 2 * DRIVE_PIN);
}

static void make(uint32_t port, uint32_t bits, uint32_t mode, uint32_t function)
{
    for (uint32_t pin = 0; pin < 16; pin++) {
        if ((bits >> pin & 1) == 0)
            continue;
        uint32_t half = pin < 8 ? GPIO_AFRL : GPIO_AFRH;
        reg_change(port + half, 15u << pin % 8 * 4, function << pin % 8 * 4);
        reg_change(port + GPIO_OSPEEDR, 3u << 2 * pin, 2u << 2 * pin); /* fast, for edges of 42 MHz */
        reg_change(port + GPIO_MODER, 3u << 2 * pin, mode << 2 * pin);
    }
}

void pins_start(void)
{
    reg_enable(RCC_AHB1ENR, RCC_AHB1ENR_GPIOA_TO_E);
    pins_ground();
    reg_write(GPIOC + GPIO_BSRR, SELECTS_C);
    reg_write(GPIOD + GPIO_BSRR, SELECTS_D);
    reg_write(GPIOE + GPIO_BSRR, SELECTS_E);
    make(GPIOD, ENABLE_BIT | LDAC_BIT | DRIVE_BIT | SELECTS_D, OUTPUT, 0);
    make(GPIOC, SELECTS_C, OUTPUT, 0);
    make(GPIOE, SELECTS_E, OUTPUT, 0);
    make(GPIOA, 1u << 5 | 1u << 6 | 1u << 7, ALTERNATE, AF_SPI1_2);
    make(GPIOB, 1u << 13 | 1u << 14 | 1u << 15, ALTERNATE, AF_SPI1_2);
    make(GPIOC, 1u << 10 | 1u << 11 | 1u << 12, ALTERNATE, AF_SPI3);
    make(GPIOA, 1u << 9 | 1u << 10, ALTERNATE, AF_USART);
    /* Pulled up: CT reads too hot where there is no sensor, RX rests where no host is plugged in. */
    reg_change(GPIOD + GPIO_PUPDR, 3u << 2 * 2, 1u << 2 * 2);
    reg_change(GPIOA + GPIO_PUPDR, 3u << 2 * 10, 1u << 2 * 10);
}

void pins_set(uint8_t pin, bool high)
{
    uint32_t bit = pin == HWL_PIN_ENABLE ? ENABLE_BIT : LDAC_BIT;
    reg_write(GPIOD + GPIO_BSRR, high ? bit : bit << RESET_SHIFT);
}

uint8_t pins_inputs(void)
{
    return (reg_read(GPIOD + GPIO_IDR) & CT_BIT) != 0 ? 1u << HWL_INPUT_OVERTEMPERATURE : 0;
}

void pins_drive_by_timer(void)
{
    make(GPIOD, DRIVE_BIT, ALTERNATE, AF_TIM4);
}
