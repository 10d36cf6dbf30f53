/* fake_unpack.c - the kernels in C: stored weights, one number at a time, as GGUF's documentation says how they lie. */
#include "fake_kernels_impl.h"

typedef unsigned char byte;
/* Number i of the block. */
typedef float (*number_fn)(const byte *b, int i);

static float half(const byte *b, int at)
{
    return load(b + at, 0, NV_F16);
}

static int low(byte b)
{
    return b & 15;
}

static int high(byte b)
{
    return b >> 4;
}

static int bit(const byte *b, int i)
{
    return b[i / 8] >> i % 8 & 1;
}

/* 32 codes in 16 bytes: the first half in the low bits. */
static int code(const byte *q, int i)
{
    return i < 16 ? low(q[i]) : high(q[i - 16]);
}

static float e4m3(int b)
{
    int exponent = b >> 3 & 15, m = b & 7;
    float f = exponent ? ldexpf((float)(8 + m), exponent - 10) : ldexpf((float)m, -9);
    return b & 128 ? -f : f;
}

static float e2m1(int q)
{
    static const float values[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    return q > 8 ? -values[q & 7] : values[q & 7]; /* there is no -0 */
}

static float q4_0(const byte *b, int i)
{
    return (float)(code(b + 2, i) - 8) * half(b, 0);
}

static float q4_1(const byte *b, int i)
{
    float p = (float)code(b + 4, i) * half(b, 0);
    return p + half(b, 2);
}

static float q5_0(const byte *b, int i)
{
    return (float)(code(b + 6, i) + 16 * bit(b + 2, i) - 16) * half(b, 0);
}

static float q5_1(const byte *b, int i)
{
    float p = (float)(code(b + 8, i) + 16 * bit(b + 4, i)) * half(b, 0);
    return p + half(b, 2);
}

static float q8_0(const byte *b, int i)
{
    return (float)(signed char)b[2 + i] * half(b, 0);
}

/* Two bits of 256 numbers: in each half of them the first 32 in the lowest bits of 32 bytes. */
static int two_bits(const byte *q, int i)
{
    return q[i / 128 * 32 + i % 32] >> (2 * (i % 128 / 32)) & 3;
}

static float q2_k(const byte *b, int i)
{
    float d = half(b, 80) * (float)low(b[i / 16]), m = half(b, 82) * (float)high(b[i / 16]);
    float p = d * (float)two_bits(b + 16, i);
    return p - m;
}

static float q3_k(const byte *b, int i)
{
    const byte *s = b + 96;
    int k = i / 16;
    int scale = (k < 8 ? low(s[k]) : high(s[k - 8])) + 16 * (s[8 + k % 4] >> (2 * (k / 4)) & 3);
    int q = two_bits(b + 32, i) - (b[i % 32] >> (i / 32) & 1 ? 0 : 4);
    return half(b, 108) * (float)(scale - 32) * (float)q;
}

/* Eight scales and eight least values of six bits in twelve bytes. */
static void six_bits(const byte *s, int k, int *scale, int *least)
{
    if (k < 4) {
        *scale = s[k] & 63;
        *least = s[k + 4] & 63;
        return;
    }
    *scale = low(s[k + 4]) + 16 * (s[k - 4] >> 6);
    *least = high(s[k + 4]) + 16 * (s[k] >> 6);
}

static float with_least(const byte *b, int i, int q)
{
    int scale, least;
    six_bits(b + 4, i / 32, &scale, &least);
    float d = half(b, 0) * (float)scale, m = half(b, 2) * (float)least;
    float p = d * (float)q;
    return p - m;
}

/* In each 64 the first 32 in the low bits. */
static int four_bits(const byte *q, int i)
{
    byte b = q[i / 64 * 32 + i % 32];
    return i % 64 < 32 ? low(b) : high(b);
}

static float q4_k(const byte *b, int i)
{
    return with_least(b, i, four_bits(b + 16, i));
}

static float q5_k(const byte *b, int i)
{
    return with_least(b, i, four_bits(b + 48, i) + 16 * (b[16 + i % 32] >> (i / 32) & 1));
}

static float q6_k(const byte *b, int i)
{
    int l = i % 128;
    byte four = b[i / 128 * 64 + l % 64];
    int q = (l < 64 ? low(four) : high(four)) + 16 * two_bits(b + 128, i);
    return half(b, 208) * (float)(signed char)b[192 + i / 16] * (float)(q - 32);
}

static const float iq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                              1,    13,   25,  38,  53,  69,  89,  113};

static float iq4_nl(const byte *b, int i)
{
    return half(b, 0) * iq4[code(b + 2, i)];
}

static float iq4_xs(const byte *b, int i)
{
    int k = i / 32, four = k % 2 ? high(b[4 + k / 2]) : low(b[4 + k / 2]);
    int two = (b[2] + 256 * b[3]) >> (2 * k) & 3;
    return half(b, 0) * (float)(four + 16 * two - 32) * iq4[code(b + 8 + 16 * k, i % 32)];
}

/* Digit n (the first is 0) of five of base three, which a byte holds as a part of 256. */
static int digit(byte b, int n)
{
    static const int powers[5] = {1, 3, 9, 27, 81};
    return (b * powers[n] & 255) * 3 >> 8;
}

static float tq1_0(const byte *b, int i)
{
    int d = i < 160   ? digit(b[i % 32], i / 32)
            : i < 240 ? digit(b[32 + i % 16], (i - 160) / 16)
                      : digit(b[48 + i % 4], (i - 240) / 4);
    return (float)(d - 1) * half(b, 52);
}

static float tq2_0(const byte *b, int i)
{
    return (float)(two_bits(b, i) - 1) * half(b, 64);
}

static float mxfp4(const byte *b, int i)
{
    return ldexpf(e2m1(code(b + 1, i)), b[0] - 127);
}

static float nvfp4(const byte *b, int i)
{
    byte q = b[4 + i / 16 * 8 + i % 8];
    return e4m3(b[i / 16]) * e2m1(i % 16 < 8 ? low(q) : high(q));
}

static float float8_e4m3(const byte *b, int i)
{
    (void)i;
    return e4m3(b[0]);
}

static float float8_e5m2(const byte *b, int i)
{
    byte h[2] = {0, b[0]};
    (void)i;
    return half(h, 0);
}

static float int8(const byte *b, int i)
{
    (void)i;
    return (float)(signed char)b[0];
}

static const struct {
    int numbers, bytes;
    number_fn number;
} kinds[NV_BLOCKS_KINDS] = {
    [NV_BLOCKS_Q4_0] = {32, 18, q4_0},      [NV_BLOCKS_Q4_1] = {32, 20, q4_1},
    [NV_BLOCKS_Q5_0] = {32, 22, q5_0},      [NV_BLOCKS_Q5_1] = {32, 24, q5_1},
    [NV_BLOCKS_Q8_0] = {32, 34, q8_0},      [NV_BLOCKS_Q2_K] = {256, 84, q2_k},
    [NV_BLOCKS_Q3_K] = {256, 110, q3_k},    [NV_BLOCKS_Q4_K] = {256, 144, q4_k},
    [NV_BLOCKS_Q5_K] = {256, 176, q5_k},    [NV_BLOCKS_Q6_K] = {256, 210, q6_k},
    [NV_BLOCKS_IQ4_NL] = {32, 18, iq4_nl},  [NV_BLOCKS_IQ4_XS] = {256, 136, iq4_xs},
    [NV_BLOCKS_TQ1_0] = {256, 54, tq1_0},   [NV_BLOCKS_TQ2_0] = {256, 66, tq2_0},
    [NV_BLOCKS_MXFP4] = {32, 17, mxfp4},    [NV_BLOCKS_NVFP4] = {64, 36, nvfp4},
    [NV_BLOCKS_E4M3] = {1, 1, float8_e4m3}, [NV_BLOCKS_E5M2] = {1, 1, float8_e5m2},
    [NV_BLOCKS_INT8] = {1, 1, int8},
};

const char *run_unpack(const void *p, struct fake_grid grid)
{
    const struct nv_unpack *u = p;
    if (u->kind <= NV_BLOCKS_NONE || u->kind >= NV_BLOCKS_KINDS)
        return "another kind of blocks";
    int numbers = kinds[u->kind].numbers, bytes = kinds[u->kind].bytes;
    unsigned align = bytes == 1 ? 8 : bytes % 2 ? 1 : 2;
    if ((uintptr_t)u->x % align || !at_16_bytes(u->y))
        return "x or y, which lie at no multiple of what they should";
    if (u->numbers % 8 || u->numbers % numbers)
        return "parts of blocks";
    if (grid.x != divide_up(u->numbers, NV_UNPACK_NUMBERS) || grid.y != 1 || grid.z != 1)
        return "the grid";
    for (long long i = 0; i < u->numbers; i++)
        store(u->y, i, NV_BF16,
              kinds[u->kind].number((const byte *)u->x + i / numbers * bytes, (int)(i % numbers)));
    return NULL;
}
