#include "fetch/git_blob.h"

#include <stdio.h>
#include <string.h>

static uint32_t rotl(uint32_t x, int n)
{
    return x << n | x >> (32 - n);
}

/* What one of the 80 rounds mixes b, c and d with, and its constant (FIPS 180-4, section 6.1). */
static uint32_t mix(size_t round, uint32_t b, uint32_t c, uint32_t d)
{
    if (round < 20)
        return ((b & c) | (~b & d)) + 0x5a827999;
    if (round < 40)
        return (b ^ c ^ d) + 0x6ed9eba1;
    if (round < 60)
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    return (b ^ c ^ d) + 0xca62c1d6;
}

static void add_block(uint32_t h[5], const unsigned char *p)
{
    uint32_t w[80], v[5];
    for (size_t i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (size_t i = 16; i < 80; i++)
        w[i] = rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    memcpy(v, h, sizeof v);
    for (size_t i = 0; i < 80; i++) {
        uint32_t t = rotl(v[0], 5) + mix(i, v[1], v[2], v[3]) + v[4] + w[i];
        v[4] = v[3];
        v[3] = v[2];
        v[2] = rotl(v[1], 30);
        v[1] = v[0];
        v[0] = t;
    }
    for (size_t i = 0; i < 5; i++)
        h[i] += v[i];
}

void git_blob_init(struct git_blob *g, uint64_t size)
{
    char head[40];
    int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)size);
    *g = (struct git_blob){.h = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
    git_blob_add(g, head, (size_t)n + 1);
}

void git_blob_add(struct git_blob *g, const void *p, size_t n)
{
    const unsigned char *s = p;
    while (n > 0) {
        size_t used = g->bytes % sizeof g->block, take = sizeof g->block - used;
        if (take > n)
            take = n;
        memcpy(g->block + used, s, take);
        g->bytes += take;
        s += take;
        n -= take;
        if (used + take == sizeof g->block)
            add_block(g->h, g->block);
    }
}

void git_blob_end(struct git_blob *g, char out[GIT_BLOB_HEX_BYTES])
{
    static const unsigned char padding[64] = {0x80};
    unsigned char length[8];
    uint64_t bits = g->bytes * 8;
    size_t used = g->bytes % sizeof g->block;
    for (size_t i = 0; i < 8; i++)
        length[i] = (unsigned char)(bits >> (56 - 8 * i));
    git_blob_add(g, padding, used < 56 ? 56 - used : 120 - used);
    git_blob_add(g, length, sizeof length);
    for (size_t i = 0; i < 5; i++)
        (void)snprintf(out + 8 * i, 9, "%08x", g->h[i]);
}
