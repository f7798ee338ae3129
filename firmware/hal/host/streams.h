/* The two streams of the firmware on a PC. */
#ifndef HWLOOP_STREAMS_H
#define HWLOOP_STREAMS_H

/* Open descriptors, both non-blocking: to the host, to the simulated chips. */
void streams_use(int port, int chips);

#endif
