/* LTC2668: every word that is sent. */
#include "fake_chips.h"

#include "../src/ltc2668.h"

static void words_are_command_channel_and_code(void)
{
    uint8_t words[6], *end = ltc2668_word(words, LTC2668_WRITE, 5, 0x1234);
    end = ltc2668_word(end, LTC2668_WRITE_UPDATE, 15, 0xFFFF);
    CHECK_EQUAL(end - words, 6);
    ltc2668_send(0x401, words, end);
    CHECK_TRACE("401 051234 3fffff");
    ltc2668_send(0x401, words, words);
    CHECK_TRACE("");
}

static void starts_with_span_then_code(void)
{
    ltc2668_start(0, LTC2668_SPAN_0_TO_5_V, 0);
    CHECK_TRACE("0 e00000; 0 a00000");
    ltc2668_start(2, LTC2668_SPAN_2_5_V, 0x8000);
    CHECK_TRACE("2 e00004; 2 a08000");
}

static void writes_all_at_once(void)
{
    ltc2668_write_all(2, 0xABCD);
    CHECK_TRACE("2 a0abcd");
}

int main(void)
{
    fake_reset();
    RUN(words_are_command_channel_and_code);
    RUN(starts_with_span_then_code);
    RUN(writes_all_at_once);
    return check_result();
}
