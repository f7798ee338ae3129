/* Which function carries out which sequenced command, and the clock that they advance. */
#include "commands.h"

#include "protocol.h"

uint64_t bench_ticks;

static command_function *const functions[] = {
    [HWL_COMMAND_PULSE] = pulse_command,
    [HWL_COMMAND_READ] = read_command,
    [HWL_COMMAND_SOLVE] = solve_command,
    [HWL_COMMAND_MVM] = mvm_command,
    [HWL_COMMAND_COMPENSATE] = compensate_command,
    [HWL_COMMAND_ROUTE] = route_command,
    [HWL_COMMAND_TEMPERATURE] = temperature_command,
    [HWL_COMMAND_WAIT] = wait_command,
    [HWL_COMMAND_TIGHTEN] = tighten_command,
    [HWL_COMMAND_HOLD] = hold_command,
    [HWL_COMMAND_SAMPLE] = sample_command,
};

command_function *command_of(uint8_t kind)
{
    return kind < sizeof functions / sizeof functions[0] ? functions[kind] : NULL;
}
