/* The structure of payloads: lists of cells (PULSE, READ), and rows, columns and codes of a batch (SOLVE, MVM). No
 * limits, and nothing moves. Words are checked in one pass and walked in another; none is copied. */
#ifndef HWLOOP_SECTIONS_H
#define HWLOOP_SECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "geometry.h"
#include "refusal.h"

/* True where `end` bytes fit into a payload of `bytes`; else BAD_LENGTH. */
bool reaches(struct refusal *why, size_t bytes, uint32_t end);
/* True where every section header (of `header_bytes`, word count in its last two) and its words, from `offset` on, are
 * there whole. */
bool sections_fit(const uint8_t *payload, size_t bytes, uint32_t offset, uint32_t header_bytes, struct refusal *why);

/* ---- lists of cells ---- */

/* What is left of the words of one PULSE or READ section. */
struct cell_list {
    const uint8_t *at;
    const uint8_t *end;
    uint8_t layout;                 /* enum hwl_layout, checked */
    uint8_t target;                 /* enum hwl_target, checked; READ: COMMON */
};

/* The cells of one row pulse or row read, in ascending order of columns, which is the order listed. */
struct cell_group {
    uint16_t row;
    uint16_t column_mask;
    uint16_t gate_code;             /* filled in where the list has target GATE */
    uint16_t amplitude_codes[HWL_MAX_COLUMNS]; /* by column, filled in where the list has target AMPLITUDE */
};

/* True where the words list cells of this board; `cells` becomes their number. Refusals count from `first_cell` on. */
bool cell_list_check(struct cell_list list, uint32_t first_cell, uint32_t *cells, struct refusal *why);
/* The next group of a list that was checked. False: there is none. */
bool cell_list_next(struct cell_list *list, struct cell_group *group);

/* ---- batches ---- */

/* One SOLVE or MVM section; the pointers stand in the payload. */
struct batch {
    const uint8_t *header;          /* section header: the part that the two commands do not share */
    const uint8_t *rows;            /* indices; or first row, number of words, mask words */
    const uint8_t *feedback;        /* u16 a column, or NULL */
    const uint8_t *bias;            /* i16 a column, or NULL */
    const uint8_t *inputs;          /* i16 an active row, solve after solve */
    uint8_t rows_layout;            /* enum hwl_rows */
    uint16_t averages;
    uint16_t column_mask;
    uint16_t settle_ticks;
    uint16_t row_count;
    uint16_t solve_count;
    uint32_t columns;               /* in column_mask */
};

/* Fill `batch` from the header at `header` (SOLVE or MVM); checks nothing. */
void batch_header(const uint8_t *header, struct batch *batch);
/* Check rows, columns and lengths of the batch whose words begin at *offset, find its parts, set *offset behind it. */
bool batch_check(const uint8_t *payload, size_t bytes, uint32_t *offset, bool feedback, bool bias, uint32_t position,
                 struct batch *batch, struct refusal *why);
/* The active rows of a batch that was checked, 16 a word, over all rows of the board. */
void batch_row_mask(const struct batch *batch, uint16_t *row_mask);

/* Bytes of so many bits, packed into 16-bit words. */
static inline uint32_t packed_bits_bytes(uint32_t bits)
{
    return (bits + 15) / 16 * 2;
}

#endif
