/* The board: start it once, then step for ever. */
#ifndef HWLOOP_BOARD_H
#define HWLOOP_BOARD_H

/* Ground everything, find out why it started, and wait for a host. */
void board_start(void);
/* Take what has arrived, answer it, look after safety; sleeps when there is nothing to do. */
void board_step(void);

#endif
