/* recipe_read.c - the reading half of recipe.h: a text out of a file that anybody may have written. It links without
 * the engine, so that it is fuzzed alone. */
#include "pipeline/recipe.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

enum { PROMPT_MAX_BYTES = 8 << 20, VALUE_BYTES = 4096 };

static void copy(char *out, size_t size, const char *value)
{
    (void)snprintf(out, size, "%s", value);
}

static void read_int(const char *value, int64_t lo, int64_t hi, int *out)
{
    int64_t v;
    if (str_to_i64(str_from(value), &v) && v >= lo && v <= hi)
        *out = (int)v;
}

static void read_size(const char *value, struct recipe *r)
{
    const char *x = strchr(value, 'x');
    int64_t w, h;
    if (x && str_to_i64((struct str){value, (size_t)(x - value)}, &w) &&
        str_to_i64(str_from(x + 1), &h) && w > 0 && w <= 65536 && h > 0 && h <= 65536) {
        r->width = (int)w;
        r->height = (int)h;
    }
}

static void read_images(const char *value, struct recipe *r)
{
    for (const char *p = value; *p && r->image_count < VT_MAX_IMAGES;) {
        size_t n = strcspn(p, "|");
        (void)snprintf(r->images[r->image_count++], RECIPE_NAME_BYTES, "%.*s", (int)n, p);
        p += n + (p[n] != 0);
    }
}

static void read_extend(const char *value, struct recipe *r)
{
    const char *p = value;
    for (int i = 0; i < 4; i++) {
        char number[16];
        size_t n = strcspn(p, "|");
        (void)snprintf(number, sizeof number, "%.*s", n < 15 ? (int)n : 15, p);
        read_int(number, 0, 8192, &r->extend[i]);
        p += n + (p[n] != 0);
    }
}

static void take(const char *key, const char *value, struct recipe *r)
{
    int64_t seed;
    if (strcmp(key, "Steps") == 0)
        read_int(value, 1, 1000, &r->steps);
    else if (strcmp(key, "CFG scale") == 0)
        (void)str_to_double(str_from(value), &r->guidance);
    else if (strcmp(key, "Seed") == 0 && str_to_i64(str_from(value), &seed) && seed >= 0)
        r->seed = seed;
    else if (strcmp(key, "Size") == 0)
        read_size(value, r);
    else if (strcmp(key, "Asked size") == 0)
        r->size_asked = true;
    else if (strcmp(key, "Model") == 0)
        copy(r->model, sizeof r->model, value);
    else if (strcmp(key, "Task") == 0)
        copy(r->task, sizeof r->task, value);
    else if (strcmp(key, "Max tokens") == 0)
        read_int(value, 1, 4096, &r->max_tokens);
    else if (strcmp(key, "Compute") == 0)
        copy(r->compute, sizeof r->compute, value);
    else if (strcmp(key, "Images") == 0)
        read_images(value, r);
    else if (strcmp(key, "Mask") == 0)
        copy(r->mask, sizeof r->mask, value);
    else if (strcmp(key, "Strength") == 0)
        (void)str_to_double(str_from(value), &r->strength);
    else if (strcmp(key, "Feather") == 0)
        read_int(value, 0, 1024, &r->feather);
    else if (strcmp(key, "Extend") == 0)
        read_extend(value, r);
    else if (strcmp(key, "Layers") == 0)
        read_int(value, 1, 10, &r->layers);
    else if (strcmp(key, "Resolution") == 0)
        read_int(value, 32, 4096, &r->resolution);
    else if (strcmp(key, "Flags") == 0)
        copy(r->flags, sizeof r->flags, value);
    else if (strcmp(key, "Matte") == 0)
        copy(r->matte, sizeof r->matte, value);
}

/* A JSON string at s: its text into out. Bytes that it takes; 0: it is broken. */
static size_t read_quoted(struct str s, char out[VALUE_BYTES])
{
    size_t n = 1;
    yyjson_doc *doc;
    while (n < s.n && s.p[n] != '"')
        n += s.p[n] == '\\' ? 2 : 1;
    if (n >= s.n || json_parse((struct str){s.p, n + 1}, "value", &doc, NULL) != ERR_OK)
        return 0;
    copy(out, VALUE_BYTES, yyjson_get_str(yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
    return n + 1;
}

/* "KEY: VALUE, KEY: VALUE" */
static void read_line(struct str s, struct recipe *r)
{
    while (s.n > 0) {
        char key[64], value[VALUE_BYTES];
        size_t at = 0;
        while (at + 1 < s.n && !(s.p[at] == ':' && s.p[at + 1] == ' '))
            at++;
        if (at + 1 >= s.n)
            return;
        (void)snprintf(key, sizeof key, "%.*s", (int)(at < 63 ? at : 63), s.p);
        s = str_skip(s, at + 2);
        size_t n = s.n > 0 && s.p[0] == '"' ? read_quoted(s, value) : 0;
        if (n == 0) {
            const char *comma = memchr(s.p, ',', s.n);
            n = comma ? (size_t)(comma - s.p) : s.n;
            (void)snprintf(value, sizeof value, "%.*s",
                           (int)(n < VALUE_BYTES ? n : VALUE_BYTES - 1), s.p);
        }
        take(key, value, r);
        s = str_skip(s, n);
        while (s.n > 0 && (s.p[0] == ',' || s.p[0] == ' '))
            s = str_skip(s, 1);
    }
}

/* Where the last line begins that starts with "Steps: "; s.n when there is none. */
static size_t numbers_at(struct str s)
{
    for (size_t at = s.n; at > 0; at--)
        if ((at == 1 || s.p[at - 2] == '\n') && str_starts(str_skip(s, at - 1), STR_LIT("Steps: ")))
            return at - 1;
    return s.n;
}

enum err_code recipe_read(struct str text, struct recipe *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    buf_init(&out->prompt, PROMPT_MAX_BYTES);
    out->width = out->height = out->steps = out->max_tokens = VT_DEFAULT;
    out->layers = out->resolution = VT_DEFAULT;
    out->guidance = out->strength = VT_DEFAULT;
    out->seed = VT_SEED_RANDOM;
    size_t at = numbers_at(text);
    if (at == text.n || memchr(text.p, 0, text.n))
        return err_set(e, ERR_FORMAT, "there is no recipe: no line begins with \"Steps: \"");
    struct str prompt = {text.p, at > 0 ? at - 1 : 0};
    const char *end = memchr(text.p + at, '\n', text.n - at);
    read_line((struct str){text.p + at, end ? (size_t)(end - text.p) - at : text.n - at}, out);
    buf_add_str(&out->prompt, prompt);
    return buf_failed(&out->prompt) ? err_set(e, ERR_LIMIT, "the recipe's prompt is too long")
                                    : ERR_OK;
}

void recipe_deinit(struct recipe *r)
{
    buf_deinit(&r->prompt);
}
