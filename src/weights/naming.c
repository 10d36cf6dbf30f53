#include "weights/naming.h"

#include <inttypes.h>
#include <stdio.h>

enum { MAX_NUMBERS = 4, MAX_DIGITS = 6 };

struct match {
    int64_t numbers[MAX_NUMBERS];
    int n_numbers;
    const char *rest;
};

bool naming_take_number(const char **at, int64_t *out)
{
    const char *p = *at;
    int64_t v = 0;
    int digits = 0;
    for (; *p >= '0' && *p <= '9' && digits < MAX_DIGITS; p++, digits++)
        v = v * 10 + (*p - '0');
    if (digits == 0 || (digits > 1 && **at == '0'))
        return false;
    *at = p;
    *out = v;
    return true;
}

static bool match_canonical(const char *pattern, const char *name, struct match *m)
{
    *m = (struct match){.rest = ""};
    for (; *pattern; pattern++) {
        if (*pattern == '*') {
            m->rest = name;
            return *name != '\0';
        }
        if (*pattern == '#') {
            if (m->n_numbers == MAX_NUMBERS ||
                !naming_take_number(&name, &m->numbers[m->n_numbers++]))
                return false;
        } else if (*pattern != *name++) {
            return false;
        }
    }
    return *name == '\0';
}

/* The number that a placeholder stands for; takes one or two of the remembered ones. */
static int64_t placeholder(char kind, const struct match *m, int *next,
                           const struct naming_numbers *numbers)
{
    int64_t i = *next < m->n_numbers ? m->numbers[(*next)++] : 0;
    if (kind == '~')
        return numbers->levels - 1 - i;
    if (kind == '^')
        return i * numbers->stride + numbers->stride - 1;
    if (kind == '@') {
        int64_t j = *next < m->n_numbers ? m->numbers[(*next)++] : 0;
        return j < numbers->stride - 1 ? i * numbers->stride + j : -1;
    }
    return i;
}

bool naming_apply(const struct naming_rule *rule, const struct naming_numbers *numbers,
                  const char *prefix, const char *canonical, char *out, size_t out_size)
{
    struct match m;
    int next = 0;
    size_t n = strlen(prefix);
    if (!match_canonical(rule->canonical, canonical, &m) || n >= out_size)
        return false;
    memcpy(out, prefix, n);
    for (const char *p = rule->stored ? rule->stored : ""; *p; p++) {
        char text[24] = {*p, '\0'};
        const char *piece = text;
        if (*p == '*') {
            piece = m.rest;
        } else if (strchr("#~@^", *p)) {
            int64_t v = placeholder(*p, &m, &next, numbers);
            if (v < 0)
                return false;
            (void)snprintf(text, sizeof text, "%" PRId64, v);
        }
        size_t len = strlen(piece);
        if (n + len >= out_size)
            return false;
        memcpy(out + n, piece, len);
        n += len;
    }
    out[n] = '\0';
    return true;
}

bool naming_row_range(int64_t n, int64_t columns, enum naming_rows rows, int64_t *begin,
                      int64_t *end)
{
    int64_t part = 0, size = n;
    if (rows >= ROWS_HALF_0 && rows <= ROWS_HALF_1) {
        part = rows - ROWS_HALF_0;
        size = n % 2 == 0 ? n / 2 : 0;
    } else if (rows >= ROWS_THIRD_0 && rows <= ROWS_THIRD_2) {
        part = rows - ROWS_THIRD_0;
        size = n % 3 == 0 ? n / 3 : 0;
    } else if (rows >= ROWS_SQUARE_0 && rows <= ROWS_SQUARE_2) {
        part = rows - ROWS_SQUARE_0;
        size = columns <= n / 3 ? columns : 0;
    } else if (rows == ROWS_AFTER_SQUARES) {
        *begin = columns <= n / 3 ? 3 * columns : 0;
        *end = n;
        return columns > 0 && *begin > 0 && *begin < n;
    }
    *begin = part * size;
    *end = *begin + size;
    return size > 0;
}
