/* The board on the microcontroller. */
#include "../../src/board.h"
#include "../../src/geometry.h"

#if defined(HWL_BUILD_128X16)
#define BOARD_NAME "hwloop-128x16"
#else
#define BOARD_NAME "hwloop-16x4"
#endif

int main(void)
{
    if (!geometry_choose(BOARD_NAME))
        return 1;
    board_start();
    for (;;)
        board_step();
}
