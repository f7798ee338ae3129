/* What the compiler and the firmware expect of <string.h>. Compiled without loop recognition, or memcpy would call
 * itself. */
#include <stdint.h>
#include <string.h>

/* A word at any address: the core reads and writes those too, one at a time. */
struct __attribute__((packed, may_alias)) loose_word {
    uint32_t value; /* cppcheck-suppress unusedStructMember ; used through a cast below */
};

void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    uint8_t *target = to;
    const uint8_t *source = from;
    for (; count >= 4; count -= 4, target += 4, source += 4)
        ((struct loose_word *)(void *)target)->value = ((const struct loose_word *)(const void *)source)->value;
    while (count-- > 0)
        *target++ = *source++;
    return to;
}

void *memmove(void *to, const void *from, size_t count)
{
    uint8_t *target = to;
    const uint8_t *source = from;
    if ((uintptr_t)target <= (uintptr_t)source) {
        while (count-- > 0)
            *target++ = *source++;
    } else {
        while (count-- > 0)
            target[count] = source[count];
    }
    return to;
}

void *memset(void *at, int value, size_t count)
{
    uint8_t *target = at;
    while (count-- > 0)
        *target++ = (uint8_t)value;
    return at;
}

int memcmp(const void *left, const void *right, size_t count)
{
    const uint8_t *a = left, *b = right;
    for (; count > 0; count--, a++, b++)
        if (*a != *b)
            return *a - *b;
    return 0;
}

void *memchr(const void *at, int value, size_t count)
{
    const uint8_t *byte = at;
    for (; count > 0; count--, byte++)
        if (*byte == (uint8_t)value)
            return (void *)(uintptr_t)byte;
    return NULL;
}

int strcmp(const char *left, const char *right)
{
    while (*left != '\0' && *left == *right) {
        left++;
        right++;
    }
    return (uint8_t)*left - (uint8_t)*right;
}
