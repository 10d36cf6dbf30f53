/* build.h - makes small checkpoints in memory, sound or broken, for the tests of this room. */
#ifndef VT_TESTS_WEIGHTS_BUILD_H
#define VT_TESTS_WEIGHTS_BUILD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "weights/dtype.h"

/* ---- numbers and strings, little-endian -------------------------------------------------------- */

static inline void put_u32(struct buf *b, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        buf_add_byte(b, v >> (8 * i) & 255);
}

static inline void put_u64(struct buf *b, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        buf_add_byte(b, (unsigned)(v >> (8 * i) & 255));
}

static inline void put_string(struct buf *b, const char *z)
{
    put_u64(b, strlen(z));
    buf_add_z(b, z);
}

static inline void put_zeros(struct buf *b, size_t n)
{
    while (n-- > 0)
        buf_add_byte(b, 0);
}

static inline void put_f32(struct buf *b, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_u32(b, bits);
}

/* ---- safetensors ------------------------------------------------------------------------------- */

/* A file with this header text and n_data zero bytes behind it. */
static inline void build_raw(struct buf *out, struct str header, size_t n_data)
{
    buf_init(out, (size_t)64 << 20);
    put_u64(out, header.n);
    buf_add_str(out, header);
    put_zeros(out, n_data);
}

/* Tensors are added one by one; their data is 0, 1, 2, ... as float32 (wrapping in narrow types). */
struct build {
    struct buf header, data;
};

static inline void build_begin(struct build *b)
{
    buf_init(&b->header, 1 << 20);
    buf_init(&b->data, (size_t)16 << 20);
    buf_add_byte(&b->header, '{');
}

/* dims: "64, 32"; n elements. */
static inline void build_tensor(struct build *b, const char *name, const char *dtype,
                                const char *dims, size_t n)
{
    size_t begin = b->data.n,
           width = dtype_info(dtype_from_safetensors(str_from(dtype)))->block_bytes;
    for (size_t i = 0; i < n; i++) {
        if (width == 4)
            put_f32(&b->data, (float)i);
        else
            for (size_t k = 0; k < width; k++)
                buf_add_byte(&b->data, (unsigned)(i & 63));
    }
    buf_printf(&b->header, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
               b->header.n > 1 ? "," : "", name, dtype, dims, begin, b->data.n);
}

/* A float32 tensor whose dims are given; the usual case. */
static inline void build_f32(struct build *b, const char *name, int n_dims, const int *dims)
{
    char text[64] = "";
    size_t n = 1, at = 0;
    for (int i = 0; i < n_dims; i++) {
        n *= (size_t)dims[i];
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%d", i ? "," : "", dims[i]);
    }
    build_tensor(b, name, "F32", text, n);
}

#define BUILD_F32(b, name, ...)                                                                    \
    build_f32(b, name, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__})

static inline void build_end(struct build *b, struct buf *out)
{
    buf_add_byte(&b->header, '}');
    buf_init(out, (size_t)32 << 20);
    put_u64(out, b->header.n);
    buf_add_str(out, buf_str(&b->header));
    buf_add_str(out, buf_str(&b->data));
    assert_false(buf_failed(out) || buf_failed(&b->header) || buf_failed(&b->data));
    buf_deinit(&b->header);
    buf_deinit(&b->data);
}

/* ---- GGUF -------------------------------------------------------------------------------------- */

static inline void gguf_begin(struct buf *out, uint32_t version, uint64_t n_tensors,
                              uint64_t n_keys)
{
    buf_init(out, (size_t)32 << 20);
    buf_add_z(out, "GGUF");
    put_u32(out, version);
    put_u64(out, n_tensors);
    put_u64(out, n_keys);
}

static inline void gguf_key_string(struct buf *out, const char *key, const char *value)
{
    put_string(out, key);
    put_u32(out, 8);
    put_string(out, value);
}

static inline void gguf_key_u32(struct buf *out, const char *key, uint32_t value)
{
    put_string(out, key);
    put_u32(out, 4);
    put_u32(out, value);
}

/* dims innermost first, as stored. */
static inline void gguf_tensor(struct buf *out, const char *name, uint32_t n_dims,
                               const uint64_t *dims, uint32_t type, uint64_t offset)
{
    put_string(out, name);
    put_u32(out, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        put_u64(out, dims[i]);
    put_u32(out, type);
    put_u64(out, offset);
}

/* Pads to the alignment and adds n bytes of data. */
static inline void gguf_data(struct buf *out, size_t alignment, size_t n)
{
    while (out->n % alignment != 0)
        buf_add_byte(out, 0);
    for (size_t i = 0; i < n; i++)
        buf_add_byte(out, (unsigned)(i & 255));
}

#endif
