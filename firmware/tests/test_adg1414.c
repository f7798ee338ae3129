/* ADG1414: chains are sent farthest chip first, and give back what they were sent before. */
#include "fake_chips.h"

#include "../src/adg1414.h"

static const uint8_t switches[3] = {0x01, 0x20, 0xFF};

static void sends_the_farthest_chip_first(void)
{
    adg1414_write(9, 3, switches);
    CHECK_TRACE("9 ff2001");
    adg1414_write(7, 1, switches);
    CHECK_TRACE("7 01");
}

static void keeps_all_that_is_shifted_out(void)
{
    adg1414_exchange(6, 2, switches);
    CHECK_EQUAL(fake_transfer(6, 0)->skip, 0);
    CHECK_TRACE("read 6 2001");
}

static void knows_what_it_was_sent(void)
{
    const uint8_t same[3] = {0xFF, 0x20, 0x01}, reversed[3] = {0x01, 0x20, 0xFF}, first[3] = {0xFE, 0x20, 0x01};
    CHECK(adg1414_gave_back(same, 3, switches));
    CHECK(!adg1414_gave_back(reversed, 3, switches));
    CHECK(!adg1414_gave_back(first, 3, switches));
}

int main(void)
{
    fake_reset();
    RUN(sends_the_farthest_chip_first);
    RUN(keeps_all_that_is_shifted_out);
    RUN(knows_what_it_was_sent);
    return check_result();
}
