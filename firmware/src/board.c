/* The main step of the board. */
#include "board.h"

#include <stdbool.h>
#include <stdint.h>

#include "../hal/hal.h"
#include "frame.h"
#include "panel.h"
#include "protocol.h"
#include "safety.h"
#include "session.h"

enum {
    LOOK_MILLISECONDS = 100,
    STEP_FRAMES = 64,       /* then safety is looked after, also in a flood */
};

static uint32_t looked_milliseconds;

void board_start(void)
{
    struct hal_boot boot = {0};
    frame_start();
    bool chips_answer = hal_start(&boot) && panel_start();
    session_start(&boot, chips_answer);
    looked_milliseconds = hal_milliseconds();
}

/* Between commands: is the array too hot, do the chips answer? */
static void look_after_chips(void)
{
    uint32_t now = hal_milliseconds();
    if (!safety_is_armed() || now - looked_milliseconds < LOOK_MILLISECONDS)
        return;
    looked_milliseconds = now;
    if (!panel_look())
        safety_ground(HWL_SAFE_REASON_FAULT);
    else if (panel_is_too_hot())
        safety_ground(HWL_SAFE_REASON_TEMPERATURE);
}

void board_step(void)
{
    struct frame frame;
    uint32_t handled = 0;
    hal_feed_watchdog();
    frame_receive();
    while (handled < STEP_FRAMES && frame_next(&frame)) {
        session_handle(&frame);
        hal_feed_watchdog();
        frame_receive();
        handled++;
    }
    /* After listening: while the board itself was busy the host may have spoken. */
    safety_check_dead_man();
    look_after_chips();
    if (handled == 0)
        hal_idle();
}
