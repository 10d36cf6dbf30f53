/* unpack.cu - weights that lie on the card as they are stored become bf16, for the product that is launched next.
 *
 * What counts is memory: a thread block brings the stored bytes of 8192 numbers to shared memory, 16 bytes a thread at a
 * time whatever the size of their blocks, and each thread writes 16 bytes, its neighbours' beside its own. In between
 * a kind has one function that gives 8 neighbouring numbers of a block. Results are those of the host's conversion, so a
 * product and a sum may not become one: see times. */
#include "device.cuh"

enum { THREADS = 256, TOGETHER = 8, CHUNK = NV_UNPACK_NUMBERS, MOST_BYTES = CHUNK / 32 * 34, LEVELS = 16 };

/* Rounded by itself, whatever is added to it. */
DEVICE float times(float a, float b)
{
    float r;
    asm("mul.rn.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));
    return r;
}

DEVICE u32 pair_at(const u8 *p, int i) { return *(const u16 *)(p + i); }
DEVICE float half_at(const u8 *p, int i) { return from_f16((u16)pair_at(p, i)); }

/* Four bits of byte i of p, the low ones or the high ones. */
DEVICE int nibble(const u8 *p, int i, bool high) { return (p[i] >> (high ? 4 : 0)) & 15; }

/* Twice the number of four bits 1.2.1. */
DEVICE int twice_e2m1(int q)
{
    int n = (int)(0xc8643210u >> (4 * (q & 7)) & 15);
    return q & 8 ? -n : n;
}

/* ---- blocks of 32 ----------------------------------------------------------------------------------------- */

/* Group g of four: 16 bytes hold the first 16 numbers in their low halves, the others in the high ones. */
DEVICE int code_of(const u8 *q, int g, int i) { return nibble(q, 8 * (g & 1) + i, g >= 2); }

template <int HEAD, bool FIFTH, bool MIN> struct old_quant { /* HEAD: bytes before the numbers */
    enum { NUMBERS = 32, BYTES = HEAD + 16 };
    DEVICE void get(const u8 *b, int g, float *f, const signed char *)
    {
        float d = half_at(b, 0), m = MIN ? half_at(b, 2) : 0;
        u32 bits = FIFTH ? b[HEAD - 4 + g] : 0;
        UNROLL for (int i = 0; i < TOGETHER; i++) {
            int q = code_of(b + HEAD, g, i) | (int)(bits >> i & 1) << 4;
            f[i] = MIN ? times(d, (float)q) + m : d * (float)(q - (FIFTH ? 16 : 8));
        }
    }
};

struct q8_0 {
    enum { NUMBERS = 32, BYTES = 34 };
    DEVICE void get(const u8 *b, int g, float *f, const signed char *)
    {
        float d = half_at(b, 0);
        UNROLL for (int i = 0; i < TOGETHER; i++) f[i] = d * (float)(signed char)b[2 + 8 * g + i];
    }
};

struct iq4_nl {
    enum { NUMBERS = 32, BYTES = 18 };
    DEVICE void get(const u8 *b, int g, float *f, const signed char *levels)
    {
        float d = half_at(b, 0);
        UNROLL for (int i = 0; i < TOGETHER; i++) f[i] = d * (float)levels[code_of(b + 2, g, i)];
    }
};

struct mxfp4 {
    enum { NUMBERS = 32, BYTES = 17 };
    DEVICE void get(const u8 *b, int g, float *f, const signed char *)
    {
        u32 half = b[0] < 2 ? 0x200000u << b[0] : (u32)(b[0] - 1) << 23; /* of the scale 2^(b - 127) */
        float d = __builtin_bit_cast(float, half);
        UNROLL for (int i = 0; i < TOGETHER; i++) f[i] = d * (float)twice_e2m1(code_of(b + 1, g, i));
    }
};

/* ---- blocks of 64 ----------------------------------------------------------------------------------------- */

struct nvfp4 { /* four of 16, each with a scale in e4m3 and its first eight numbers in the low halves of 8 bytes */
    enum { NUMBERS = 64, BYTES = 36 };
    DEVICE void get(const u8 *b, int g, float *f, const signed char *)
    {
        float d = 0.5f * from_e4m3(b[g / 2]);
        UNROLL for (int i = 0; i < TOGETHER; i++) f[i] = d * (float)twice_e2m1(nibble(b, 4 + g / 2 * 8 + i, g & 1));
    }
};

/* ---- blocks of 256: number i = 8 g is in part i / 32, and l = i % 32 is its place there ------------------------ */

struct q2_k {
    enum { NUMBERS = 256, BYTES = 84 };
    DEVICE void get(const u8 *b, int g, float *f, const signed char *)
    {
        int s = b[g / 2], part = g / 4, l = 8 * (g & 3);
        float d = half_at(b, 80) * (float)(s & 15), m = times(half_at(b, 82), (float)(s >> 4));
        UNROLL for (int i = 0; i < TOGETHER; i++)
            f[i] = times(d, (float)(b[16 + part / 4 * 32 + l + i] >> (2 * (part & 3)) & 3)) - m;
    }
};

struct q3_k {
    enum { NUMBERS = 256, BYTES = 110 };
    DEVICE void get(const u8 *b, int g, float *f, const signed char *)
    {
        int s = g / 2, part = g / 4, l = 8 * (g & 3);
        int scale = nibble(b, 96 + (s & 7), s >= 8) | (b[104 + (s & 3)] >> (2 * (s / 4)) & 3) << 4;
        float d = half_at(b, 108) * (float)(scale - 32);
        UNROLL for (int i = 0; i < TOGETHER; i++) {
            int low = b[32 + part / 4 * 32 + l + i] >> (2 * (part & 3)) & 3;
            f[i] = d * (float)(low - (b[l + i] >> part & 1 ? 0 : 4));
        }
    }
};

template <bool FIFTH> struct q45_k {
    enum { NUMBERS = 256, BYTES = FIFTH ? 176 : 144 };
    DEVICE void get(const u8 *b, int g, float *f, const signed char *)
    {
        const u8 *s = b + 4, *bits = b + 16, *q = b + (FIFTH ? 48 : 16);
        int part = g / 4, l = 8 * (g & 3), scale = s[part & 3] & 63, least = s[4 + (part & 3)] & 63;
        if (part >= 4) { /* their high bits are in those of the first four parts */
            scale = (s[4 + part] & 15) | (s[part - 4] >> 6) << 4;
            least = s[4 + part] >> 4 | (s[part] >> 6) << 4;
        }
        float d = half_at(b, 0) * (float)scale, m = times(half_at(b, 2), (float)least);
        UNROLL for (int i = 0; i < TOGETHER; i++) {
            int fifth = FIFTH ? (bits[l + i] >> part & 1) << 4 : 0;
            f[i] = times(d, (float)(nibble(q, part / 2 * 32 + l + i, part & 1) | fifth)) - m;
        }
    }
};

struct q6_k {
    enum { NUMBERS = 256, BYTES = 210 };
    DEVICE void get(const u8 *b, int g, float *f, const signed char *)
    {
        int half = g / 16, part = g / 4 & 3, l = 8 * (g & 3);
        float d = half_at(b, 208) * (float)(signed char)b[192 + g / 2];
        UNROLL for (int i = 0; i < TOGETHER; i++) {
            int low = nibble(b, half * 64 + (part & 1) * 32 + l + i, part >= 2);
            f[i] = d * (float)((low | (b[128 + half * 32 + l + i] >> (2 * part) & 3) << 4) - 32);
        }
    }
};

struct iq4_xs {
    enum { NUMBERS = 256, BYTES = 136 };
    DEVICE void get(const u8 *b, int g, float *f, const signed char *levels)
    {
        int part = g / 4, scale = nibble(b, 4 + part / 2, part & 1) | (int)(pair_at(b, 2) >> (2 * part) & 3) << 4;
        float d = half_at(b, 0) * (float)(scale - 32);
        UNROLL for (int i = 0; i < TOGETHER; i++) f[i] = d * (float)levels[code_of(b + 8 + part * 16, g & 3, i)];
    }
};

/* Five digits of base three in a byte, the first in its uppermost part: number i of 160 in 32 bytes, of 80 in 16, and 16
 * in 4 bytes. */
struct tq1_0 {
    enum { NUMBERS = 256, BYTES = 54 };
    DEVICE void get(const u8 *b, int g, float *f, const signed char *)
    {
        float d = half_at(b, 52);
        UNROLL for (int i = 0; i < TOGETHER; i++) {
            int at = 8 * g + i, bytes = at < 160 ? 32 : at < 240 ? 16 : 4;
            at -= at < 160 ? 0 : at < 240 ? 160 : 240;
            u32 q = b[(bytes == 32 ? 0 : bytes == 16 ? 32 : 48) + at % bytes];
            for (int n = at / bytes; n > 0; n--) q = 3 * q & 255;
            f[i] = d * (float)((int)(3 * q >> 8) - 1);
        }
    }
};

struct tq2_0 {
    enum { NUMBERS = 256, BYTES = 66 };
    DEVICE void get(const u8 *b, int g, float *f, const signed char *)
    {
        int part = g / 4, l = 8 * (g & 3);
        float d = half_at(b, 64);
        UNROLL for (int i = 0; i < TOGETHER; i++)
            f[i] = d * (float)((b[part / 4 * 32 + l + i] >> (2 * (part & 3)) & 3) - 1);
    }
};

/* ---- a byte each ------------------------------------------------------------------------------------------ */

template <int KIND> struct bytes {
    enum { NUMBERS = TOGETHER, BYTES = TOGETHER };
    DEVICE void get(const u8 *b, int, float *f, const signed char *)
    {
        u64 all = *(const u64 *)b;
        UNROLL for (int i = 0; i < TOGETHER; i++) {
            u32 q = (u32)(all >> (8 * i)) & 255;
            if (KIND == NV_BLOCKS_INT8)
                f[i] = (float)(signed char)q;
            else if (KIND == NV_BLOCKS_E5M2)
                f[i] = from_f16((u16)(q << 8));
            else
                f[i] = from_e4m3(q);
        }
    }
};

/* ---- a chunk ---------------------------------------------------------------------------------------------- */

/* What the codes of IQ4_NL and IQ4_XS stand for. */
static __attribute__((device)) const signed char levels_of_iq4[LEVELS] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                                         1,    13,   25,  38,  53,  69,  89,  113};

template <class T> DEVICE void unpack_chunk(const struct nv_unpack &p, u8 *room, const signed char *levels)
{
    i64 first = (i64)block_x() * CHUNK, left = p.numbers - first;
    int n = left < CHUNK ? (int)left : CHUNK;
    const u8 *from = (const u8 *)p.x + first / T::NUMBERS * T::BYTES;
    int before = (int)((u64)from & 15), bytes = before + n / T::NUMBERS * T::BYTES;
    for (int i = 16 * thread_x(); i < bytes; i += 16 * THREADS)
        *(struct four_words *)(room + i) = *(const struct four_words *)(from - before + i);
    sync_block();
    for (int g = thread_x(); g < n / TOGETHER; g += THREADS) {
        const int groups = T::NUMBERS / TOGETHER;
        float f[TOGETHER];
        T::get(room + before + g / groups * T::BYTES, g % groups, f, levels);
        struct four_words out;
        UNROLL for (int i = 0; i < 4; i++) out.v[i] = pack_bf16(f[2 * i], f[2 * i + 1]);
        ((struct four_words *)((u16 *)p.y + first))[g] = out;
    }
}

KERNEL BOUNDS(256, 6) void unpack(struct nv_unpack p)
{
    static SHARED __attribute__((aligned(16))) u8 room[MOST_BYTES + 16];
    static SHARED signed char levels[LEVELS];
    if (thread_x() < LEVELS)
        levels[thread_x()] = levels_of_iq4[thread_x()];
#define KIND(name, ...)                                                                                                \
    case NV_BLOCKS_##name:                                                                                             \
        unpack_chunk<__VA_ARGS__>(p, room, levels);                                                                    \
        break
    switch (p.kind) {
        KIND(Q4_0, old_quant<2, false, false>);
        KIND(Q4_1, old_quant<4, false, true>);
        KIND(Q5_0, old_quant<6, true, false>);
        KIND(Q5_1, old_quant<8, true, true>);
        KIND(Q8_0, q8_0);
        KIND(Q2_K, q2_k);
        KIND(Q3_K, q3_k);
        KIND(Q4_K, q45_k<false>);
        KIND(Q5_K, q45_k<true>);
        KIND(Q6_K, q6_k);
        KIND(IQ4_NL, iq4_nl);
        KIND(IQ4_XS, iq4_xs);
        KIND(TQ1_0, tq1_0);
        KIND(TQ2_0, tq2_0);
        KIND(MXFP4, mxfp4);
        KIND(NVFP4, nvfp4);
        KIND(E4M3, bytes<NV_BLOCKS_E4M3>);
        KIND(E5M2, bytes<NV_BLOCKS_E5M2>);
        KIND(INT8, bytes<NV_BLOCKS_INT8>);
    }
#undef KIND
}
