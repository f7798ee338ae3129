/* Refusals: what they carry, and that values wrap as on the wire. */
#include "check.h"

#include "../src/protocol.h"
#include "../src/refusal.h"

static struct refusal why;

#define CHECK_WHY(status_, field_, position_, value_, low_, high_) \
    do {                                                           \
        CHECK_EQUAL(why.status, status_);                          \
        CHECK_EQUAL(why.field, field_);                            \
        CHECK_EQUAL(why.position, position_);                      \
        CHECK_EQUAL(why.value, value_);                            \
        CHECK_EQUAL(why.low, low_);                                \
        CHECK_EQUAL(why.high, high_);                              \
    } while (0)

static void a_range_holds_its_ends(void)
{
    why.status = HWL_STATUS_OK;
    CHECK(in_range(&why, HWL_FIELD_ROW, -3, -3, 5, 9));
    CHECK(in_range(&why, HWL_FIELD_ROW, 5, -3, 5, 9));
    CHECK_EQUAL(why.status, HWL_STATUS_OK);
    CHECK(!in_range(&why, HWL_FIELD_ROW, 6, -3, 5, 9));
    CHECK_WHY(HWL_STATUS_OUT_OF_RANGE, HWL_FIELD_ROW, 9, 6, -3, 5);
    CHECK(!in_range(&why, HWL_FIELD_CELL, -4, -3, 5, 0));
    CHECK_WHY(HWL_STATUS_OUT_OF_RANGE, HWL_FIELD_CELL, 0, -4, -3, 5);
}

static void lengths_are_equal_or_not(void)
{
    CHECK(has_length(&why, 6, 6));
    CHECK(!has_length(&why, 7, 6));
    CHECK_WHY(HWL_STATUS_BAD_LENGTH, HWL_FIELD_ENTRIES, 0, 7, 6, 6);
    CHECK(!has_length(&why, 5, 6));
    CHECK_WHY(HWL_STATUS_BAD_LENGTH, HWL_FIELD_ENTRIES, 0, 5, 6, 6);
}

static void values_wrap(void)
{
    CHECK(!refuse(&why, HWL_STATUS_FAULT, 1, 0x12345, INT64_C(0xFFFFFFFF), INT64_C(0x80000000), -INT64_C(0x100000001)));
    CHECK_WHY(HWL_STATUS_FAULT, 1, 0x2345, -1, INT32_MIN, -1);
}

int main(void)
{
    RUN(a_range_holds_its_ends);
    RUN(lengths_are_equal_or_not);
    RUN(values_wrap);
    return check_result();
}
