#include "support/gguf_write.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "base/file.h"

/* Value types of GGUF, and its one tensor type that is used here (0: float32). */
enum { VALUE_U32 = 4, VALUE_F32 = 6, VALUE_STRING = 8, VALUE_ARRAY = 9, ALIGNMENT = 32 };

static void put(struct buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        buf_add_byte(b, (unsigned)(v >> (8 * i) & 255));
}

static void put_str(struct buf *b, struct str s)
{
    put(b, s.n, 8);
    buf_add_str(b, s);
}

static void key_and_type(struct gguf_writer *g, const char *key, uint32_t type)
{
    put_str(&g->pairs, str_from(key));
    put(&g->pairs, type, 4);
    g->n_pairs++;
}

void gguf_begin(struct gguf_writer *g)
{
    *g = (struct gguf_writer){.n_pairs = 0};
    buf_init(&g->pairs, 16u << 20);
    buf_init(&g->infos, 1u << 20);
    buf_init(&g->data, 64u << 20);
}

void gguf_str(struct gguf_writer *g, const char *key, const char *value)
{
    key_and_type(g, key, VALUE_STRING);
    put_str(&g->pairs, str_from(value));
}

void gguf_u32(struct gguf_writer *g, const char *key, uint32_t value)
{
    key_and_type(g, key, VALUE_U32);
    put(&g->pairs, value, 4);
}

void gguf_f32(struct gguf_writer *g, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    key_and_type(g, key, VALUE_F32);
    put(&g->pairs, bits, 4);
}

static void array(struct gguf_writer *g, const char *key, uint32_t type, size_t n)
{
    key_and_type(g, key, VALUE_ARRAY);
    put(&g->pairs, type, 4);
    put(&g->pairs, n, 8);
}

void gguf_u32_array(struct gguf_writer *g, const char *key, const uint32_t *v, size_t n)
{
    array(g, key, VALUE_U32, n);
    for (size_t i = 0; i < n; i++)
        put(&g->pairs, v[i], 4);
}

void gguf_str_array(struct gguf_writer *g, const char *key, const struct str *v, size_t n)
{
    array(g, key, VALUE_STRING, n);
    for (size_t i = 0; i < n; i++)
        put_str(&g->pairs, v[i]);
}

void gguf_tensor(struct gguf_writer *g, const char *name, const int64_t *dims, int n_dims,
                 const float *data)
{
    size_t n = 1;
    put_str(&g->infos, str_from(name));
    put(&g->infos, (uint64_t)n_dims, 4);
    for (int i = n_dims - 1; i >= 0; i--) { /* innermost first in the file */
        put(&g->infos, (uint64_t)dims[i], 8);
        n *= (size_t)dims[i];
    }
    put(&g->infos, 0, 4);
    put(&g->infos, g->data.n, 8);
    buf_add(&g->data, data, n * sizeof *data);
    while (g->data.n % ALIGNMENT)
        buf_add_byte(&g->data, 0);
    g->n_tensors++;
}

void gguf_end(struct gguf_writer *g, const char *path)
{
    struct buf all;
    struct err e = {0};
    buf_init(&all, 96u << 20);
    buf_add_z(&all, "GGUF");
    put(&all, 3, 4);
    put(&all, g->n_tensors, 8);
    put(&all, g->n_pairs, 8);
    buf_add_str(&all, buf_str(&g->pairs));
    buf_add_str(&all, buf_str(&g->infos));
    while (all.n % ALIGNMENT)
        buf_add_byte(&all, 0);
    buf_add_str(&all, buf_str(&g->data));
    assert_false(buf_failed(&all));
    if (file_write_atomic(path, all.p, all.n, &e) != ERR_OK)
        fail_msg("%s", e.text);
    buf_deinit(&all);
    buf_deinit(&g->pairs);
    buf_deinit(&g->infos);
    buf_deinit(&g->data);
}
