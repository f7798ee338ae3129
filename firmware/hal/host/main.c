/* hwloop-board: the firmware on a PC, started by whatever holds the other ends of its two streams. */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/board.h"
#include "../../src/geometry.h"
#include "streams.h"

enum { WRONG_USE = 2 };

/* The value behind `option`, or NULL. */
static const char *value_of(const char *option, int count, char *arguments[])
{
    for (int i = 1; i + 1 < count; i += 2)
        if (strcmp(arguments[i], option) == 0)
            return arguments[i + 1];
    return NULL;
}

/* An open descriptor, made non-blocking; -1: it is none. */
static int descriptor(const char *text)
{
    char *rest;
    if (text == NULL || *text == '\0')
        return -1;
    long number = strtol(text, &rest, 10);
    if (*rest != '\0' || number < 0 || number > 1 << 20)
        return -1;
    int flags = fcntl((int)number, F_GETFL);
    return flags >= 0 && fcntl((int)number, F_SETFL, flags | O_NONBLOCK) == 0 ? (int)number : -1;
}

int main(int count, char *arguments[])
{
    const char *name = value_of("--board", count, arguments);
    int port = descriptor(value_of("--port-fd", count, arguments));
    int chips = descriptor(value_of("--chips-fd", count, arguments));
    if (count != 7 || name == NULL || port < 0 || chips < 0) {
        fprintf(stderr, "usage: hwloop-board --board NAME --port-fd N --chips-fd M (open descriptors of streams)\n");
        return WRONG_USE;
    }
    if (!geometry_choose(name)) {
        fprintf(stderr, "hwloop-board: no board %s in this firmware\n", name);
        return WRONG_USE;
    }
    signal(SIGINT, SIG_IGN);        /* for the controller, which still needs the board to be safe */
    signal(SIGPIPE, SIG_IGN);
    streams_use(port, chips);
    board_start();
    for (;;)
        board_step();
}
