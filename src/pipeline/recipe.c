/* recipe.c - the writing half of recipe.h: a request and its result as one line of "Key: value".
 *
 * The first keys are those that other programs look for, in their order; ours follow, most of them only where the
 * request set them, so that a plain image has a plain recipe. Names of files are cut to their last part.
 */
#include "pipeline/recipe.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/json_text.h"
#include "image/save.h"

enum { VALUE_BYTES = 4096 };

/* Automatic1111's words. */
#define MASK_MODE_INVERT "Inpaint not masked"
#define INPAINT_AREA_MASKED "Only masked"

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ", KEY: VALUE", quoted where the value could not be told from what follows. */
static void add(struct buf *out, const char *key, const char *value)
{
    buf_printf(out, ", %s: ", key);
    if (value[strcspn(value, ",\"\n:")])
        json_add_z(out, value);
    else
        buf_add_z(out, value);
}

static void add_number(struct buf *out, const char *key, double v)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%g", v);
    add(out, key, text);
}

/* "a.png|b.png" */
static void add_images(struct buf *out, const struct vt_request *q)
{
    struct buf names;
    buf_init(&names, VALUE_BYTES);
    for (int i = 0; i < q->image_count; i++) {
        const char *name = q->image_names[i] ? base_name(q->image_names[i]) : "";
        buf_printf(&names, "%s%.200s", i ? "|" : "", name);
    }
    add(out, "Images", buf_z(&names));
    buf_deinit(&names);
}

static void add_mask(struct buf *out, const struct vt_request *q)
{
    if (q->mask_from_alpha)
        add(out, "Mask", "alpha");
    else if (q->mask.pixels && q->mask_name)
        add(out, "Mask", base_name(q->mask_name));
    if (q->mask_invert)
        add(out, "Mask mode", MASK_MODE_INVERT);
    if (q->mask_grow)
        add_number(out, "Mask grow", q->mask_grow);
    if (q->mask_feather)
        add_number(out, "Mask feather", q->mask_feather);
    if (q->crop_to_mask) {
        add(out, "Inpaint area", INPAINT_AREA_MASKED);
        add_number(out, "Masked area padding", q->crop_padding);
    }
}

static void add_switch(struct buf *out, const char *key, int on)
{
    if (on)
        add(out, key, "True");
}

static void add_edit(struct buf *out, const struct vt_request *q)
{
    char sides[64];
    add_images(out, q);
    if (q->width > 0 && q->height > 0) {
        (void)snprintf(sides, sizeof sides, "%dx%d", q->width, q->height);
        add(out, "Asked size", sides);
    }
    add_mask(out, q);
    if (q->strength >= 0)
        add_number(out, "Strength", q->strength);
    if (q->feather)
        add_number(out, "Feather", q->feather);
    add_switch(out, "Match colours", q->match_colours);
    add_switch(out, "Register", q->align);
    (void)snprintf(sides, sizeof sides, "%d|%d|%d|%d", q->extend[0], q->extend[1], q->extend[2],
                   q->extend[3]);
    if (strcmp(sides, "0|0|0|0") != 0)
        add(out, "Extend", sides);
    if (q->matte)
        add(out, "Matte", q->matte);
}

void recipe_write(const struct vt_result *result, int i, struct buf *out)
{
    const struct vt_request *q = vt_result_request(result);
    struct vt_image im = vt_result_image(result, i);
    buf_add_z(out, q->prompt ? q->prompt : "");
    lora_tags_write(&q->loras, out);
    buf_printf(out, "\nSteps: %d, Sampler: Euler, CFG scale: %g, Seed: %lld, Size: %dx%d", q->steps,
               q->guidance, (long long)vt_result_seed(result, i), im.width, im.height);
    add(out, "Model", q->model);
    buf_printf(out, ", Version: veetance %s, Task: %s, Max tokens: %d", vt_version(),
               q->image_count > 0 ? "edit" : "generate", q->max_tokens);
    if (q->compute && strcmp(q->compute, "default") != 0)
        add(out, "Compute", q->compute);
    if (q->fast)
        add_number(out, "Fast", q->fast);
    add_switch(out, "Transparent", q->transparent);
    if (q->image_count > 0)
        add_edit(out, q);
}

/* "keep-empty|full-size": the switches that were on, as options are called. */
static void add_flags(struct buf *out, const struct vt_layers_request *q)
{
    const struct {
        const char *name;
        int on;
    } flags[] = {{"cfg-normalize", q->cfg_normalize},
                 {"keep-empty", q->keep_empty},
                 {"merge-duplicates", q->merge_duplicates},
                 {"full-size", q->full_size}};
    struct buf all;
    buf_init(&all, VALUE_BYTES);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (flags[i].on)
            buf_printf(&all, "%s%s", all.n ? "|" : "", flags[i].name);
    if (all.n)
        add(out, "Flags", buf_z(&all));
    buf_deinit(&all);
}

static void write_layers(const struct vt_layers_result *result,
                         const struct vt_layers_request *request, const char *image,
                         struct buf *out)
{
    const struct vt_layers_report *r = vt_layers_report(result);
    buf_add_z(out, r->prompt);
    lora_tags_write(&request->loras, out);
    buf_printf(out, "\nSteps: %d, Sampler: Euler, CFG scale: %g, Seed: %lld, Size: %dx%d", r->steps,
               r->guidance, (long long)r->seed, r->width, r->height);
    add(out, "Model", r->model);
    buf_printf(out, ", Version: veetance %s, Task: layers, Layers: %d, Resolution: %d",
               vt_version(), r->layers_asked, r->resolution);
    if (strcmp(image, "-") != 0)
        add(out, "Images", base_name(image));
    if (request->compute && strcmp(request->compute, "default") != 0)
        add(out, "Compute", request->compute);
    if (request->fast)
        add_number(out, "Fast", request->fast);
    if (request->matte)
        add(out, "Matte", request->matte);
    add_flags(out, request);
}

void recipe_about_layers(const struct vt_layers_result *result,
                         const struct vt_layers_request *request, const char *image,
                         struct image_about *out)
{
    image_about_clear(out);
    if (request->no_metadata)
        return;
    out->source = IMAGE_SOURCE_EDITED;
    write_layers(result, request, image, &out->recipe);
}

/* ---- in a file ------------------------------------------------------------------------------- */

static enum image_source source_of(const struct vt_request *q)
{
    return q->image_count > 0 ? IMAGE_SOURCE_EDITED : IMAGE_SOURCE_GENERATED;
}

enum err_code image_file(const struct vt_result *result, int i, enum image_format format,
                         int quality, struct buf *out, struct err *e)
{
    const struct vt_request *q = vt_result_request(result);
    const char *prompt = q->prompt ? q->prompt : "";
    struct vt_image im = vt_result_image(result, i);
    struct image view = {.w = im.width,
                         .h = im.height,
                         .channels = im.channels,
                         .stride = (size_t)im.width * (size_t)im.channels,
                         .p = (unsigned char *)(uintptr_t)im.pixels};
    char seed[32], steps[16], size[32];
    struct image_about about;
    if (q->no_metadata)
        return image_save(&view, &(struct image_save){.format = format, .quality = quality}, out,
                          e);
    (void)snprintf(seed, sizeof seed, "%lld", (long long)vt_result_seed(result, i));
    (void)snprintf(steps, sizeof steps, "%d", q->steps);
    (void)snprintf(size, sizeof size, "%dx%d", im.width, im.height);
    image_about_init(&about);
    about.source = source_of(q);
    recipe_write(result, i, &about.recipe);
    const struct image_text texts[] = {
        {"prompt", str_from(prompt)},   {"seed", str_from(seed)},
        {"model", str_from(q->model)},  {"steps", str_from(steps)},
        {"dimensions", str_from(size)}, {"Software", STR_LIT("veetance " VT_VERSION)},
    };
    const struct image_save save = {.format = format,
                                    .quality = quality,
                                    .about = &about,
                                    .texts = texts,
                                    .n_texts = sizeof texts / sizeof texts[0]};
    enum err_code rc = image_save(&view, &save, out, e);
    image_about_deinit(&about);
    return rc;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The reading half of recipe.h: a text out of a file that anybody may have written. It links without
 * the engine, so that it is fuzzed alone. */

enum { PROMPT_MAX_BYTES = 8 << 20 };

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
    else if (strcmp(key, "Fast") == 0)
        read_int(value, 0, VT_MAX_FAST, &r->fast);
    else if (strcmp(key, "Images") == 0)
        read_images(value, r);
    else if (strcmp(key, "Mask") == 0)
        copy(r->mask, sizeof r->mask, value);
    else if (strcmp(key, "Mask mode") == 0)
        r->mask_invert = strcmp(value, MASK_MODE_INVERT) == 0;
    else if (strcmp(key, "Mask grow") == 0)
        read_int(value, -1024, 1024, &r->mask_grow);
    else if (strcmp(key, "Mask feather") == 0)
        read_int(value, 0, 512, &r->mask_feather);
    else if (strcmp(key, "Inpaint area") == 0)
        r->crop_to_mask = strcmp(value, INPAINT_AREA_MASKED) == 0;
    else if (strcmp(key, "Masked area padding") == 0)
        read_int(value, 0, 1024, &r->crop_padding);
    else if (strcmp(key, "Strength") == 0)
        (void)str_to_double(str_from(value), &r->strength);
    else if (strcmp(key, "Feather") == 0)
        read_int(value, 0, 1024, &r->feather);
    else if (strcmp(key, "Match colours") == 0)
        r->match_colours = strcmp(value, "True") == 0;
    else if (strcmp(key, "Transparent") == 0)
        r->transparent = strcmp(value, "True") == 0;
    else if (strcmp(key, "Register") == 0)
        r->align = strcmp(value, "True") == 0;
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

/* Tags that make no sense stay where they are. */
static void read_prompt(struct str prompt, struct recipe *r)
{
    if (lora_tags_take(prompt, &r->prompt, &r->loras, NULL) == ERR_OK)
        return;
    r->loras.n = 0;
    buf_clear(&r->prompt);
    buf_add_str(&r->prompt, prompt);
}

enum err_code recipe_read(struct str text, struct recipe *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    buf_init(&out->prompt, PROMPT_MAX_BYTES);
    out->width = out->height = out->steps = out->max_tokens = VT_DEFAULT;
    out->layers = out->resolution = out->crop_padding = VT_DEFAULT;
    out->guidance = out->strength = VT_DEFAULT;
    out->seed = VT_SEED_RANDOM;
    size_t at = numbers_at(text);
    if (at == text.n || memchr(text.p, 0, text.n))
        return err_set(e, ERR_FORMAT, "there is no recipe: no line begins with \"Steps: \"");
    struct str prompt = {text.p, at > 0 ? at - 1 : 0};
    const char *end = memchr(text.p + at, '\n', text.n - at);
    read_line((struct str){text.p + at, end ? (size_t)(end - text.p) - at : text.n - at}, out);
    read_prompt(prompt, out);
    return buf_failed(&out->prompt) ? err_set(e, ERR_LIMIT, "the recipe's prompt is too long")
                                    : ERR_OK;
}

void recipe_deinit(struct recipe *r)
{
    buf_deinit(&r->prompt);
}
