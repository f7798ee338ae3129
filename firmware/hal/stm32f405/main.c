/* The board on the microcontroller. */
#include "../../src/board.h"
#include "../../src/geometry.h"

#ifndef HWL_BUILD_NAME
#error "an image is of one board: build with -DHWL_BUILD_128X16 or -DHWL_BUILD_16X4 (src/geometry.h)"
#endif

int main(void)
{
    if (!geometry_choose(HWL_BUILD_NAME))
        return 1;
    board_start();
    for (;;)
        board_step();
}
