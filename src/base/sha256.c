/* sha256.c - collects bytes into blocks of 64 and pads the last; the rounds are in sha256_kern.c.
 *
 * Whole blocks of a long piece go to the kernel in place, only ends are copied. Ending a sum uses it up. A file is
 * read in pieces, as checkpoints are larger than memory.
 */
#include "base/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { PIECE_BYTES = 1 << 18 };

void sha256_init(struct sha256 *h)
{
    *h = (struct sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                   0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void sha256_add(struct sha256 *h, const void *p, size_t n)
{
    const unsigned char *s = p;
    size_t held = h->total % sizeof h->block;
    h->total += n;
    if (held > 0) {
        size_t take = sizeof h->block - held < n ? sizeof h->block - held : n;
        memcpy(h->block + held, s, take);
        s += take;
        n -= take;
        if (held + take < sizeof h->block)
            return;
        sha256_kern(h->state, h->block, 1);
    }
    if (n >= sizeof h->block) {
        size_t blocks = n / sizeof h->block;
        sha256_kern(h->state, s, blocks);
        s += blocks * sizeof h->block;
        n -= blocks * sizeof h->block;
    }
    if (n > 0)
        memcpy(h->block, s, n);
}

void sha256_end(struct sha256 *h, unsigned char out[SHA256_BYTES])
{
    uint64_t bits = h->total * 8;
    unsigned char pad[72] = {0x80};
    size_t n = 64 - (h->total + 8) % 64; /* padding: 1 byte or more, up to the length */
    for (int i = 0; i < 8; i++)
        pad[n + (size_t)i] = (unsigned char)(bits >> (56 - 8 * i));
    sha256_add(h, pad, n + 8);
    for (int i = 0; i < SHA256_BYTES; i++)
        out[i] = (unsigned char)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_hex(struct sha256 *h, char out[SHA256_HEX_SIZE])
{
    unsigned char raw[SHA256_BYTES];
    sha256_end(h, raw);
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        out[2 * i] = "0123456789abcdef"[raw[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[raw[i] & 15];
    }
    out[SHA256_HEX_SIZE - 1] = '\0';
}

bool sha256_is_hex(const char *text)
{
    return text && strlen(text) == SHA256_HEX_SIZE - 1 &&
           strspn(text, "0123456789abcdef") == SHA256_HEX_SIZE - 1;
}

static enum err_code add_file(struct sha256 *h, int fd, unsigned char *piece, const char *path,
                              struct err *e)
{
    for (;;) {
        ssize_t n = read(fd, piece, PIECE_BYTES);
        if (n == 0)
            return ERR_OK;
        if (n > 0)
            sha256_add(h, piece, (size_t)n);
        else if (errno != EINTR)
            return err_set_sys(e, ERR_IO, errno, "cannot read '%s'", path);
    }
}

enum err_code sha256_file(const char *path, char out[SHA256_HEX_SIZE], struct err *e)
{
    struct sha256 h;
    unsigned char *piece = mem_try_alloc(PIECE_BYTES);
    if (!piece)
        return err_set(e, ERR_NOMEM, "no memory to read '%s'", path);
    /* O_NONBLOCK: a pipe in the file's place must not hang. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    enum err_code rc = ERR_OK;
    if (fd < 0)
        rc = err_set_sys(e, errno == ENOENT || errno == ENOTDIR ? ERR_NOTFOUND : ERR_IO, errno,
                         "cannot open '%s'", path);
    sha256_init(&h);
    if (rc == ERR_OK)
        rc = add_file(&h, fd, piece, path, e);
    if (fd >= 0)
        close(fd);
    mem_free(piece);
    out[0] = '\0';
    if (rc == ERR_OK)
        sha256_hex(&h, out);
    return rc;
}
