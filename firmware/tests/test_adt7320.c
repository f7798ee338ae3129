/* ADT7320: every word that is sent, and where the answers stand in what comes back. */
#include "fake_chips.h"

#include "../src/adt7320.h"

static void starts_with_a_limit(void)
{
    adt7320_start(5, 85 * 128);
    CHECK_TRACE("5 ffffffff; 5 202a80; 5 2800; 5 0894");
    adt7320_start(5, -128);
    CHECK_TRACE("5 ffffffff; 5 20ff80; 5 2800; 5 0894");
}

static void reads_the_temperature(void)
{
    adt7320_read_temperature(5);
    CHECK_EQUAL(fake_transfer(5, 0)->skip, 1);
    CHECK_TRACE("read 5 500000");
}

static void reads_the_identification(void)
{
    adt7320_read_id(5);
    CHECK_EQUAL(fake_transfer(5, 0)->skip, 1);
    CHECK_TRACE("read 5 5800");
}

int main(void)
{
    fake_reset();
    RUN(starts_with_a_limit);
    RUN(reads_the_temperature);
    RUN(reads_the_identification);
    return check_result();
}
