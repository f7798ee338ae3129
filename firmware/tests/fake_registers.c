#include "fake_registers.h"

#include <stdio.h>
#include <string.h>

enum { ADDRESSES = 256, WRITES = 1 << 16, RULES = 16, TRACE = 1 << 14, HEARD = 4096, SPI_BUSES = 3, PINS = 16 };

static struct {
    uint32_t address, value;
} memory[ADDRESSES];
static struct {
    uint32_t address, value;
} writes[WRITES];
static struct {
    uint32_t cause, bits, effect, flags;
} rules[RULES];
static size_t addresses, write_count, rule_count;
static char traces[SPI_BUSES][TRACE];
static size_t trace_bytes[SPI_BUSES];
static bool answer_waits[SPI_BUSES];
static uint32_t answers[SPI_BUSES];
static uint8_t heard[HEARD];
static size_t heard_count, heard_taken;
static uint32_t pulse_reads_left;

uint32_t register_reads, register_timer_step, register_pulse_reads;
bool register_usart_sends, register_spi_takes, register_spi_answers, register_masked;
uint32_t (*register_spi_answer)(uint32_t bus, uint32_t unit);
jmp_buf register_reset_jump;
void (*register_sleep)(void);

static const uint32_t spi_bases[SPI_BUSES] = {SPI1, SPI2, SPI3};

void registers_reset(void)
{
    addresses = write_count = rule_count = heard_count = heard_taken = 0;
    memset(trace_bytes, 0, sizeof trace_bytes);
    memset(traces, 0, sizeof traces);
    memset(answer_waits, 0, sizeof answer_waits);
    register_reads = pulse_reads_left = 0;
    register_timer_step = 1;
    register_pulse_reads = 3;
    register_usart_sends = register_spi_takes = register_spi_answers = true;
    register_spi_answer = NULL;
    register_sleep = NULL;
    register_masked = false;
}

static uint32_t *at(uint32_t address)
{
    for (size_t i = 0; i < addresses; i++)
        if (memory[i].address == address)
            return &memory[i].value;
    memory[addresses].address = address;
    memory[addresses].value = 0;
    return &memory[addresses++].value;
}

uint32_t register_value(uint32_t address)
{
    uint32_t value = *at(address);
    for (size_t i = 0; i < rule_count; i++)
        if (rules[i].effect == address && (*at(rules[i].cause) & rules[i].bits) == rules[i].bits)
            value |= rules[i].flags;
    return value;
}

void register_preset(uint32_t address, uint32_t value)
{
    *at(address) = value;
}

void register_follows(uint32_t cause, uint32_t bits, uint32_t effect, uint32_t flags)
{
    rules[rule_count].cause = cause;
    rules[rule_count].bits = bits;
    rules[rule_count].effect = effect;
    rules[rule_count++].flags = flags;
}

void registers_start_clocks(void)
{
    register_follows(RCC_CR, RCC_CR_HSEON, RCC_CR, RCC_CR_HSERDY);
    register_follows(RCC_CR, RCC_CR_PLLON, RCC_CR, RCC_CR_PLLRDY);
    register_follows(RCC_CFGR, RCC_CFGR_SW_PLL, RCC_CFGR, RCC_CFGR_SWS_PLL);
}

uint32_t register_write_number(uint32_t address, size_t n)
{
    for (size_t i = 0; i < write_count; i++)
        if (writes[i].address == address && n-- == 0)
            return writes[i].value;
    return UINT32_MAX;
}

size_t register_writes_to(uint32_t address)
{
    size_t count = 0;
    for (size_t i = 0; i < write_count; i++)
        count += writes[i].address == address;
    return count;
}

const char *register_spi_trace(uint32_t bus)
{
    return traces[bus];
}

void register_usart_hears(const char *text)
{
    memcpy(heard + heard_count, text, strlen(text));
    heard_count += strlen(text);
}

/* ---- behaviour ---- */

static void trace(uint32_t bus, const char *format, uint32_t first, uint32_t second)
{
    size_t room = TRACE - trace_bytes[bus];
    trace_bytes[bus] += (size_t)snprintf(traces[bus] + trace_bytes[bus], room, format, first, second);
}

/* Which bus a chip select belongs to is not known here: it is written down on all of them. */
static void trace_selects(uint32_t port, uint32_t bits)
{
    for (uint32_t pin = 0; pin < PINS; pin++)
        for (uint32_t bus = 0; bus < SPI_BUSES; bus++) {
            if ((bits >> pin & 1) != 0)
                trace(bus, "%c%u+ ", 'A' + (port - GPIOA) / (GPIOB - GPIOA), pin);
            if ((bits >> (pin + PINS) & 1) != 0)
                trace(bus, "%c%u- ", 'A' + (port - GPIOA) / (GPIOB - GPIOA), pin);
        }
}

static bool spi_read(uint32_t address, uint32_t *value)
{
    for (uint32_t bus = 0; bus < SPI_BUSES; bus++) {
        if (address == spi_bases[bus] + SPI_SR) {
            *value = (register_spi_takes ? SPI_SR_TXE : SPI_SR_BSY) |
                     (register_spi_answers && answer_waits[bus] ? SPI_SR_RXNE : 0);
            return true;
        }
        if (address == spi_bases[bus] + SPI_DR) {
            answer_waits[bus] = false;
            *value = answers[bus];
            return true;
        }
    }
    return false;
}

uint32_t reg_read(uint32_t address)
{
    uint32_t value;
    register_reads++;
    if (spi_read(address, &value))
        return value;
    if (address == TIM2 + TIM_CNT)
        return *at(address) += register_timer_step;
    if (address == TIM4 + TIM_CR1 && (*at(address) & TIM_CR1_CEN) != 0 && pulse_reads_left-- == 0)
        *at(address) &= ~TIM_CR1_CEN;
    if (address == USART1 + USART_SR)
        return (register_usart_sends ? USART_SR_TXE : 0) | (heard_taken < heard_count ? USART_SR_RXNE : 0);
    if (address == USART1 + USART_DR)
        return heard_taken < heard_count ? heard[heard_taken++] : 0;
    return register_value(address);
}

void reg_write(uint32_t address, uint32_t value)
{
    if (write_count < WRITES) {
        writes[write_count].address = address;
        writes[write_count++].value = value;
    }
    *at(address) = value;
    if (address == SCB_AIRCR && value == SCB_AIRCR_RESET)
        longjmp(register_reset_jump, 1);
    if (address == TIM4 + TIM_CR1 && (value & TIM_CR1_CEN) != 0)
        pulse_reads_left = register_pulse_reads;
    for (uint32_t port = GPIOC; port <= GPIOE; port += GPIOB - GPIOA)
        if (address == port + GPIO_BSRR)
            trace_selects(port, value);
    for (uint32_t bus = 0; bus < SPI_BUSES; bus++)
        if (address == spi_bases[bus] + SPI_DR) {
            bool wide = (*at(spi_bases[bus] + SPI_CR1) & SPI_CR1_DFF) != 0;
            trace(bus, wide ? "%04x " : "%02x ", value, 0);
            answers[bus] = register_spi_answer ? register_spi_answer(bus, value) : 0;
            answer_waits[bus] = true;
        }
}

void core_mask_interrupts(void)
{
    register_masked = true;
}

void core_unmask_interrupts(void)
{
    register_masked = false;
}

void core_wait_for_interrupt(void)
{
    if (register_sleep)
        register_sleep();
}
