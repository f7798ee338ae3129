/* Sessions, sequence numbers, the reply cache, and the commands without a sequence number. */
#include "session.h"

#include <string.h>

#include "bytes.h"
#include "commands.h"
#include "geometry.h"
#include "limits.h"
#include "panel.h"
#include "refusal.h"
#include "safety.h"

enum {
    FIRMWARE_VERSION = 1 << 16,
    ANALOG_REVISION = 1,
    COLDEST_CENTICELSIUS = -4000,       /* of the temperature sensor's range */
    BEHIND = 0x8000,                    /* sequence numbers from here on are behind the expected one */
    LONGEST_PLAIN_REPLY = HWL_DESCRIBE_REPLY_BYTES,
};

static uint32_t board_serial, array_serial;
static uint16_t session;                /* 0: none is open */
static uint16_t open_tag;               /* the header's sequence of the OPEN carried out last */
static uint16_t expected;

/* The reply to sequence number n stands in slot n % HWL_SESSION_REPLY_CACHE; they are taken in order, so the last
 * `cached` numbers before `expected` are there. */
static uint8_t replies[HWL_SESSION_REPLY_CACHE][HWL_MAX_FRAME_BYTES];
static uint16_t reply_bytes[HWL_SESSION_REPLY_CACHE];
static uint32_t cached;

uint16_t session_number(void)
{
    return session;
}

void session_start(const struct hal_boot *boot, bool chips_answer)
{
    board_serial = boot->board_serial;
    array_serial = boot->array_serial;
    bench_ticks = boot->bench_ticks;
    session = open_tag = expected = 0;
    cached = 0;
    limits_reset();
    safety_boot(boot->store, boot->reset_cause);
    if (!chips_answer)
        safety_ground(HWL_SAFE_REASON_FAULT);
}

static size_t put_refusal(uint8_t *payload, const struct refusal *why)
{
    put_u16(payload + HWL_REFUSAL_FIELD, why->field);
    put_u16(payload + HWL_REFUSAL_POSITION, why->position);
    put_u32(payload + HWL_REFUSAL_VALUE, (uint32_t)why->value);
    put_u32(payload + HWL_REFUSAL_LOW, (uint32_t)why->low);
    put_u32(payload + HWL_REFUSAL_HIGH, (uint32_t)why->high);
    return HWL_REFUSAL_BYTES;
}

/* ---- sequenced commands ---- */

static bool may_begin(const struct frame *frame, struct refusal *why)
{
    if (frame->session != session || session == 0)
        return refuse(why, safety_is_armed() ? HWL_STATUS_BUSY : HWL_STATUS_NOT_OPEN, 0, 0, session, 0, 0);
    if (!safety_is_armed())
        return refuse(why, HWL_STATUS_SAFE_LATCHED, 0, 0, safety_reason(), 0, 0);
    if (frame->sequence != expected)
        return refuse(why, HWL_STATUS_SEQUENCE_GAP, 0, 0, expected, 0, 0);
    return true;
}

/* Did it before: the same reply goes out again, or, where that is gone, a refusal. Never executed twice. */
static bool answer_again(const struct frame *frame, struct refusal *why)
{
    uint16_t behind = (uint16_t)(expected - frame->sequence);
    uint32_t slot = frame->sequence % HWL_SESSION_REPLY_CACHE;
    if (behind > cached)
        return refuse(why, HWL_STATUS_SEQUENCE_STALE, 0, 0, expected, 0, 0);
    frame_resend(replies[slot], reply_bytes[slot]);
    return true;
}

static void carry_out(const struct frame *frame)
{
    uint32_t slot = frame->sequence % HWL_SESSION_REPLY_CACHE;
    uint8_t *payload = replies[slot] + HWL_HEADER_BYTES;
    struct answer answer = {.bytes = payload, .room = geometry.max_frame_bytes - (size_t)HWL_FRAME_OVERHEAD};
    struct refusal why = {.status = HWL_STATUS_OK};
    safety_begin(frame->kind, frame->sequence);
    bool done = command_of(frame->kind)(frame->payload, frame->payload_bytes, &answer, &why);
    if (!done) {
        answer.used = put_refusal(payload, &why);
        /* Grounded already where it was cut off: then the reason for that stays. */
        if (why.status == HWL_STATUS_FAULT && safety_is_armed())
            safety_ground(HWL_SAFE_REASON_FAULT);
    }
    safety_complete(why.status != HWL_STATUS_FAULT);
    if (done && panel_is_too_hot())
        safety_ground(HWL_SAFE_REASON_TEMPERATURE);
    expected++;
    if (cached < HWL_SESSION_REPLY_CACHE)
        cached++;
    reply_bytes[slot] = (uint16_t)(answer.used + HWL_FRAME_OVERHEAD);
    frame_send(replies[slot], answer.used, frame->kind | HWL_REPLY_BIT, why.status, frame->session, frame->sequence);
}

static bool sequenced(const struct frame *frame, struct refusal *why)
{
    bool ours = frame->session == session && session != 0;
    if (ours && (uint16_t)(frame->sequence - expected) >= BEHIND)
        return answer_again(frame, why);        /* also while safe: what the board did before, it did */
    if (!may_begin(frame, why))
        return false;
    carry_out(frame);
    return true;
}

/* ---- commands without a sequence number: payload of the reply, and its bytes ---- */

static size_t identify(uint8_t *reply)
{
    put_u32(reply + HWL_IDENTIFY_REPLY_WIRE_HASH, HWL_WIRE_HASH);
    put_u32(reply + HWL_IDENTIFY_REPLY_FIRMWARE_VERSION, FIRMWARE_VERSION);
    put_u32(reply + HWL_IDENTIFY_REPLY_BOARD_SERIAL, board_serial);
    put_u32(reply + HWL_IDENTIFY_REPLY_ARRAY_SERIAL, array_serial);
    put_u16(reply + HWL_IDENTIFY_REPLY_ANALOG_REVISION, ANALOG_REVISION);
    memcpy(reply + HWL_IDENTIFY_REPLY_BOARD_NAME, geometry.name, sizeof geometry.name);
    return HWL_IDENTIFY_REPLY_BYTES;
}

static size_t describe(uint8_t *reply)
{
    static const struct {
        uint32_t offset, value;
    } scales[] = {
#define SCALE(name) {HWL_DESCRIBE_REPLY_##name, HWL_SCALE_##name}
        SCALE(AMPLITUDE_FULL_SCALE_MICROVOLTS), SCALE(GATE_FULL_SCALE_MICROVOLTS), SCALE(INPUT_FULL_SCALE_MICROVOLTS),
        SCALE(OUTPUT_FULL_SCALE_MICROVOLTS), SCALE(OUTPUT_GAIN), SCALE(OUTPUT_MAX_MICROVOLTS), SCALE(READ_MICROVOLTS),
        SCALE(TIA_FINE_NANOAMPS), SCALE(TIA_COARSE_NANOAMPS), SCALE(INPUT_NANOSIEMENS),
        SCALE(COMPENSATION_FULL_SCALE_NANOSIEMENS), SCALE(FEEDBACK_FULL_SCALE_NANOSIEMENS),
        SCALE(BIAS_FULL_SCALE_NANOAMPS), SCALE(GAIN_BANDWIDTH_HERTZ), SCALE(UNSETTLED_CODE), SCALE(SATURATED_CODE),
        SCALE(REFERENCE_LOW_OHMS), SCALE(REFERENCE_HIGH_OHMS), SCALE(SUPPLY_FULL_SCALE_MICROVOLTS),
#undef SCALE
    };
    static const struct {
        uint32_t offset;
        enum hwl_limit_kind kind;
    } limits[] = {
#define LIMIT(name) {HWL_DESCRIBE_REPLY_##name##_LIMIT, HWL_LIMIT_KIND_##name}
        LIMIT(AMPLITUDE_CODE), LIMIT(FORM_CODE), LIMIT(GATE_CODE), LIMIT(WIDTH_TICKS), LIMIT(ROW_ON_TICKS),
        LIMIT(PULSE_ENERGY),
#undef LIMIT
    };
    put_u16(reply + HWL_DESCRIBE_REPLY_ROWS, geometry.rows);
    put_u16(reply + HWL_DESCRIBE_REPLY_COLUMNS, geometry.columns);
    put_u16(reply + HWL_DESCRIBE_REPLY_MAX_FRAME_BYTES, geometry.max_frame_bytes);
    reply[HWL_DESCRIBE_REPLY_MAX_IN_FLIGHT] = geometry.max_in_flight;
    reply[HWL_DESCRIBE_REPLY_RESET_CAUSE] = safety_reset_cause();
    put_u32(reply + HWL_DESCRIBE_REPLY_BOOT_COUNTER, safety_boot_counter());
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++)
        put_u32(reply + scales[i].offset, scales[i].value);
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        put_u32(reply + limits[i].offset, limit_of(limits[i].kind));
    return HWL_DESCRIBE_REPLY_BYTES;
}

static size_t status(uint8_t *reply)
{
    reply[HWL_STATUS_REPLY_ARMED] = safety_is_armed();
    reply[HWL_STATUS_REPLY_SAFE_REASON] = safety_reason();
    reply[HWL_STATUS_REPLY_RESET_CAUSE] = safety_reset_cause();
    reply[HWL_STATUS_REPLY_LAST_BEGUN_KIND] = safety_last_kind();
    put_u16(reply + HWL_STATUS_REPLY_LAST_BEGUN_SEQUENCE, safety_last_sequence());
    put_u16(reply + HWL_STATUS_REPLY_LAST_COMPLETED, safety_last_completed());
    put_u16(reply + HWL_STATUS_REPLY_OPEN_SESSION, session);
    put_u16(reply + HWL_STATUS_REPLY_EXPECTED_SEQUENCE, expected);
    put_u32(reply + HWL_STATUS_REPLY_BOOT_COUNTER, safety_boot_counter());
    put_u64(reply + HWL_STATUS_REPLY_TICKS, bench_ticks);
    return HWL_STATUS_REPLY_BYTES;
}

static bool refuse_fault(struct refusal *why)
{
    safety_ground(HWL_SAFE_REASON_FAULT);
    return refuse(why, HWL_STATUS_FAULT, 0, 0, 0, 0, 0);
}

/* The chips answer, and the array is not too hot. */
static bool may_arm(struct refusal *why)
{
    int16_t raw;
    if (!panel_look())
        return refuse_fault(why);
    if (!panel_is_too_hot())
        return true;
    if (!panel_temperature(&raw))
        return refuse_fault(why);
    return refuse(why, HWL_STATUS_FAULT, HWL_FIELD_TEMPERATURE, 0, panel_centicelsius(raw), COLDEST_CENTICELSIUS,
                  HWL_LIMIT_TEMPERATURE_CENTICELSIUS);
}

static bool open_session(const struct frame *frame, bool resume, struct refusal *why)
{
    if (!may_arm(why))
        return false;
    /* From the safe state everything is told anew: chips may have lost it, and grounding words may not have arrived. */
    if (!safety_is_armed() && !panel_start())
        return refuse_fault(why);
    if (!resume && safety_is_armed())
        panel_ground();
    if (!panel_enable())
        return refuse_fault(why);
    if (!resume) {
        session = frame->session;
        expected = 0;
        cached = 0;
    }
    open_tag = frame->sequence;
    safety_arm();
    return true;
}

static uint32_t wire_hash_of(const struct frame *frame)
{
    uint8_t hash[4] = {0};
    memcpy(hash, frame->payload, frame->payload_bytes < sizeof hash ? frame->payload_bytes : sizeof hash);
    return get_u32(hash);
}

static bool open_command(const struct frame *frame, struct refusal *why)
{
    bool ours = frame->session == session;
    if (wire_hash_of(frame) != HWL_WIRE_HASH) {
        if (ours || !safety_is_armed())
            safety_ground(HWL_SAFE_REASON_WIRE_MISMATCH);
        return refuse(why, HWL_STATUS_WIRE_MISMATCH, 0, 0, HWL_WIRE_HASH, 0, 0);
    }
    if (!has_length(why, (uint32_t)frame->payload_bytes, HWL_OPEN_REQUEST_BYTES))
        return false;
    bool resume = get_u16(frame->payload + HWL_OPEN_REQUEST_RESUME) != 0;
    if (frame->session == 0)
        return refuse(why, HWL_STATUS_OUT_OF_RANGE, 0, 0, 0, 1, UINT16_MAX);
    if (safety_is_armed() && !ours)
        return refuse(why, HWL_STATUS_BUSY, 0, 0, session, 0, 0);
    if (resume && !ours)
        return refuse(why, HWL_STATUS_NOT_OPEN, 0, 0, session, 0, 0);
    uint16_t ahead = (uint16_t)(frame->sequence - open_tag);
    bool newer = ahead > 0 && ahead < BEHIND;
    return (ours && !newer) || open_session(frame, resume, why);
}

static size_t put_open(uint8_t *reply)
{
    put_u16(reply + HWL_OPEN_REPLY_EXPECTED_SEQUENCE, expected);
    put_u64(reply + HWL_OPEN_REPLY_TICKS, bench_ticks);
    put_u32(reply + HWL_OPEN_REPLY_BOOT_COUNTER, safety_boot_counter());
    return HWL_OPEN_REPLY_BYTES;
}

static void close_session(uint16_t asking)
{
    if (asking != session)
        return;
    safety_ground(HWL_SAFE_REASON_COMMAND);
    session = 0;
}

/* Bytes of the reply's payload; 0: refused, and `why` says it. */
static size_t unsequenced(const struct frame *frame, uint8_t *reply, struct refusal *why)
{
    switch (frame->kind) {
    case HWL_COMMAND_IDENTIFY:
        return identify(reply);
    case HWL_COMMAND_DESCRIBE:
        return describe(reply);
    case HWL_COMMAND_OPEN:
        return open_command(frame, why) ? put_open(reply) : 0;
    case HWL_COMMAND_CLOSE:
        close_session(frame->session);
        put_u64(reply + HWL_CLOSE_REPLY_TICKS, bench_ticks);
        return HWL_CLOSE_REPLY_BYTES;
    case HWL_COMMAND_SAFE:
        safety_ground(HWL_SAFE_REASON_COMMAND);
        put_u64(reply + HWL_SAFE_REPLY_TICKS, bench_ticks);
        return HWL_SAFE_REPLY_BYTES;
    case HWL_COMMAND_STATUS:
        return status(reply);
    default:
        (void)refuse(why, HWL_STATUS_UNKNOWN_COMMAND, 0, 0, frame->kind, 0, 0);
        return 0;
    }
}

/* ---- every frame ---- */

static void answer_plainly(const struct frame *frame, const struct refusal *refused)
{
    uint8_t body[HWL_HEADER_BYTES + LONGEST_PLAIN_REPLY + 4];
    uint8_t *payload = body + HWL_HEADER_BYTES;
    struct refusal why = {.status = HWL_STATUS_OK};
    size_t bytes = 0;
    if (refused != NULL)
        why = *refused;
    else
        bytes = unsequenced(frame, payload, &why);
    if (why.status != HWL_STATUS_OK)
        bytes = put_refusal(payload, &why);
    frame_send(body, bytes, frame->kind | HWL_REPLY_BIT, why.status, frame->session, frame->sequence);
}

void session_handle(const struct frame *frame)
{
    struct refusal why = {.status = HWL_STATUS_OK};
    if (!frame_is_request(frame))
        return;         /* a line that echoes must not make the board talk to itself */
    if (frame->session == session)
        safety_heard();
    if (frame->kind == HWL_COMMAND_HEARTBEAT)
        return;
    if (command_of(frame->kind) == NULL)
        answer_plainly(frame, NULL);
    else if (!sequenced(frame, &why))
        answer_plainly(frame, &why);
}
