/* case_file.h - reads a parity case: its JSON files and its safetensors, for tests.
 * Tests trust their own data: anything unexpected fails the test at once. */
#ifndef VT_TESTS_UNIT_SAMPLE_CASE_FILE_H
#define VT_TESTS_UNIT_SAMPLE_CASE_FILE_H

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"

struct case_tensors {
    struct buf bytes;
    yyjson_doc *header;
    size_t data_at;
};

static inline void case_path(char *out, size_t n, const char *name, const char *file)
{
    snprintf(out, n, "%s/tests/parity/cases/%s/%s", VT_SOURCE_DIR, name, file);
}

static inline yyjson_doc *case_json(const char *name, const char *file)
{
    char path[1024];
    struct err e = {0};
    yyjson_doc *doc = NULL;
    case_path(path, sizeof path, name, file);
    if (json_read_file(path, 64u << 20, &doc, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return doc;
}

static inline void case_tensors_open(struct case_tensors *t, const char *name, const char *file)
{
    char path[1024];
    struct err e = {0};
    case_path(path, sizeof path, name, file);
    if (file_read(path, 64u << 20, &t->bytes, &e) != ERR_OK)
        fail_msg("%s", e.text);
    uint64_t header_bytes;
    memcpy(&header_bytes, t->bytes.p, sizeof header_bytes);
    t->data_at = sizeof header_bytes + (size_t)header_bytes;
    struct str header = {t->bytes.p + sizeof header_bytes, (size_t)header_bytes};
    if (json_parse(header, path, &t->header, &e) != ERR_OK)
        fail_msg("%s", e.text);
}

static inline void case_tensors_close(struct case_tensors *t)
{
    yyjson_doc_free(t->header);
    buf_deinit(&t->bytes);
}

/* A float32 or bfloat16 tensor as floats; the caller frees it. NULL when the case has no such one. */
static inline float *case_tensor(const struct case_tensors *t, const char *name, size_t *n)
{
    yyjson_val *entry = yyjson_obj_get(yyjson_doc_get_root(t->header), name);
    if (!entry)
        return NULL;
    yyjson_val *span = yyjson_obj_get(entry, "data_offsets");
    size_t begin = (size_t)yyjson_get_uint(yyjson_arr_get(span, 0));
    size_t end = (size_t)yyjson_get_uint(yyjson_arr_get(span, 1));
    bool wide = yyjson_equals_str(yyjson_obj_get(entry, "dtype"), "F32");
    assert_true(wide || yyjson_equals_str(yyjson_obj_get(entry, "dtype"), "BF16"));
    *n = (end - begin) / (wide ? 4 : 2);
    float *out = malloc(*n * sizeof *out + 1);
    assert_non_null(out);
    const char *from = t->bytes.p + t->data_at + begin;
    for (size_t i = 0; i < *n; i++) {
        uint32_t bits = 0;
        if (wide)
            memcpy(&bits, from + 4 * i, 4);
        else
            memcpy((char *)&bits + 2, from + 2 * i, 2);
        memcpy(out + i, &bits, sizeof bits);
    }
    return out;
}

static inline double max_difference(const float *a, const float *b, size_t n)
{
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= worst))
            worst = d;
    }
    return worst;
}

#endif
