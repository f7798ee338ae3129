/* Just enough to test with: CHECK says where and what, the program's exit status says how many failed. */
#ifndef HWLOOP_CHECK_H
#define HWLOOP_CHECK_H

#include <stdio.h>

/* Weak, so that all files of a test count together. */
__attribute__((weak)) int check_failures;

#define CHECK(condition)                                                              \
    do {                                                                              \
        if (!(condition)) {                                                           \
            check_failures++;                                                         \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);   \
        }                                                                             \
    } while (0)

#define CHECK_EQUAL(found, wanted)                                                    \
    do {                                                                              \
        long long found_ = (long long)(found), wanted_ = (long long)(wanted);         \
        if (found_ != wanted_) {                                                      \
            check_failures++;                                                         \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #found, found_, wanted_); \
        }                                                                             \
    } while (0)

#define RUN(test) (fprintf(stderr, "  %s\n", #test), test())

static inline int check_result(void)
{
    return check_failures == 0 ? 0 : 1;
}

#endif
