#include "spi.h"

#include <string.h>

#include "registers.h"
#include "selects.h"

#include "../hal.h"

enum {
    JOBS = 8,                           /* a bus */
    BYTES = 1024,                       /* waiting to be sent, all buses */
    ROOM = 1024,
    WORD_BYTES = 3,                     /* of a DAC */
    IDLE_ROUNDS = 5000,                 /* 16 bits take 6 us at most; so many rounds at least 0.4 ms */
    EMPTY_READS = 100,                  /* an idle transmitter takes a first unit within some clocks */
    RESET_SHIFT = 16
};

/* How frames are sent. A unit is what the data register takes: 16 bits where the frame has an even number of bytes. */
enum kind {
    IDLE,
    WRITE,                              /* nobody wants the answer: units as fast as the transmitter takes them */
    READ,                               /* each unit's answer is taken before the next unit goes out, so that none is
                                           overrun, however long an interrupt may last */
    WORDS                               /* 24 bits to a DAC, which takes 32 too and ignores the first 8: two units */
};

struct answers {
    uint8_t *kept;                      /* where they go; NULL: nobody wants them */
    uint8_t skip;                       /* bytes at the beginning of each */
    bool repeated;                      /* one frame is sent for all of them */
};

struct job {
    const struct select *select;
    const uint8_t *bytes;
    struct answers answers;
    uint16_t frames;
    uint8_t frame_bytes;
};

struct bus {
    uint32_t base;
    uint32_t words_left;                /* of WORDS, behind the one under way; 0 for other kinds */
    uint32_t select_register, select_bit;
    const uint8_t *out, *first_out;
    uint8_t *kept;
    enum kind kind;                     /* of the job under way; IDLE: there is none, and every chip select is high */
    bool wide, repeated;
    uint32_t frames_left;               /* of WRITE and READ, behind the one under way */
    uint32_t units, kept_units;         /* of a frame; the last ones are kept */
    uint32_t units_left;
    uint32_t control;
    uint32_t next, count;
    struct job jobs[JOBS];
};

static struct bus buses[BUSES];
static uint8_t waiting[BYTES];
static uint8_t results[ROOM];
static size_t waiting_count, result_count;
static uint32_t busy;                   /* buses that are not IDLE */
static bool broken;

void spi_start(void)
{
    static const uint32_t bases[BUSES] = {SPI1, SPI2, SPI3};
    reg_enable(RCC_APB2ENR, RCC_APB2ENR_SPI1);
    reg_enable(RCC_APB1ENR, RCC_APB1ENR_SPI2 | RCC_APB1ENR_SPI3);
    memset(buses, 0, sizeof buses);
    for (uint32_t i = 0; i < BUSES; i++)
        buses[i].base = bases[i];
    waiting_count = result_count = 0;
    busy = 0;
    broken = false;
}

/* ---- one frame: what is read twice stands in a variable, since a register could be anything ---- */

static inline void put_unit(struct bus *bus)
{
    const uint8_t *out = bus->out;
    uint32_t data = *out++;
    if (bus->wide)
        data = data << 8 | *out++;
    bus->out = out;
    reg_write(bus->base + SPI_DR, data);
}

static inline void put_word(struct bus *bus)
{
    const uint8_t *out = bus->out;
    uint32_t base = bus->base, reads = EMPTY_READS;
    bus->out = out + WORD_BYTES;
    reg_write(base + SPI_DR, out[0]);
    while ((reg_read(base + SPI_SR) & SPI_SR_TXE) == 0)
        if (--reads == 0)
            return; /* the bus stands still, which its next visits find out */
    reg_write(base + SPI_DR, (uint32_t)out[1] << 8 | out[2]);
}

static inline void keep_unit(struct bus *bus, uint32_t data)
{
    uint8_t *kept = bus->kept;
    if (bus->wide)
        *kept++ = (uint8_t)(data >> 8);
    *kept++ = (uint8_t)data;
    bus->kept = kept;
}

static inline void select(const struct bus *bus)
{
    reg_write(bus->select_register, bus->select_bit << RESET_SHIFT);
}

static inline void deselect(const struct bus *bus)
{
    reg_write(bus->select_register, bus->select_bit);
}

/* Chip select up, and down again for the next frame. Chips want it high for 15 to 30 ns, and two writes in a row are
 * 12 ns apart: two reads between them make it 36 at least. */
static inline void select_again(const struct bus *bus)
{
    uint32_t address = bus->select_register, bit = bus->select_bit;
    reg_write(address, bit);
    (void)reg_read(address - GPIO_BSRR + GPIO_IDR);
    (void)reg_read(address - GPIO_BSRR + GPIO_IDR);
    reg_write(address, bit << RESET_SHIFT);
}

static inline void begin_frame(struct bus *bus)
{
    bus->units_left = bus->units;
    if (bus->repeated)
        bus->out = bus->first_out;
    if (bus->kind == READ)
        put_unit(bus);
    else if (bus->kind == WORDS)
        put_word(bus);
}

/* ---- one bus ---- */

static void set_control(struct bus *bus, uint32_t control)
{
    if (bus->control == control)
        return;
    reg_write(bus->base + SPI_CR1, bus->control & ~SPI_CR1_SPE); /* polarity and width only change while it is off */
    bus->control = control;
    reg_write(bus->base + SPI_CR1, control & ~SPI_CR1_SPE);
    reg_write(bus->base + SPI_CR1, control);
}

static void begin_job(struct bus *bus)
{
    const struct job *job = &bus->jobs[bus->next++];
    const struct select *chip = job->select;
    bool reads = job->answers.kept != NULL, words = chip->is_dac && job->frame_bytes == WORD_BYTES && !reads;
    uint32_t kept_bytes = (uint32_t)(job->frame_bytes - job->answers.skip);
    uint32_t wide = words || ((job->frame_bytes | kept_bytes) & 1u) == 0;
    bus->kind = words ? WORDS : reads ? READ : WRITE;
    bus->wide = wide != 0;
    bus->repeated = job->answers.repeated;
    bus->units = (uint32_t)job->frame_bytes >> wide;
    bus->kept_units = kept_bytes >> wide;
    bus->select_register = chip->port + GPIO_BSRR;
    bus->select_bit = chip->pin_bit;
    bus->out = bus->first_out = job->bytes;
    bus->kept = job->answers.kept;
    bus->frames_left = words ? 0 : job->frames - 1u;
    bus->words_left = words ? job->frames - 1u : 0;
    busy++;
    set_control(bus, wide != 0 ? chip->control | SPI_CR1_DFF : chip->control);
    if (reads) {
        (void)reg_read(bus->base + SPI_DR); /* what came in while nobody wanted it, and the overrun of it */
        (void)reg_read(bus->base + SPI_SR);
    }
    select(bus);
    begin_frame(bus);
}

static __attribute__((noinline)) void end_job(struct bus *bus)
{
    deselect(bus);
    bus->kind = IDLE;
    busy--;
    if (bus->next < bus->count)
        begin_job(bus);
}

/* A frame of WRITE or READ is over. */
static inline void next_frame(struct bus *bus)
{
    if (bus->frames_left == 0) {
        end_job(bus);
        return;
    }
    bus->frames_left--;
    select_again(bus);
    begin_frame(bus);
}

static inline bool visit_write(struct bus *bus)
{
    uint32_t base = bus->base, status = reg_read(base + SPI_SR), left = bus->units_left, before = left;
    for (; left > 0 && (status & SPI_SR_TXE) != 0; left--) {
        put_unit(bus);
        status = reg_read(base + SPI_SR);
    }
    bus->units_left = left;
    if (left > 0 || (status & (SPI_SR_TXE | SPI_SR_BSY)) != SPI_SR_TXE)
        return left != before;
    next_frame(bus);
    return true;
}

/* The busiest of all: 128 words a solve. */
static inline bool next_word(struct bus *bus)
{
    uint32_t left = bus->words_left;
    if ((reg_read(bus->base + SPI_SR) & (SPI_SR_TXE | SPI_SR_BSY)) != SPI_SR_TXE)
        return false;
    bus->words_left = left - 1;
    select_again(bus);
    put_word(bus);
    return true;
}

static bool end_words(struct bus *bus)
{
    if ((reg_read(bus->base + SPI_SR) & (SPI_SR_TXE | SPI_SR_BSY)) != SPI_SR_TXE)
        return false;
    end_job(bus);
    return true;
}

/* Chips that answer are in modes whose clock rests from the last sampled edge on: no need to look at BSY. */
static inline bool visit_read(struct bus *bus)
{
    uint32_t base = bus->base, left = bus->units_left - 1;
    if ((reg_read(base + SPI_SR) & SPI_SR_RXNE) == 0)
        return false;
    uint32_t data = reg_read(base + SPI_DR);
    if (left > 0) {
        bus->units_left = left;
        put_unit(bus); /* first, so that the bus works on */
        if (left < bus->kept_units)
            keep_unit(bus, data);
        return true;
    }
    keep_unit(bus, data); /* there is something to keep, or it were no READ: the last of the frame */
    next_frame(bus);
    return true;
}

static __attribute__((noinline)) bool visit_seldom(struct bus *bus)
{
    if (bus->kind == WRITE)
        return visit_write(bus);
    return bus->kind == WORDS && end_words(bus);
}

/* Do what can be done at once; gives whether that was anything. In line, as calls would cost as much as they do. */
static inline __attribute__((always_inline)) bool visit(struct bus *bus)
{
    if (bus->words_left > 0)
        return next_word(bus);
    if (bus->kind == READ)
        return visit_read(bus);
    return bus->kind != IDLE && visit_seldom(bus);
}

/* ---- all of them ---- */

static void drop_all(void)
{
    for (struct bus *bus = buses; bus < buses + BUSES; bus++) {
        if (bus->kind != IDLE)
            deselect(bus);
        reg_write(bus->base + SPI_CR1, 0);
        bus->control = bus->words_left = 0;
        bus->kind = IDLE;
    }
    busy = 0;
    broken = true;
}

bool spi_drain(void)
{
    uint32_t idle_rounds = 0;
    if (waiting_count == 0)
        return !broken;
    while (busy > 0) {
        bool moved = false;
        moved |= visit(&buses[0]);
        moved |= visit(&buses[1]);
        moved |= visit(&buses[2]);
        if (!moved && ++idle_rounds > IDLE_ROUNDS)
            drop_all();
        else if (moved)
            idle_rounds = 0;
    }
    for (struct bus *bus = buses; bus < buses + BUSES; bus++)
        bus->next = bus->count = 0;
    waiting_count = 0;
    return !broken;
}

bool spi_finish(const uint8_t **given, size_t *count)
{
    bool sound = spi_drain();
    *given = results;
    *count = result_count;
    result_count = 0;
    broken = false;
    return sound;
}

/* ---- the queue ---- */

static void queue(uint16_t number, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes, struct answers answers)
{
    const struct select *chip = select_of(number);
    size_t count = answers.repeated ? frame_bytes : (size_t)frame_bytes * frames;
    if (chip == NULL || count > BYTES) {
        broken = true;
        return;
    }
    if (broken || frame_bytes == 0 || frames == 0)
        return;
    struct bus *bus = &buses[chip->bus];
    if ((bus->count == JOBS || waiting_count + count > BYTES) && !spi_drain())
        return;
    struct job *job = &bus->jobs[bus->count++];
    job->select = chip;
    job->bytes = waiting + waiting_count;
    job->frames = frames;
    job->frame_bytes = frame_bytes;
    job->answers = answers;
    memcpy(waiting + waiting_count, bytes, count);
    waiting_count += count;
    if (bus->kind == IDLE)
        begin_job(bus); /* so that the buses work while the next transfer is made up */
}

static void queue_read(uint16_t number, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes,
                       struct answers answers)
{
    size_t kept = (size_t)(frame_bytes - answers.skip) * frames;
    if (answers.skip >= frame_bytes || kept > ROOM - result_count) {
        broken = true;
        return;
    }
    answers.kept = results + result_count;
    result_count += kept;
    queue(number, frame_bytes, frames, bytes, answers);
}

void hal_spi_write(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes)
{
    queue(select, frame_bytes, frames, bytes, (struct answers){0});
}

void hal_spi_read(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes, uint8_t skip)
{
    queue_read(select, frame_bytes, frames, bytes, (struct answers){.skip = skip});
}

void hal_spi_scan(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *frame, uint8_t skip)
{
    queue_read(select, frame_bytes, frames, frame, (struct answers){.skip = skip, .repeated = true});
}

size_t hal_result_room(void)
{
    return ROOM - result_count;
}
