/* support.h - cases and tokenizers of tests/parity, and small tokenizers made on the spot. */
#ifndef VT_TESTS_UNIT_TEXT_SUPPORT_H
#define VT_TESTS_UNIT_TEXT_SUPPORT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "text/tokenizer.h"

static inline yyjson_doc *parity_json(const char *case_name, const char *file)
{
    char path[1024];
    struct err e = {0};
    yyjson_doc *doc = NULL;
    snprintf(path, sizeof path, "%s/tests/parity/cases/%s/%s", VT_SOURCE_DIR, case_name, file);
    if (json_read_file(path, 64u << 20, &doc, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return doc;
}

static inline struct tokenizer *parity_tokenizer(const char *name)
{
    char path[1024];
    struct err e = {0};
    struct tokenizer *t = NULL;
    snprintf(path, sizeof path, "%s/tests/parity/tokenizers/%s", VT_SOURCE_DIR, name);
    if (tokenizer_open(path, &t, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return t;
}

static inline struct str json_str(yyjson_val *obj, const char *key)
{
    yyjson_val *v = yyjson_obj_get(obj, key);
    assert_true(yyjson_is_str(v));
    return (struct str){yyjson_get_str(v), yyjson_get_len(v)};
}

/* The case's ids, as many as ids[] holds, equal got. */
static inline void check_ids(struct str text, yyjson_val *want, const int32_t *got, size_t n)
{
    if (yyjson_arr_size(want) != n)
        fail_msg("'%.*s': %zu ids, expected %zu", STR_ARG(text), n, yyjson_arr_size(want));
    size_t i, max;
    yyjson_val *id;
    yyjson_arr_foreach(want, i, max, id)
    {
        if (yyjson_get_sint(id) != got[i])
            fail_msg("'%.*s': id %zu is %d, expected %d", STR_ARG(text), i, (int)got[i],
                     (int)yyjson_get_sint(id));
    }
}

static inline void check_encode(const struct tokenizer *t, struct str text, yyjson_val *want)
{
    struct tokens got = {0};
    struct err e = {0};
    if (tokenizer_encode(t, text, &got, &e) != ERR_OK)
        fail_msg("%s", e.text);
    check_ids(text, want, got.ids, got.n);
    tokens_deinit(&got);
}

static inline void check_decode(const struct tokenizer *t, yyjson_val *ids, bool skip_special,
                                struct str want)
{
    struct buf got;
    int32_t list[4096];
    size_t i, max;
    yyjson_val *id;
    assert_true(yyjson_arr_size(ids) <= sizeof list / sizeof *list);
    yyjson_arr_foreach(ids, i, max, id)
    {
        list[i] = (int32_t)yyjson_get_sint(id);
    }
    buf_init(&got, 1 << 20);
    assert_int_equal(tokenizer_decode(t, list, yyjson_arr_size(ids), skip_special, &got, NULL),
                     ERR_OK);
    if (!str_eq(buf_str(&got), want))
        fail_msg("decoded '%s', expected '%.*s'", buf_z(&got), STR_ARG(want));
    buf_deinit(&got);
}

/* Appends the 256 one-byte tokens as JSON members "text":id with ids 0..255 in byte order. */
static inline void add_byte_words(struct buf *out)
{
    unsigned next = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool self =
            (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
        buf_printf(out, "%s\"\\u%04x\":%u", byte ? "," : "", self ? byte : next++, byte);
    }
}

/* A tokenizer.json with the byte tokens, more words (", \"ab\":256"), merges, and further top-level
 * members (", \"added_tokens\":[...]"). */
static inline void make_json(struct buf *out, const char *words, const char *merges,
                             const char *members)
{
    buf_init(out, 1 << 20);
    buf_add_z(out, "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
                   "\"model\":{\"type\":\"BPE\",\"vocab\":{");
    add_byte_words(out);
    buf_printf(out, "%s},\"merges\":[%s]}%s}", words, merges, members);
    assert_false(buf_failed(out));
}

static inline enum err_code open_made(const char *words, const char *merges, const char *members,
                                      struct tokenizer **t, struct err *e)
{
    struct buf json;
    make_json(&json, words, merges, members);
    enum err_code rc = tokenizer_from_json(buf_str(&json), "made", t, e);
    buf_deinit(&json);
    return rc;
}

#endif
