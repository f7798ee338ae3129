/* Chips that answer as they should, for the unit tests of panel and commands. */
#define FAKE_CHIPS_BODY
#include "fake_chips.h"

#include <stdlib.h>

#include "../src/bytes.h"
#include "../src/limits.h"
#include "../src/panel.h"
#include "../src/wiring.h"

uint16_t (*fake_convert)(uint32_t column, uint32_t scan);
int16_t fake_temperature;
int fake_stuck_select;
uint8_t fake_stuck_byte;
uint32_t fake_grounded_at;
uint8_t reply[16384];
size_t reply_bytes;
struct refusal refusal;

static uint8_t mode[4];                 /* as shifted in */
static struct {
    uint8_t range, sequence;
    int channel;                        /* the one converted before */
    bool auxiliary;                     /* the auxiliary input is converted, as column 16 */
} adcs[2];
static uint32_t scans[17];
static uint32_t asked;

bool fake_may_go_on(void)
{
    return ++asked < fake_grounded_at || fake_grounded_at == 0;
}

static void listen(uint16_t select, const uint8_t *frame, uint8_t frame_bytes)
{
    if (select == HWL_SELECT_MODE_SWITCHES)
        memcpy(mode, frame, sizeof mode);
    if (select != HWL_SELECT_ADC_LOW && select != HWL_SELECT_ADC_HIGH)
        return;
    uint32_t adc = select - HWL_SELECT_ADC_LOW;
    if (frame_bytes == 3 && frame[0] == (0x05 << 1 | 1))
        adcs[adc].range = frame[1];
    if (frame_bytes == 3 && frame[0] == (0x01 << 1 | 1))
        adcs[adc].sequence = frame[1];
    if (frame[0] == 0xA0)
        adcs[adc].channel = -1;
    if (frame_bytes == 4 && frame[0] != 0)
        adcs[adc].auxiliary = frame[0] == 0xE0;
}

static uint16_t convert(uint32_t adc)
{
    if (adcs[adc].auxiliary)
        return fake_convert == NULL ? 0 : fake_convert(16, scans[16]++);
    do
        adcs[adc].channel = (adcs[adc].channel + 1) % 8;
    while ((adcs[adc].sequence >> adcs[adc].channel & 1) == 0);
    uint32_t column = 8 * adc + (uint32_t)adcs[adc].channel;
    return fake_convert == NULL ? 0 : fake_convert(column, scans[column]++);
}

static void answer(uint16_t select, const uint8_t *frame, uint8_t frame_bytes, uint8_t *kept, uint8_t count)
{
    if (select == fake_stuck_select) {
        memset(kept, fake_stuck_byte, count);
    } else if (select == HWL_SELECT_MODE_SWITCHES) {
        memcpy(kept, mode, sizeof mode);
    } else if (select == HWL_SELECT_TEMPERATURE) {
        kept[0] = frame_bytes == 2 ? 0xC3 : (uint8_t)((uint16_t)fake_temperature >> 8);
        if (frame_bytes == 3)
            kept[1] = (uint8_t)fake_temperature;
    } else if (frame_bytes == 3) {
        kept[0] = frame[0] == 0x05 << 1 ? adcs[select - HWL_SELECT_ADC_LOW].range : 0;
    } else {
        uint16_t code = convert(select - HWL_SELECT_ADC_LOW);
        kept[0] = (uint8_t)(code >> 8);
        kept[1] = (uint8_t)code;
    }
}

void fake_board(const char *name)
{
    fake_reset();
    fake_frame = listen;
    fake_answer = answer;
    fake_convert = NULL;
    fake_temperature = 25 * 128;
    fake_stuck_select = -1;
    fake_stuck_byte = 0;
    fake_grounded_at = asked = 0;
    memset(scans, 0, sizeof scans);
    CHECK(geometry_choose(name));
    limits_reset();
    bench_ticks = 0;
    CHECK(panel_start());
    CHECK(panel_enable());
    fake_forget();
}

void add_u8(struct payload *payload, uint32_t value)
{
    payload->bytes[payload->count++] = (uint8_t)value;
}

void add_u16(struct payload *payload, uint32_t value)
{
    put_u16(payload->bytes + payload->count, value);
    payload->count += 2;
}

void add_u32(struct payload *payload, uint32_t value)
{
    put_u32(payload->bytes + payload->count, value);
    payload->count += 4;
}

void add_words(struct payload *payload, size_t count, const uint16_t *words)
{
    for (size_t i = 0; i < count; i++)
        add_u16(payload, words[i]);
}

bool run(command_function *command, struct payload *payload)
{
    size_t room = geometry.max_frame_bytes - HWL_FRAME_OVERHEAD;
    uint8_t *copy = malloc(payload->count + 1), *out = malloc(room);
    struct answer given = {out, 0, room};
    memset(&refusal, 0, sizeof refusal);
    asked = 0;
    memcpy(copy, payload->bytes, payload->count);
    bool done = command(copy, payload->count, &given, &refusal);
    reply_bytes = given.used;
    memcpy(reply, out, given.used);
    free(copy);
    free(out);
    payload->count = 0;
    return done;
}

bool fake_clock_is_behind(void)
{
    for (size_t n = fake_entry_count; n > 0; n--)
        if (fake_entries[n - 1].kind == FAKE_AT)
            return fake_entries[n - 1].ticks > bench_ticks;
    return false;
}
