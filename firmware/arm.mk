# ARM images, included by Makefile. Three boards and the cycle budget:
#   hwloop-board.elf, hwloop-board-16x4.elf   run in the emulator: SPI and GPIO go over USART2 to simulated chips
#   hwloop-board-stm32f405.elf (.bin, .hex)   runs on the hardware
ARM_PREFIX := arm-none-eabi-
ARM := $(BUILD)/arm
ARM_STACK_BYTES := 4096
ARM_FLASH_BAR := 65536
ARM_RAM_BAR := 65536

ARM_CPU := -mcpu=cortex-m4 -mthumb -mfloat-abi=soft
ARM_FLAGS := $(CFLAGS) -O2 -g $(ARM_CPU) -ffreestanding -ffunction-sections -fdata-sections \
             -fstack-usage -fcallgraph-info=su -Ihal/stm32f405/include
ARM_LINK := $(ARM_CPU) -nostdlib -T hal/stm32f405/link.ld -Wl,--gc-sections \
            -Wl,--fatal-warnings -Wl,--defsym=link_stack_bytes=$(ARM_STACK_BYTES)

ARM_CORE := $(addprefix hal/stm32f405/,vectors.c string.c clock.c selects.c system.c port.c)
ARM_MAIN := hal/stm32f405/main.c
ARM_REAL := $(addprefix hal/stm32f405/,spi.c timeline.c chips.c)
ARM_EMULATED := hal/emulated/stream.c
ARM_BUDGET := $(wildcard tests/budget/*.c)

# $(1) directory of objects, $(2) flag of the geometry
define arm_objects
$(ARM)/$(1)/%.o: %.c Makefile arm.mk
	@mkdir -p $$(@D)
	$(ARM_PREFIX)gcc $(ARM_FLAGS) $$(ARM_FLAGS_$$(*F)) -D$(2) -c -o $$@ $$<
endef
$(eval $(call arm_objects,128x16,HWL_BUILD_128X16))
$(eval $(call arm_objects,16x4,HWL_BUILD_16X4))
ARM_FLAGS_string := -fno-tree-loop-distribute-patterns

# The cycle budget stands between the drivers and the SPI queue, and looks at what passes.
ARM_LINK_budget := $(foreach name,spi_write spi_read spi_scan result_room,-Wl,--wrap=hal_$(name))

# $(1) image, $(2) directory of objects, $(3) sources besides src/ and the core
define arm_image
$(1)_OBJECTS := $(patsubst %.c,$(ARM)/$(2)/%.o,$(SOURCES) $(ARM_CORE) $(3))
$(ARM)/$(1).elf: $$($(1)_OBJECTS) hal/stm32f405/link.ld
	$(ARM_PREFIX)gcc $(ARM_LINK) $(ARM_LINK_$(1)) -Wl,-Map=$(ARM)/$(1).map -o $$@ $$($(1)_OBJECTS) -lgcc
$(ARM)/$(1).stack: $(ARM)/$(1).elf stack_usage.py
	$(PYTHON) stack_usage.py --reserve $(ARM_STACK_BYTES) $$($(1)_OBJECTS:.o=.ci) > $$@ || { cat $$@; rm $$@; exit 1; }
endef
ARM_IMAGES := hwloop-board hwloop-board-16x4 hwloop-board-stm32f405
$(eval $(call arm_image,hwloop-board,128x16,$(ARM_MAIN) $(ARM_EMULATED)))
$(eval $(call arm_image,hwloop-board-16x4,16x4,$(ARM_MAIN) $(ARM_EMULATED)))
$(eval $(call arm_image,hwloop-board-stm32f405,128x16,$(ARM_MAIN) $(ARM_REAL)))
$(eval $(call arm_image,budget,128x16,$(ARM_BUDGET) hal/stm32f405/spi.c))

$(ARM)/%.bin: $(ARM)/%.elf
	$(ARM_PREFIX)objcopy -O binary $< $@
$(ARM)/%.hex: $(ARM)/%.elf
	$(ARM_PREFIX)objcopy -O ihex $< $@

# Sections of `size -A` into flash (code, and what RAM begins with) and RAM (that, zeros, what survives, stack).
ARM_SIZE = $$1==".text" || $$1==".data" {flash+=$$2} \
    $$1==".data" || $$1==".bss" || $$1==".noinit" || $$1==".stack" {ram+=$$2} \
    END {printf "%s: flash %d of %d, RAM with stack %d of %d bytes\n", name, flash, flash_bar, ram, ram_bar; \
         exit flash > flash_bar || ram > ram_bar}

.PHONY: arm arm-size arm-stack budget
arm: $(ARM_IMAGES:%=$(ARM)/%.elf) $(addprefix $(ARM)/hwloop-board-stm32f405,.bin .hex)

# The linker refuses what is larger than 64 KiB of flash or RAM; here are the figures, stack included.
size:: arm-size
arm-size: $(ARM_IMAGES:%=$(ARM)/%.elf)
	@for elf in $^; do $(ARM_PREFIX)size -A $$elf | awk -v name=$$elf -v flash_bar=$(ARM_FLASH_BAR) \
	    -v ram_bar=$(ARM_RAM_BAR) '$(ARM_SIZE)' || exit 1; done

stack: arm-stack
arm-stack: $(ARM_IMAGES:%=$(ARM)/%.stack)
	@for image in $(ARM_IMAGES); do echo "$$image"; cat $(ARM)/$$image.stack; done

# Instructions a row of PULSE, READ and SOLVE, counted by the emulator, against the tick rules; fails where they do not
# fit.
budget: $(ARM)/budget.elf
	$(PYTHON) tests/budget/run.py $(ARM)/budget.elf

# ---- tests of the microcontroller's body on the PC: its sources, with registers of memory behind them ----

STM32F405_TESTED := clock selects system port spi timeline chips
$(foreach test,$(patsubst tests/%.c,%,$(wildcard tests/test_stm32f405_*.c)),\
    $(eval SOURCES_$(test) := $(STM32F405_TESTED:%=hal/stm32f405/%.c))$(eval FLAGS_$(test) := -DHWL_FAKE_REGISTERS))
$(foreach name,$(STM32F405_TESTED) fake_registers,$(eval FLAGS_$(name) := -DHWL_FAKE_REGISTERS))
