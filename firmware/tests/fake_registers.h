/* Registers of the STM32F405 for unit tests: memory that remembers, with as much behaviour as the firmware waits for.
 * A flag that nothing raises never comes. */
#ifndef HWLOOP_FAKE_REGISTERS_H
#define HWLOOP_FAKE_REGISTERS_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../hal/stm32f405/registers.h"

void registers_reset(void);                     /* all 0, no behaviour, nothing remembered */
uint32_t register_value(uint32_t address);
void register_preset(uint32_t address, uint32_t value);
/* While `bits` are set in `cause`, `flags` read as set in `effect`. */
void register_follows(uint32_t cause, uint32_t bits, uint32_t effect, uint32_t flags);
void registers_start_clocks(void);              /* crystal, PLL and clock switch do as they are told */

extern uint32_t register_reads;                 /* since registers_reset() */
/* The n-th write to `address` from the beginning; UINT32_MAX where there are fewer. */
uint32_t register_write_number(uint32_t address, size_t n);
size_t register_writes_to(uint32_t address);

/* ---- what moves by itself ---- */
extern uint32_t register_timer_step;            /* of TIM2 at each read of its count */
extern uint32_t register_pulse_reads;           /* reads of TIM4_CR1 until a pulse is over */
extern bool register_usart_sends;               /* TXE */
extern bool register_spi_takes;                 /* TXE and BSY come and go */
extern bool register_spi_answers;               /* RXNE comes */
/* What a chip answers to a unit; NULL: 0. `bus` 0…2. */
extern uint32_t (*register_spi_answer)(uint32_t bus, uint32_t unit);
void register_usart_hears(const char *text);    /* USART1; its interrupt is for the test to call */

/* What went over a bus, in words: "E0- 0004 E0+" is chip select pin 0 of port E low, a unit, and high again. */
const char *register_spi_trace(uint32_t bus);

/* Where a write to the reset register jumps to; and what sleeping does. */
extern jmp_buf register_reset_jump;
extern void (*register_sleep)(void);
extern bool register_masked;                    /* interrupts are */

#endif
