/* Two kinds of input, each followed by a NUL byte and a text to encode and decode:
 *
 * - the bytes of a tokenizer.json, when they begin with "{";
 * - else lines that the target makes a sound tokenizer.json of, so that what is fuzzed is splitting,
 *   normalising and merging: "r REGEX", "a ADDED", "n NORMALIZED ADDED", "m LEFT RIGHT".
 *
 * Besides crashes it looks for a broken promise: the ids of a text, decoded, are its form C again
 * whenever no added token was cut out of it, and encoding is the same the second time. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "text/nfc.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_INPUT = 1 << 16, FIRST_FREE_ID = 256 };

struct made {
    struct buf words, merges, added, splits;
    int next_id;
};

static void add_json_string(struct buf *out, struct str text)
{
    buf_add_byte(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '"' || c == '\\')
            buf_add_byte(out, '\\');
        if (c < 0x20)
            buf_printf(out, "\\u%04x", c);
        else
            buf_add_byte(out, c);
    }
    buf_add_byte(out, '"');
}

static void add_separator(struct buf *out)
{
    if (out->n > 0)
        buf_add_byte(out, ',');
}

static void make_split(struct made *m, struct str regex)
{
    add_separator(&m->splits);
    buf_add_z(&m->splits, "{\"type\":\"Split\",\"pattern\":{\"Regex\":");
    add_json_string(&m->splits, regex);
    buf_add_z(&m->splits, "},\"behavior\":\"Isolated\"}");
}

static void make_added(struct made *m, struct str text, bool normalized)
{
    add_separator(&m->added);
    buf_printf(&m->added, "{\"id\":%d,\"normalized\":%s,\"content\":", m->next_id++,
               normalized ? "true" : "false");
    add_json_string(&m->added, text);
    buf_add_byte(&m->added, '}');
}

static void make_merge(struct made *m, struct str line)
{
    const char *space = memchr(line.p, ' ', line.n);
    if (!space)
        return;
    struct buf both;
    buf_init(&both, MAX_INPUT);
    buf_add(&both, line.p, (size_t)(space - line.p));
    buf_add_str(&both, str_skip(line, (size_t)(space - line.p) + 1));
    buf_add_byte(&m->words, ',');
    add_json_string(&m->words, buf_str(&both));
    buf_printf(&m->words, ":%d", m->next_id++);
    add_separator(&m->merges);
    add_json_string(&m->merges, line);
    buf_deinit(&both);
}

static void make_lines(struct made *m, struct str text)
{
    while (text.n > 0) {
        const char *end = memchr(text.p, '\n', text.n);
        struct str line = {text.p, end ? (size_t)(end - text.p) : text.n};
        struct str rest = str_skip(line, 2);
        text = str_skip(text, line.n + 1);
        if (line.n < 2)
            continue;
        if (line.p[0] == 'r')
            make_split(m, rest);
        else if (line.p[0] == 'a' || line.p[0] == 'n')
            make_added(m, rest, line.p[0] == 'n');
        else if (line.p[0] == 'm')
            make_merge(m, rest);
    }
}

static void add_byte_words(struct buf *out)
{
    unsigned next = 0x100;
    for (unsigned byte = 0; byte < 256; byte++) {
        bool self =
            (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
        buf_printf(out, "%s\"\\u%04x\":%u", byte ? "," : "", self ? byte : next++, byte);
    }
}

/* True when the tokenizer has added tokens. */
static bool make_json(struct str lines, struct buf *out)
{
    struct made m = {.next_id = FIRST_FREE_ID};
    struct buf *parts[] = {&m.words, &m.merges, &m.added, &m.splits};
    for (size_t i = 0; i < 4; i++)
        buf_init(parts[i], 8 * MAX_INPUT);
    make_lines(&m, lines);
    add_separator(&m.splits);
    buf_add_z(&m.splits, "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}");
    buf_add_z(out, "{\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"Sequence\","
                   "\"pretokenizers\":[");
    buf_add_str(out, buf_str(&m.splits));
    buf_add_z(out, "]},\"model\":{\"type\":\"BPE\",\"vocab\":{");
    add_byte_words(out);
    buf_add_str(out, buf_str(&m.words));
    buf_add_z(out, "},\"merges\":[");
    buf_add_str(out, buf_str(&m.merges));
    buf_add_z(out, "]},\"added_tokens\":[");
    buf_add_str(out, buf_str(&m.added));
    buf_add_z(out, "]}");
    bool has_added = m.added.n > 0;
    for (size_t i = 0; i < 4; i++)
        buf_deinit(parts[i]);
    return has_added;
}

static void check_round_trip(struct tokenizer *t, struct str text, bool gives_form_c)
{
    struct tokens ids = {0}, again = {0};
    struct buf back, form;
    buf_init(&back, 64 * MAX_INPUT);
    buf_init(&form, 64 * MAX_INPUT);
    if (tokenizer_encode(t, text, &ids, NULL) == ERR_OK) {
        if (tokenizer_encode(t, text, &again, NULL) != ERR_OK || again.n != ids.n ||
            (ids.n > 0 && memcmp(again.ids, ids.ids, ids.n * sizeof *ids.ids) != 0))
            abort();
        if (tokenizer_decode(t, ids.ids, ids.n, false, &back, NULL) != ERR_OK)
            abort();
        if (gives_form_c &&
            (nfc_append(text, &form, NULL) != ERR_OK || !str_eq(buf_str(&form), buf_str(&back))))
            abort();
    }
    buf_deinit(&back);
    buf_deinit(&form);
    tokens_deinit(&ids);
    tokens_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size > 0 && size <= MAX_INPUT ? memchr(data, 0, size) : NULL;
    if (!nul)
        return 0;
    struct str head = {(const char *)data, (size_t)(nul - data)};
    struct str text = {(const char *)nul + 1, size - head.n - 1};
    struct tokenizer *t = NULL;
    struct err e = {0};
    struct buf json;
    bool made = head.n == 0 || head.p[0] != '{', has_added = true;
    buf_init(&json, 64 * MAX_INPUT);
    if (made)
        has_added = make_json(head, &json);
    else
        buf_add_str(&json, head);
    if (tokenizer_from_json(buf_str(&json), "input", &t, &e) == ERR_OK) {
        check_round_trip(t, text, !has_added);
    } else if (e.text[0] == 0) {
        abort(); /* an error without a sentence */
    }
    tokenizer_free(t);
    buf_deinit(&json);
    return 0;
}
