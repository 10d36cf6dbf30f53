/* segments.c - the bits that say which blocks of a file are there, and their file; the format is in segments.h.
 *
 * Blocks grow with the file, to keep the state small and a lost block cheap. Decoding accepts only exactly what
 * encoding makes: any other length, sum or bit is an unreadable state, which costs a fresh start and nothing else.
 */
#include "fetch/segments.h"

#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"

static const char magic[8] = {'V', 'T', 'F', 'E', 'T', 'C', 'H', '1'};

enum {
    HEAD_BYTES = 8 + 8 + 8 + 2,
    MIN_BLOCK = 64 << 10,
    MAX_BLOCK = 64 << 20,
    MAX_BLOCKS = 1 << 24
};

uint64_t segments_block_for(uint64_t size)
{
    uint64_t block = 256 << 10;
    while (block < 16 << 20 && size / block > 512)
        block *= 2;
    while (size / block >= MAX_BLOCKS && block < MAX_BLOCK)
        block *= 2;
    return block;
}

static enum err_code set_up(struct segments *s, uint64_t size, uint64_t block, struct str identity,
                            struct err *e)
{
    *s = (struct segments){.size = size, .block_bytes = block};
    if (identity.n >= sizeof s->identity)
        return err_set(e, ERR_LIMIT, "a file's identity has %zu bytes", identity.n);
    if (size > (uint64_t)MAX_BLOCKS * block)
        return err_set(e, ERR_LIMIT, "a file of %llu bytes is too large", (unsigned long long)size);
    s->count = (size_t)(size / block + (size % block != 0));
    s->bits = mem_try_alloc((s->count + 7) / 8 + 1);
    if (!s->bits)
        return err_set(e, ERR_NOMEM, "no memory for the state of a download");
    if (identity.n)
        memcpy(s->identity, identity.p, identity.n);
    return ERR_OK;
}

enum err_code segments_init(struct segments *s, uint64_t size, const char *identity, struct err *e)
{
    return set_up(s, size, segments_block_for(size), str_from(identity), e);
}

void segments_deinit(struct segments *s)
{
    mem_free(s->bits);
    *s = (struct segments){0};
}

void segments_clear(struct segments *s)
{
    memset(s->bits, 0, (s->count + 7) / 8);
    s->done = 0;
}

void segments_mark(struct segments *s, size_t i)
{
    if (segments_has(s, i))
        return;
    s->bits[i / 8] = (unsigned char)(s->bits[i / 8] | 1u << (i % 8));
    s->done++;
}

uint64_t segments_block_start(const struct segments *s, size_t i)
{
    return i * s->block_bytes;
}

uint64_t segments_block_length(const struct segments *s, size_t i)
{
    uint64_t start = segments_block_start(s, i);
    return s->size - start < s->block_bytes ? s->size - start : s->block_bytes;
}

uint64_t segments_prefix_bytes(const struct segments *s, uint64_t from_bytes)
{
    size_t i = (size_t)(from_bytes / s->block_bytes);
    while (i < s->count && segments_has(s, i))
        i++;
    return i == s->count ? s->size : segments_block_start(s, i);
}

uint64_t segments_bytes_done(const struct segments *s)
{
    if (s->count == 0)
        return 0;
    uint64_t bytes = s->done * s->block_bytes;
    return segments_has(s, s->count - 1)
               ? bytes - s->block_bytes + segments_block_length(s, s->count - 1)
               : bytes;
}

/* ---- the state file ------------------------------------------------------------------------------------ */

static void add_number(struct buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_add_byte(b, (unsigned)(v >> (8 * i) & 0xff));
}

static uint64_t number_at(const char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return v;
}

static void digest_of(struct str s, unsigned char out[SHA256_BYTES])
{
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, s.p, s.n);
    sha256_end(&h, out);
}

void segments_encode(const struct segments *s, struct buf *out)
{
    unsigned char sum[SHA256_BYTES];
    size_t start = out->n, identity = strlen(s->identity);
    buf_add(out, magic, sizeof magic);
    add_number(out, s->size, 8);
    add_number(out, s->block_bytes, 8);
    add_number(out, identity, 2);
    buf_add(out, s->identity, identity);
    buf_add(out, s->bits, (s->count + 7) / 8);
    if (buf_failed(out))
        return;
    digest_of((struct str){out->p + start, out->n - start}, sum);
    buf_add(out, sum, sizeof sum);
}

static enum err_code broken(struct err *e)
{
    return err_set(e, ERR_FORMAT, "the state of a download is not readable");
}

/* Bits past the last block would be blocks that do not exist. */
static bool read_bits(struct segments *s, const unsigned char *bits)
{
    size_t bytes = (s->count + 7) / 8;
    if (s->count % 8 != 0 && bits[bytes - 1] >> (s->count % 8) != 0)
        return false;
    memcpy(s->bits, bits, bytes);
    for (size_t i = 0; i < s->count; i++)
        s->done += segments_has(s, i);
    return true;
}

enum err_code segments_decode(struct str bytes, struct segments *out, struct err *e)
{
    unsigned char sum[SHA256_BYTES];
    *out = (struct segments){0};
    if (bytes.n < HEAD_BYTES + SHA256_BYTES || memcmp(bytes.p, magic, sizeof magic) != 0)
        return broken(e);
    struct str body = {bytes.p, bytes.n - SHA256_BYTES};
    digest_of(body, sum);
    if (memcmp(sum, bytes.p + body.n, sizeof sum) != 0)
        return broken(e);
    uint64_t size = number_at(bytes.p + 8, 8), block = number_at(bytes.p + 16, 8);
    size_t identity = (size_t)number_at(bytes.p + 24, 2);
    if (block < MIN_BLOCK || block > MAX_BLOCK || (block & (block - 1)) != 0 ||
        size > (uint64_t)MAX_BLOCKS * block)
        return broken(e);
    size_t count = (size_t)(size / block + (size % block != 0));
    if (identity >= SEGMENTS_IDENTITY_BYTES || body.n != HEAD_BYTES + identity + (count + 7) / 8 ||
        memchr(bytes.p + HEAD_BYTES, 0, identity))
        return broken(e);
    enum err_code rc;
    TRY_GOTO(set_up(out, size, block, (struct str){bytes.p + HEAD_BYTES, identity}, e), done);
    if (count > 0 && !read_bits(out, (const unsigned char *)bytes.p + HEAD_BYTES + identity))
        rc = broken(e);
done:
    if (rc != ERR_OK)
        segments_deinit(out);
    return rc;
}
