/* The few functions of <string.h> that the firmware uses, for compilers that come without a C library. */
#ifndef HWLOOP_STRING_H
#define HWLOOP_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *at, int value, size_t count);
int memcmp(const void *left, const void *right, size_t count);
void *memchr(const void *at, int value, size_t count);
int strcmp(const char *left, const char *right);

#endif
