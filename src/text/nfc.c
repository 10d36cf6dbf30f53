/* nfc.c - NFC through utf8proc's tables, with the reordering of marks done here.
 *
 * The library's own decomposition of a string sorts combining marks by swapping neighbours, which takes
 * quadratic time for a long run of them; a prompt of a megabyte of marks would hang. So characters are
 * decomposed one at a time, each run of marks is sorted stably by counting its classes, and the library
 * composes the result, which is linear.
 */
#include "text/nfc.h"

#include <stdint.h>
#include <string.h>
#include <utf8proc.h>

#include "base/ck.h"
#include "base/late.h"
#include "base/mem.h"

enum { SHORT_RUN = 16, MAX_DECOMPOSED = 32 };

#define UTF8PROC_FUNCTIONS(X)                                                                      \
    X(utf8proc_decompose_char)                                                                     \
    X(utf8proc_encode_char)                                                                        \
    X(utf8proc_errmsg)                                                                             \
    X(utf8proc_get_property)                                                                       \
    X(utf8proc_normalize_utf32)

LATE_LIBRARY(text_utf8proc, "normalising text", UTF8PROC_FUNCTIONS)

static const utf8proc_option_t COMPOSE = (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE);

struct cp_range {
    int32_t first, last;
};

/* No character in these decomposes canonically, is a combining mark, or composes with one before it. */
static const struct cp_range trivial[] = {
    {0x0000, 0x02ff}, {0x0370, 0x0373}, {0x0376, 0x037d},   {0x0388, 0x0482},   {0x048a, 0x0590},
    {0x05d0, 0x05ea}, {0x0620, 0x064a}, {0x0904, 0x0928},   {0x0e01, 0x0e33},   {0x1e00, 0x1eff},
    {0x2002, 0x206f}, {0x20a0, 0x20bf}, {0x2190, 0x2328},   {0x232b, 0x2adb},   {0x2e80, 0x2fff},
    {0x3000, 0x3029}, {0x3030, 0x3098}, {0x309b, 0x30ff},   {0x3105, 0x318e},   {0x31a0, 0xa66e},
    {0xac00, 0xd7a3}, {0xff00, 0xffef}, {0x1f000, 0x1faff}, {0x20000, 0x2f7ff},
};

static bool cp_is_trivial(int32_t cp)
{
    size_t lo = 0, hi = sizeof trivial / sizeof *trivial;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cp > trivial[mid].last)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < sizeof trivial / sizeof *trivial && cp >= trivial[lo].first;
}

/* The code point at p of well-formed UTF-8, and its length. */
static int32_t cp_at(const unsigned char *p, size_t *len)
{
    if (p[0] < 0x80) {
        *len = 1;
        return p[0];
    }
    if (p[0] < 0xe0) {
        *len = 2;
        return ((p[0] & 0x1f) << 6) | (p[1] & 0x3f);
    }
    if (p[0] < 0xf0) {
        *len = 3;
        return ((p[0] & 0x0f) << 12) | ((p[1] & 0x3f) << 6) | (p[2] & 0x3f);
    }
    *len = 4;
    return ((p[0] & 0x07) << 18) | ((p[1] & 0x3f) << 12) | ((p[2] & 0x3f) << 6) | (p[3] & 0x3f);
}

bool nfc_is_trivial(struct str text)
{
    const unsigned char *p = (const unsigned char *)text.p;
    size_t i = 0;
    while (i < text.n) {
        uint64_t word;
        if (text.n - i >= sizeof word) {
            memcpy(&word, p + i, sizeof word);
            if ((word & 0x8080808080808080u) == 0) {
                i += sizeof word;
                continue;
            }
        }
        size_t len;
        if (!cp_is_trivial(cp_at(p + i, &len)))
            return false;
        i += len;
    }
    return true;
}

/* ---- decompose, sort, compose ------------------------------------------------------------------ */

struct cp_list {
    int32_t *p;
    size_t n, cap;
    int32_t *spare; /* for sorting long runs; as long as p */
};

static bool reserve(struct cp_list *l, size_t more)
{
    size_t want, bytes;
    if (!ck_add_size(l->n, more, &want))
        return false;
    if (l->p && want <= l->cap)
        return true;
    if (!ck_add_size(want, want / 2, &want) || !ck_mul_size(want, sizeof *l->p, &bytes))
        return false;
    int32_t *p = mem_try_realloc(l->p, bytes);
    if (!p)
        return false;
    l->p = p;
    l->cap = want;
    return true;
}

static int class_of(int32_t cp)
{
    return utf8proc_get_property(cp)->combining_class;
}

static void sort_short_run(int32_t *p, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        int32_t cp = p[i];
        size_t j = i;
        for (; j > 0 && class_of(p[j - 1]) > class_of(cp); j--)
            p[j] = p[j - 1];
        p[j] = cp;
    }
}

/* Stable counting sort by combining class. */
static bool sort_long_run(struct cp_list *l, int32_t *p, size_t n)
{
    size_t start[257] = {0};
    if (!l->spare)
        l->spare = mem_try_array(l->cap, sizeof *l->spare);
    if (!l->spare)
        return false;
    for (size_t i = 0; i < n; i++)
        start[class_of(p[i]) + 1]++;
    for (size_t c = 1; c < 257; c++)
        start[c] += start[c - 1];
    for (size_t i = 0; i < n; i++)
        l->spare[start[class_of(p[i])]++] = p[i];
    memcpy(p, l->spare, n * sizeof *p);
    return true;
}

static bool sort_marks(struct cp_list *l)
{
    size_t i = 0;
    while (i < l->n) {
        size_t from = i;
        while (i < l->n && class_of(l->p[i]) != 0)
            i++;
        if (i - from > SHORT_RUN) {
            if (!sort_long_run(l, l->p + from, i - from))
                return false;
        } else if (i - from > 1) {
            sort_short_run(l->p + from, i - from);
        }
        i = i == from ? i + 1 : i;
    }
    return true;
}

static bool decompose(struct str text, struct cp_list *l)
{
    const unsigned char *p = (const unsigned char *)text.p;
    for (size_t i = 0; i < text.n;) {
        size_t len;
        int32_t cp = cp_at(p + i, &len);
        if (!reserve(l, MAX_DECOMPOSED))
            return false;
        if (cp < 0xc0) {
            l->p[l->n++] = cp;
        } else {
            int boundary = 0;
            utf8proc_ssize_t got =
                utf8proc_decompose_char(cp, l->p + l->n, MAX_DECOMPOSED, COMPOSE, &boundary);
            if (got < 0 || got > MAX_DECOMPOSED)
                return false;
            l->n += (size_t)got;
        }
        i += len;
    }
    return true;
}

static void encode(const int32_t *p, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        utf8proc_uint8_t utf8[4];
        buf_add(out, utf8, (size_t)utf8proc_encode_char(p[i], utf8));
    }
}

enum err_code nfc_append(struct str text, struct buf *out, struct err *e)
{
    struct cp_list l = {0};
    enum err_code rc = ERR_OK;
    TRY(late_open(&text_utf8proc, e));
    if (!reserve(&l, text.n + MAX_DECOMPOSED) || !decompose(text, &l) || !sort_marks(&l)) {
        rc = err_set(e, ERR_NOMEM, "no memory to normalise %zu bytes of text", text.n);
    } else {
        utf8proc_ssize_t n = utf8proc_normalize_utf32(l.p, (utf8proc_ssize_t)l.n, COMPOSE);
        if (n < 0)
            rc = err_set(e, ERR_INTERNAL, "cannot normalise the text: %s", utf8proc_errmsg(n));
        else
            encode(l.p, (size_t)n, out);
    }
    mem_free(l.p);
    mem_free(l.spare);
    if (rc == ERR_OK && buf_failed(out))
        rc = err_set(e, ERR_LIMIT, "the text is too long once normalised");
    return rc;
}
