/* Registers of the STM32F405 that this board uses (ST RM0090; core registers: ARMv7-M). Every access goes through
 * reg_read and reg_write, so that tests on a PC can put their own registers behind them (HWL_FAKE_REGISTERS). */
#ifndef HWLOOP_REGISTERS_H
#define HWLOOP_REGISTERS_H

#include <stdint.h>

#ifdef HWL_FAKE_REGISTERS
uint32_t reg_read(uint32_t address);
void reg_write(uint32_t address, uint32_t value);
void core_mask_interrupts(void);
void core_unmask_interrupts(void);
void core_wait_for_interrupt(void);
#else
static inline uint32_t reg_read(uint32_t address)
{
    return *(volatile uint32_t *)address;
}

static inline void reg_write(uint32_t address, uint32_t value)
{
    *(volatile uint32_t *)address = value;
}

static inline void core_mask_interrupts(void)
{
    __asm volatile("cpsid i" ::: "memory");
}

static inline void core_unmask_interrupts(void)
{
    __asm volatile("cpsie i" ::: "memory");
}

/* Wakes on an interrupt that is pending even while interrupts are masked. */
static inline void core_wait_for_interrupt(void)
{
    __asm volatile("dsb\n\twfi" ::: "memory");
}
#endif

static inline void reg_set(uint32_t address, uint32_t bits)
{
    reg_write(address, reg_read(address) | bits);
}

static inline void reg_clear(uint32_t address, uint32_t bits)
{
    reg_write(address, reg_read(address) & ~bits);
}

/* Replace the bits of `mask`. */
static inline void reg_change(uint32_t address, uint32_t mask, uint32_t bits)
{
    reg_write(address, (reg_read(address) & ~mask) | bits);
}

/* Switch on the clock of a peripheral (RCC_…ENR). It answers two cycles later; the read waits for them. */
static inline void reg_enable(uint32_t address, uint32_t bits)
{
    reg_set(address, bits);
    (void)reg_read(address);
}

/* ---- TIM2, TIM4 ---- */
#define TIM2 0x40000000u
#define TIM4 0x40000800u
#define TIM_CR1 0x00u
#define TIM_CR1_CEN 0x0001u
#define TIM_CR1_URS 0x0004u
#define TIM_CR1_OPM 0x0008u
#define TIM_EGR 0x14u
#define TIM_EGR_UG 0x0001u
#define TIM_CCMR1 0x18u
#define TIM_CCMR1_FORCE_LOW 0x0040u
#define TIM_CCMR1_FORCE_HIGH 0x0050u
#define TIM_CCMR1_PWM2 0x0070u
#define TIM_CCER 0x20u
#define TIM_CCER_CC1E 0x0001u
#define TIM_CNT 0x24u
#define TIM_PSC 0x28u
#define TIM_ARR 0x2Cu
#define TIM_CCR1 0x34u

/* ---- IWDG ---- */
#define IWDG_KR 0x40003000u
#define IWDG_PR 0x40003004u
#define IWDG_RLR 0x40003008u
#define IWDG_SR 0x4000300Cu
#define IWDG_KEY_FEED 0xAAAAu
#define IWDG_KEY_UNLOCK 0x5555u
#define IWDG_KEY_START 0xCCCCu
#define IWDG_PR_BY_16 2u

/* ---- SPI ---- */
#define SPI1 0x40013000u
#define SPI2 0x40003800u
#define SPI3 0x40003C00u
#define SPI_CR1 0x00u
#define SPI_CR1_CPHA 0x0001u
#define SPI_CR1_CPOL 0x0002u
#define SPI_CR1_MSTR 0x0004u
#define SPI_CR1_BY_2 0x0000u
#define SPI_CR1_BY_4 0x0008u
#define SPI_CR1_BY_8 0x0010u
#define SPI_CR1_BY_16 0x0018u
#define SPI_CR1_SPE 0x0040u
#define SPI_CR1_SSI 0x0100u
#define SPI_CR1_SSM 0x0200u
#define SPI_CR1_DFF 0x0800u     /* 16 bits at a time */
#define SPI_SR 0x08u
#define SPI_SR_RXNE 0x0001u
#define SPI_SR_TXE 0x0002u
#define SPI_SR_BSY 0x0080u
#define SPI_DR 0x0Cu

/* ---- USART ---- */
#define USART1 0x40011000u
#define USART2 0x40004400u
#define USART_SR 0x00u
#define USART_SR_RXNE 0x0020u
#define USART_SR_TXE 0x0080u
#define USART_DR 0x04u
#define USART_BRR 0x08u
#define USART_CR1 0x0Cu
#define USART_CR1_RE 0x0004u
#define USART_CR1_TE 0x0008u
#define USART_CR1_RXNEIE 0x0020u
#define USART_CR1_UE 0x2000u

/* ---- PWR, EXTI ---- */
#define PWR_CR 0x40007000u
#define PWR_CR_PVDE 0x0010u
#define PWR_CR_PLS_2V9 0x00E0u
#define PWR_CR_DBP 0x0100u
#define PWR_CR_VOS 0x4000u
#define PWR_CSR 0x40007004u
#define PWR_CSR_PVDO 0x0004u
#define PWR_CSR_BRR 0x0008u
#define PWR_CSR_BRE 0x0200u
#define EXTI_IMR 0x40013C00u
#define EXTI_RTSR 0x40013C08u
#define EXTI_PR 0x40013C14u
#define EXTI_PVD 0x00010000u

/* ---- GPIO ---- */
#define GPIOA 0x40020000u
#define GPIOB 0x40020400u
#define GPIOC 0x40020800u
#define GPIOD 0x40020C00u
#define GPIOE 0x40021000u
#define GPIO_MODER 0x00u
#define GPIO_OSPEEDR 0x08u
#define GPIO_PUPDR 0x0Cu
#define GPIO_IDR 0x10u
#define GPIO_BSRR 0x18u     /* low half sets, high half resets */
#define GPIO_AFRL 0x20u
#define GPIO_AFRH 0x24u

/* ---- RCC, FLASH ---- */
#define RCC_CR 0x40023800u
#define RCC_CR_HSEON 0x00010000u
#define RCC_CR_CSSON 0x00080000u
#define RCC_CR_HSERDY 0x00020000u
#define RCC_CR_PLLON 0x01000000u
#define RCC_CR_PLLRDY 0x02000000u
#define RCC_PLLCFGR 0x40023804u
#define RCC_PLLCFGR_SRC_HSE 0x00400000u
#define RCC_CFGR 0x40023808u
#define RCC_CFGR_SW_PLL 0x2u
#define RCC_CFGR_SW 0x3u
#define RCC_CFGR_SWS 0xCu
#define RCC_CFGR_SWS_PLL 0x8u
#define RCC_CFGR_APB1_BY_4 0x1400u
#define RCC_CFGR_APB2_BY_2 0x8000u
#define RCC_CFGR_PRESCALERS 0xFCF0u
#define RCC_AHB1ENR 0x40023830u
#define RCC_AHB1ENR_GPIOA_TO_E 0x0000001Fu
#define RCC_AHB1ENR_BKPSRAM 0x00040000u
#define RCC_APB1ENR 0x40023840u
#define RCC_APB1ENR_TIM2 0x00000001u
#define RCC_APB1ENR_TIM4 0x00000004u
#define RCC_APB1ENR_SPI2 0x00004000u
#define RCC_APB1ENR_SPI3 0x00008000u
#define RCC_APB1ENR_USART2 0x00020000u
#define RCC_APB1ENR_PWR 0x10000000u
#define RCC_APB2ENR 0x40023844u
#define RCC_APB2ENR_USART1 0x00000010u
#define RCC_APB2ENR_SPI1 0x00001000u
#define RCC_CSR 0x40023874u
#define RCC_CSR_RMVF 0x01000000u
#define RCC_CSR_BORRST 0x02000000u
#define RCC_CSR_PINRST 0x04000000u
#define RCC_CSR_PORRST 0x08000000u
#define RCC_CSR_SFTRST 0x10000000u
#define RCC_CSR_IWDGRST 0x20000000u
#define RCC_CSR_WWDGRST 0x40000000u
#define FLASH_ACR 0x40023C00u
#define FLASH_ACR_5_WAITS 0x0005u
#define FLASH_ACR_PREFETCH_AND_CACHES 0x0700u
#define BACKUP_SRAM 0x40024000u

/* ---- core ---- */
#define SYSTICK_CTRL 0xE000E010u
#define SYSTICK_CTRL_ENABLE 0x1u
#define SYSTICK_CTRL_TICKINT 0x2u
#define SYSTICK_CTRL_CORE_CLOCK 0x4u
#define SYSTICK_LOAD 0xE000E014u
#define SYSTICK_VAL 0xE000E018u
#define NVIC_ISER 0xE000E100u
#define NVIC_ICER 0xE000E180u
#define NVIC_IPR 0xE000E400u
#define SCB_AIRCR 0xE000ED0Cu
#define SCB_AIRCR_RESET 0x05FA0004u
#define SCB_SHPR3 0xE000ED20u

enum interrupt { INTERRUPT_PVD = 1, INTERRUPT_USART1 = 37, INTERRUPT_USART2 = 38, INTERRUPTS = 82 };

#endif
