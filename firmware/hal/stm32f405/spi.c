#include "spi.h"

#include <string.h>

#include "registers.h"
#include "selects.h"

#include "../hal.h"

enum {
    JOBS = 8,                           /* a bus */
    BYTES = 1024,                       /* waiting to be sent, all buses */
    ROOM = 1024,
    IN_FLIGHT = 2,                      /* bytes: one in the shift register, one behind it */
    IDLE_VISITS = 5000,                 /* a byte takes 3 us at most; so many visits at least 0.4 ms */
    RESET_SHIFT = 16
};

struct job {
    const struct select *select;
    const uint8_t *bytes;
    uint8_t *kept;                      /* where the answers go; NULL: nobody wants them */
    uint16_t frames;
    uint8_t frame_bytes, skip;
    bool repeated;                      /* one frame for all */
};

struct bus {
    uint32_t base, control;
    uint32_t next, count;               /* of jobs[] */
    const struct job *job;              /* under way; NULL: none, and every chip select is high */
    const uint8_t *out;
    uint8_t *kept;
    uint32_t frames_left;               /* behind the one under way */
    uint32_t to_send, to_receive;       /* bytes of the frame under way; to_receive stays 0 where nobody wants them */
    struct job jobs[JOBS];
};

static struct bus buses[BUSES];
static uint8_t waiting[BYTES];
static uint8_t results[ROOM];
static size_t waiting_count, result_count;
static bool broken;

void spi_start(void)
{
    static const uint32_t bases[BUSES] = {SPI1, SPI2, SPI3};
    reg_set(RCC_APB2ENR, RCC_APB2ENR_SPI1);
    reg_set(RCC_APB1ENR, RCC_APB1ENR_SPI2 | RCC_APB1ENR_SPI3);
    memset(buses, 0, sizeof buses);
    for (uint32_t i = 0; i < BUSES; i++)
        buses[i].base = bases[i];
    waiting_count = result_count = 0;
    broken = false;
}

/* ---- one bus ---- */

static void begin_frame(struct bus *bus)
{
    const struct job *job = bus->job;
    reg_write(job->select->port + GPIO_BSRR, (uint32_t)job->select->pin_bit << RESET_SHIFT);
    bus->to_send = job->frame_bytes;
    bus->to_receive = job->kept != NULL ? job->frame_bytes : 0;
    if (job->repeated)
        bus->out = job->bytes;
}

static void begin_job(struct bus *bus)
{
    const struct job *job = &bus->jobs[bus->next++];
    bus->job = job;
    bus->out = job->bytes;
    bus->kept = job->kept;
    bus->frames_left = job->frames - 1u;
    if (bus->control != job->select->control) {
        bus->control = job->select->control;
        reg_write(bus->base + SPI_CR1, bus->control & ~SPI_CR1_SPE); /* polarity only moves while it is off */
        reg_write(bus->base + SPI_CR1, bus->control);
    }
    if (job->kept != NULL) {
        (void)reg_read(bus->base + SPI_DR); /* what came in while nobody wanted it, and the overrun of it */
        (void)reg_read(bus->base + SPI_SR);
    }
    begin_frame(bus);
}

/* The frame under way has left: on to the next one. False: there is none. */
static bool next_frame(struct bus *bus)
{
    const struct job *job = bus->job;
    if (job != NULL) {
        reg_write(job->select->port + GPIO_BSRR, job->select->pin_bit);
        if (bus->frames_left > 0) {
            bus->frames_left--;
            begin_frame(bus);
            return true;
        }
        bus->job = NULL;
    }
    if (bus->next == bus->count)
        return false;
    begin_job(bus);
    return true;
}

static void take_byte(struct bus *bus)
{
    uint8_t byte = (uint8_t)reg_read(bus->base + SPI_DR);
    if (bus->job->frame_bytes - bus->to_receive >= bus->job->skip)
        *bus->kept++ = byte;
    bus->to_receive--;
}

/* Whether one more byte may go out: what comes back must be taken before the one behind it has come. */
static bool may_send(const struct bus *bus)
{
    return bus->to_send > 0 && (bus->job->kept == NULL || bus->to_receive - bus->to_send < IN_FLIGHT);
}

/* Do what can be done at once; gives whether that was anything. */
static bool visit(struct bus *bus)
{
    uint32_t status = reg_read(bus->base + SPI_SR);
    bool moved = false;
    if (bus->to_receive > 0 && (status & SPI_SR_RXNE) != 0) {
        take_byte(bus);
        moved = true;
    }
    if (bus->to_send == 0 && bus->to_receive == 0) {
        if (bus->job != NULL && (status & (SPI_SR_TXE | SPI_SR_BSY)) != SPI_SR_TXE)
            return moved;
        if (!next_frame(bus))
            return true;
        status = SPI_SR_TXE;
        moved = true;
    }
    while ((status & SPI_SR_TXE) != 0 && may_send(bus)) {
        reg_write(bus->base + SPI_DR, *bus->out++);
        bus->to_send--;
        moved = true;
        status = reg_read(bus->base + SPI_SR);
    }
    return moved;
}

static bool is_busy(const struct bus *bus)
{
    return bus->job != NULL || bus->next < bus->count;
}

/* ---- all of them ---- */

static void drop_all(void)
{
    for (struct bus *bus = buses; bus < buses + BUSES; bus++) {
        if (bus->job != NULL)
            reg_write(bus->job->select->port + GPIO_BSRR, bus->job->select->pin_bit);
        reg_write(bus->base + SPI_CR1, 0);
        bus->control = 0;
        bus->job = NULL;
        bus->next = bus->count = bus->to_send = bus->to_receive = 0;
    }
    waiting_count = 0;
    broken = true;
}

bool spi_drain(void)
{
    uint32_t idle_visits = 0;
    bool busy = waiting_count > 0;
    while (busy) {
        bool moved = false;
        busy = false;
        for (struct bus *bus = buses; bus < buses + BUSES; bus++) {
            if (!is_busy(bus))
                continue;
            moved = visit(bus) || moved;
            busy = true;
        }
        idle_visits = moved ? 0 : idle_visits + 1;
        if (busy && idle_visits > IDLE_VISITS) {
            drop_all();
            break;
        }
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

static void queue(uint16_t select, struct job job, const uint8_t *bytes)
{
    size_t count = (size_t)job.frame_bytes * (job.repeated ? 1u : job.frames);
    job.select = select_of(select);
    if (job.select == NULL || count > BYTES) {
        broken = true;
        return;
    }
    if (broken || count == 0)
        return;
    struct bus *bus = &buses[job.select->bus];
    if (bus->count == JOBS || waiting_count + count > BYTES) {
        if (!spi_drain())
            return;
    }
    memcpy(waiting + waiting_count, bytes, count);
    job.bytes = waiting + waiting_count;
    waiting_count += count;
    bus->jobs[bus->count++] = job;
    /* So that the buses work while the next transfer is made up. */
    for (bus = buses; bus < buses + BUSES; bus++)
        if (is_busy(bus))
            (void)visit(bus);
}

static void queue_read(uint16_t select, struct job job, const uint8_t *bytes)
{
    size_t kept = (size_t)(job.frame_bytes - job.skip) * job.frames;
    if (job.skip >= job.frame_bytes || kept > ROOM - result_count) {
        broken = true;
        return;
    }
    job.kept = results + result_count;
    result_count += kept;
    queue(select, job, bytes);
}

void hal_spi_write(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes)
{
    queue(select, (struct job){.frames = frames, .frame_bytes = frame_bytes}, bytes);
}

void hal_spi_read(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *bytes, uint8_t skip)
{
    queue_read(select, (struct job){.frames = frames, .frame_bytes = frame_bytes, .skip = skip}, bytes);
}

void hal_spi_scan(uint16_t select, uint8_t frame_bytes, uint16_t frames, const uint8_t *frame, uint8_t skip)
{
    queue_read(select, (struct job){.frames = frames, .frame_bytes = frame_bytes, .skip = skip, .repeated = true},
               frame);
}

size_t hal_result_room(void)
{
    return ROOM - result_count;
}
