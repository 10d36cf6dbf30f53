/* naming.h - inside this room: how a canonical name becomes a stored one.
 *
 * A naming is data: a list of rules, and the few stored names by which it is recognised. Patterns:
 *
 *   canonical   #  a number, remembered        *  everything up to the end (last character only)
 *   stored      #  the next remembered number  *  what the canonical * matched
 *               ~  the next number n as levels - 1 - n (blocks that are stored in reversed order)
 *               @  the next two numbers i, j as i * stride + j (nested blocks that are stored flat)
 *               ^  the next number i as i * stride + stride - 1 (the last one of each nest)
 *
 * Rules are tried in order; the first whose stored tensor exists wins. A rule without a stored name says
 * that the canonical name does not exist.
 */
#ifndef VT_WEIGHTS_NAMING_H
#define VT_WEIGHTS_NAMING_H

#include "weights/component.h"

enum { NAMING_MAX_BYTES = 640, NAMING_MAX_PROBES = 4 };

/* Which rows of the stored tensor. */
enum naming_rows {
    ROWS_ALL,
    ROWS_HALF_0,
    ROWS_HALF_1,
    ROWS_THIRD_0,
    ROWS_THIRD_1,
    ROWS_THIRD_2,
    ROWS_SQUARE_0, /* k-th block of as many rows as there are columns */
    ROWS_SQUARE_1,
    ROWS_SQUARE_2,
    ROWS_AFTER_SQUARES, /* all behind three of them */
};

struct naming_rule {
    const char *canonical;
    const char *stored;
    enum naming_rows rows;
};

struct naming {
    const char *id; /* what component_naming says */
    enum component_kind kind;
    /* Stored names that must all exist (after one of the known prefixes). */
    const char *probes[NAMING_MAX_PROBES];
    const struct naming_rule *rules;
    size_t n_rules;
    /* For ~: "decoder.up" counts decoder.up.0., decoder.up.1., ...; NULL when not needed. */
    const char *levels_of;
    /* For @ and ^: blocks stored flat as nest_blocks.0., .1., ..., and a tensor that only the last of a
     * nest has, by which the stride is found. */
    const char *nest_blocks;
    const char *nest_end;
};

/* All of them, most specific first. */
const struct naming *naming_table(size_t *n);

/* The numbers that ~, @ and ^ need, from the checkpoint. */
struct naming_numbers {
    int64_t levels;
    int64_t stride;
};

/* If canonical matches the rule, writes prefix + stored name (NUL-terminated) and returns true. */
bool naming_apply(const struct naming_rule *rule, const struct naming_numbers *numbers,
                  const char *prefix, const char *canonical, char *out, size_t out_size);

/* Which rows of a matrix [n, columns]; false when it does not divide so. */
bool naming_row_range(int64_t n, int64_t columns, enum naming_rows rows, int64_t *begin,
                      int64_t *end);

/* A number as names have it, without leading zeros, at *at, which then stands behind it. */
bool naming_take_number(const char **at, int64_t *out);

#endif
