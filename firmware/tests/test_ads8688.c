/* ADS8688: every word that is sent, and where the answers stand in what comes back. */
#include "fake_chips.h"

#include "../src/ads8688.h"

static void resets(void)
{
    ads8688_reset(3);
    CHECK_TRACE("3 85000000");
}

static void sets_the_range_of_every_channel(void)
{
    ads8688_set_range(3, ADS8688_2_56_V);
    CHECK_TRACE("3 0b0200 0d0200 0f0200 110200 130200 150200 170200 190200");
    ads8688_set_range(4, ADS8688_5_12_V);
    CHECK_TRACE("4 0b0100 0d0100 0f0100 110100 130100 150100 170100 190100");
    ads8688_set_range(4, ADS8688_0_TO_5_12_V);
    CHECK_TRACE("4 0b0600 0d0600 0f0600 110600 130600 150600 170600 190600");
}

static void sequences_begin_with_auto_rst(void)
{
    ads8688_start_sequence(4, 0xA5);
    CHECK_TRACE("4 03a500; 4 a0000000");
}

static void the_auxiliary_input_has_a_command_of_its_own(void)
{
    ads8688_select_auxiliary(3);
    CHECK_TRACE("3 e0000000");
}

static void scans_with_no_op_and_keeps_the_conversions(void)
{
    ads8688_scan(3, 3);
    CHECK_EQUAL(fake_transfer(3, 0)->skip, 2);
    CHECK_TRACE("read 3 00000000 00000000 00000000");
}

static void reads_a_range_back(void)
{
    ads8688_read_range(4);
    CHECK_EQUAL(fake_transfer(4, 0)->skip, 2);
    CHECK_TRACE("read 4 0a0000");
}

int main(void)
{
    fake_reset();
    RUN(resets);
    RUN(sets_the_range_of_every_channel);
    RUN(sequences_begin_with_auto_rst);
    RUN(the_auxiliary_input_has_a_command_of_its_own);
    RUN(scans_with_no_op_and_keeps_the_conversions);
    RUN(reads_a_range_back);
    return check_result();
}
