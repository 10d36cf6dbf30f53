/* tar.c - tar headers and entries as streams; what is written and read is said in tar.h.
 *
 * Nothing seeks: export may write to a pipe and import read from one. The reader keeps how much of the current
 * entry and its padding is left, and skips it before the next header. A header is believed only when its sum is
 * right; extended headers are bounded before they are read.
 */
#include "fetch/tar.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* Offsets and lengths of the header's fields. */
enum {
    AT_NAME = 0,
    AT_MODE = 100,
    AT_SIZE = 124,
    AT_SUM = 148,
    AT_TYPE = 156,
    AT_MAGIC = 257,
    AT_PREFIX = 345,
    NAME_LENGTH = 100,
    NUMBER_LENGTH = 12,
    SUM_LENGTH = 8,
    PREFIX_LENGTH = 155,
};

static const char ustar[8] = {'u', 's', 't', 'a', 'r', 0, '0', '0'}; /* magic and version */
static const uint64_t largest_octal = (UINT64_C(1) << 33) - 1;

/* ---- writing ------------------------------------------------------------------------------------------- */

size_t tar_padding(uint64_t size)
{
    return (size_t)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}

static unsigned sum_of(const unsigned char h[TAR_BLOCK])
{
    unsigned sum = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += i >= AT_SUM && i < AT_SUM + SUM_LENGTH ? ' ' : h[i];
    return sum;
}

static void put_block(struct buf *b, const char *name, uint64_t size, char type)
{
    char h[TAR_BLOCK] = {0};
    for (size_t i = 0; i < NAME_LENGTH && name[i]; i++) /* a name that fills the field has no NUL */
        h[AT_NAME + i] = name[i];
    (void)snprintf(h + AT_MODE, 8, "0000644");
    (void)snprintf(h + 108, 8, "0000000"); /* owner, group and time say nothing */
    (void)snprintf(h + 116, 8, "0000000");
    (void)snprintf(h + AT_SIZE, NUMBER_LENGTH, "%011llo",
                   (unsigned long long)(size > largest_octal ? 0 : size));
    (void)snprintf(h + 136, NUMBER_LENGTH, "00000000000");
    h[AT_TYPE] = type;
    memcpy(h + AT_MAGIC, ustar, sizeof ustar);
    (void)snprintf(h + AT_SUM, SUM_LENGTH, "%06o", sum_of((const unsigned char *)h));
    h[AT_SUM + 7] = ' ';
    buf_add(b, h, sizeof h);
}

/* "LENGTH key=value\n", where LENGTH counts itself. */
static void put_pax(struct buf *b, const char *key, const char *value)
{
    size_t rest = strlen(key) + strlen(value) + 3, digits = 1;
    for (size_t power = 10; rest + digits >= power; power *= 10)
        digits++;
    buf_printf(b, "%zu %s=%s\n", rest + digits, key, value);
}

void tar_put_header(struct buf *b, const char *name, uint64_t size)
{
    static const char zeros[TAR_BLOCK];
    struct buf pax;
    char number[32];
    buf_init(&pax, TAR_MAX_PAX_BYTES);
    if (strlen(name) > NAME_LENGTH)
        put_pax(&pax, "path", name);
    if (size > largest_octal) {
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)size);
        put_pax(&pax, "size", number);
    }
    if (pax.n > 0) {
        put_block(b, "pax", pax.n, 'x');
        buf_add_str(b, buf_str(&pax));
        buf_add(b, zeros, tar_padding(pax.n));
    }
    buf_deinit(&pax);
    put_block(b, name, size, '0');
}

/* ---- reading ------------------------------------------------------------------------------------------- */

void tar_reader_init(struct tar_reader *r, tar_read_fn read, void *user)
{
    *r = (struct tar_reader){.read = read, .user = user};
}

/* n bytes exactly; *none: the input ended before the first. */
static enum err_code read_whole(struct tar_reader *r, void *p, size_t n, bool *none, struct err *e)
{
    size_t have = 0;
    *none = false;
    while (have < n) {
        size_t got = 0;
        enum err_code rc = r->read(r->user, (char *)p + have, n - have, &got, e);
        if (rc != ERR_OK)
            return rc;
        if (got == 0) {
            *none = have == 0;
            return *none ? ERR_OK
                         : err_set(e, ERR_FORMAT, "the archive ends in the middle of an entry");
        }
        have += got;
    }
    return ERR_OK;
}

enum err_code tar_read(struct tar_reader *r, void *p, size_t n, size_t *got, struct err *e)
{
    *got = 0;
    if (n > r->left)
        n = (size_t)r->left;
    if (n == 0)
        return ERR_OK;
    TRY(r->read(r->user, p, n, got, e));
    if (*got == 0)
        return err_set(e, ERR_FORMAT, "the archive ends in the middle of an entry");
    r->left -= *got;
    return ERR_OK;
}

static enum err_code pass_over(struct tar_reader *r, struct err *e)
{
    char piece[16 << 10];
    size_t got;
    r->left += r->padding;
    r->padding = 0;
    while (r->left > 0) {
        enum err_code rc = tar_read(r, piece, sizeof piece, &got, e);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

/* Octal digits, ended by a space, a NUL or the field; or, with the first bit set, base 256. */
static bool read_number(const unsigned char *p, size_t n, uint64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;
    if (p[0] & 0x80) {
        if (p[0] != 0x80)
            return false;
        for (i = 1; i < n; i++) {
            if (v >> 56)
                return false;
            v = v << 8 | p[i];
        }
        *out = v;
        return v >> 60 == 0;
    }
    while (i < n && p[i] == ' ')
        i++;
    size_t first = i;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(p[i] - '0');
    if (i == first || (i < n && p[i] != ' ' && p[i] != 0))
        return false;
    *out = v;
    return true;
}

static size_t field_length(const unsigned char *p, size_t n)
{
    const unsigned char *nul = memchr(p, 0, n);
    return nul ? (size_t)(nul - p) : n;
}

static bool is_zero(const unsigned char h[TAR_BLOCK])
{
    for (size_t i = 0; i < TAR_BLOCK; i++)
        if (h[i])
            return false;
    return true;
}

static enum err_code read_header(const unsigned char h[TAR_BLOCK], struct tar_entry *out,
                                 char *type, struct err *e)
{
    uint64_t sum;
    size_t n = field_length(h + AT_NAME, NAME_LENGTH), at = 0;
    if (!read_number(h + AT_SUM, SUM_LENGTH, &sum) || sum != sum_of(h))
        return err_set(e, ERR_FORMAT, "this is no tar archive, or it is damaged (header sum)");
    if (!read_number(h + AT_SIZE, NUMBER_LENGTH, &out->size))
        return err_set(e, ERR_FORMAT, "an entry of the archive has an unreadable size");
    *type = h[AT_TYPE] ? (char)h[AT_TYPE] : '0';
    size_t prefix =
        memcmp(h + AT_MAGIC, "ustar\0", 6) == 0 ? field_length(h + AT_PREFIX, PREFIX_LENGTH) : 0;
    if (prefix > 0) {
        memcpy(out->name, h + AT_PREFIX, prefix);
        out->name[prefix] = '/';
        at = prefix + 1;
    }
    memcpy(out->name + at, h + AT_NAME, n);
    out->name[at + n] = 0;
    return ERR_OK;
}

/* One "LENGTH key=value\n"; false when it is not. */
static bool pax_line(struct str *rest, struct str *key, struct str *value)
{
    const char *space = memchr(rest->p, ' ', rest->n);
    uint64_t length;
    if (!space || !str_to_u64((struct str){rest->p, (size_t)(space - rest->p)}, &length) ||
        length > rest->n || length < (uint64_t)(space - rest->p) + 3 || rest->p[length - 1] != '\n')
        return false;
    struct str body = {space + 1, (size_t)length - (size_t)(space + 1 - rest->p) - 1};
    const char *equals = memchr(body.p, '=', body.n);
    if (!equals)
        return false;
    *key = (struct str){body.p, (size_t)(equals - body.p)};
    *value = str_skip(body, key->n + 1);
    *rest = str_skip(*rest, (size_t)length);
    return true;
}

struct pax {
    char path[TAR_NAME_BYTES];
    uint64_t size;
    bool has_path, has_size;
};

static enum err_code apply_pax(struct str text, struct pax *pax, struct err *e)
{
    while (text.n > 0) {
        struct str key, value;
        if (!pax_line(&text, &key, &value))
            return err_set(e, ERR_FORMAT, "an extended header of the archive is unreadable");
        if (str_eq_z(key, "path")) {
            if (value.n == 0 || value.n >= sizeof pax->path || memchr(value.p, 0, value.n))
                return err_set(e, ERR_FORMAT, "an entry of the archive has an invalid name");
            memcpy(pax->path, value.p, value.n);
            pax->path[value.n] = 0;
            pax->has_path = true;
        } else if (str_eq_z(key, "size")) {
            if (!str_to_u64(value, &pax->size) || pax->size >> 60)
                return err_set(e, ERR_FORMAT, "an entry of the archive has an invalid size");
            pax->has_size = true;
        } else if (str_starts(key, STR_LIT("GNU.sparse"))) {
            return err_set(e, ERR_FORMAT, "the archive holds sparse files, which bundles do not");
        }
    }
    return ERR_OK;
}

static enum err_code read_pax(struct tar_reader *r, struct pax *pax, struct err *e)
{
    struct buf text;
    bool none = false;
    if (r->left > TAR_MAX_PAX_BYTES)
        return err_set(e, ERR_LIMIT, "an extended header of the archive has %llu bytes",
                       (unsigned long long)r->left);
    buf_init(&text, TAR_MAX_PAX_BYTES);
    size_t n = (size_t)r->left;
    char *p = n ? buf_grow(&text, n) : NULL;
    enum err_code rc = ERR_OK;
    if (n > 0)
        TRY_GOTO(p ? read_whole(r, p, n, &none, e)
                   : err_set(e, ERR_NOMEM, "no memory for an archive"),
                 done);
    if (n > 0 && none) {
        rc = err_set(e, ERR_FORMAT, "the archive ends in the middle of an entry");
        goto done;
    }
    r->left = 0;
    rc = apply_pax(buf_str(&text), pax, e);
done:
    buf_deinit(&text);
    return rc;
}

enum err_code tar_next(struct tar_reader *r, struct tar_entry *out, bool *end, struct err *e)
{
    struct pax pax = {.has_path = false};
    *end = false;
    for (;;) {
        unsigned char h[TAR_BLOCK];
        char type;
        bool none = false;
        TRY(pass_over(r, e));
        TRY(read_whole(r, h, sizeof h, &none, e));
        *end = none || is_zero(h);
        if (*end)
            return ERR_OK;
        TRY(read_header(h, out, &type, e));
        if (type == '0' || type == '7') {
            if (pax.has_path)
                memcpy(out->name, pax.path, sizeof out->name);
            if (pax.has_size)
                out->size = pax.size;
            r->left = out->size;
            r->padding = tar_padding(out->size);
            return ERR_OK;
        }
        if (type != 'x' && type != '5' && type != 'g')
            return err_set(e, ERR_FORMAT,
                           "the archive holds '%.100s', which is no regular file; bundles have no "
                           "links",
                           out->name);
        r->left = type == '5' ? 0 : out->size;
        r->padding = type == '5' ? 0 : tar_padding(out->size);
        if (type == 'x')
            TRY(read_pax(r, &pax, e));
        if (type == '5')
            pax = (struct pax){.has_path = false};
    }
}
