/* a1111_info.c - what Automatic1111's clients are told of how an image was made: the info of an answer, the text in
 * its images ("parameters"), and that text out of an image again.
 *
 *     a red star
 *     Negative prompt: ...
 *     Steps: 4, Sampler: Euler, CFG scale: 1, Seed: 1, Size: 512x512, Model: klein-4b */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json_text.h"
#include "http/check.h"
#include "image/png_save.h"
#include "image/save.h"
#include "server/compat/a1111.h"
#include "server/limits.h"
#include "server/server_internal.h"

/* ---- answers ------------------------------------------------------------------------------------------- */

enum err_code a1111_infotext(struct http_request *rq, const char *asset,
                             const struct a1111_paste *paste, struct buf *out, struct err *e)
{
    struct buf file;
    struct err missing = {0};
    buf_init(&file, LIMIT_FILE);
    enum err_code rc = face_file(store_of(rq), asset, face_png, &file, e);
    if (rc == ERR_OK && image_parameters(buf_str(&file), out, &missing) != ERR_OK)
        err_clear(&missing);
    buf_deinit(&file);
    if (rc != ERR_OK || !paste->original)
        return rc;
    buf_printf(out, ", Denoising strength: %g, Mask blur: %d", paste->strength, paste->mask_blur);
    if (paste->padding >= 0)
        buf_printf(out, ", Inpaint area: Only masked, Masked area padding: %d", paste->padding);
    return ERR_OK;
}

static void add_repeated(struct buf *b, const char *name, const char *text, size_t n)
{
    buf_printf(b, ",\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        buf_add_z(b, i ? "," : "");
        json_add_z(b, text);
    }
    buf_add_byte(b, ']');
}

static void add_text(struct buf *b, const char *name, const char *text)
{
    buf_printf(b, ",\"%s\":", name);
    json_add_z(b, text);
}

static void add_prompts(struct http_request *rq, size_t n, struct buf *b)
{
    const char *prompt = http_body_str(rq, "prompt", "");
    const char *negative = http_body_str(rq, "negative_prompt", "");
    buf_add_z(b, "{\"prompt\":");
    json_add_z(b, prompt);
    add_repeated(b, "all_prompts", prompt, n);
    add_text(b, "negative_prompt", negative);
    add_repeated(b, "all_negative_prompts", negative, n);
}

static void add_seeds(const struct face_image *images, size_t n, struct buf *b)
{
    for (int sub = 0; sub < 2; sub++) {
        buf_printf(b, ",\"%sseed\":%lld,\"all_%sseeds\":[", sub ? "sub" : "",
                   n ? (long long)images[0].seed : -1, sub ? "sub" : "");
        for (size_t i = 0; i < n; i++)
            buf_printf(b, "%s%lld", i ? "," : "", (long long)images[i].seed);
        buf_add_byte(b, ']');
    }
    buf_add_z(b, ",\"subseed_strength\":0,\"seed_resize_from_w\":-1,\"seed_resize_from_h\":-1");
}

/* What was asked for and has no effect, or was not made, for whoever reads it. */
static void add_comments(struct http_request *rq, const struct job_record *rec, size_t n,
                         struct buf *b)
{
    const char *sampler = http_body_str(rq, "sampler_name", "");
    struct buf text;
    buf_init(&text, 4096);
    if (*http_body_str(rq, "negative_prompt", ""))
        buf_add_z(&text, "the negative prompt has no effect on this model\n");
    if (*sampler && !check_among("Euler|euler|k_euler", str_from(sampler)))
        buf_printf(&text, "%s was asked for; Euler was used\n", sampler);
    if (rec->state == JOB_CANCELLED) {
        long long asked = http_body_int(rq, "batch_size", 1);
        asked *= http_body_int(rq, "n_iter", 1);
        buf_printf(&text, "interrupted: %zu of %lld images were finished\n", n, asked);
    }
    add_text(b, "comments", buf_z(&text));
    buf_deinit(&text);
}

void a1111_info(struct http_request *rq, const struct job_record *rec,
                const struct face_image *images, size_t n, const struct buf *texts, struct buf *b)
{
    yyjson_doc *doc = yyjson_read(rec->result, strlen(rec->result), 0);
    yyjson_val *done = yyjson_doc_get_root(doc);
    time_t at = (time_t)(rec->finished_ms / 1000);
    struct tm t;
    char stamp[32];
    struct buf info;
    buf_init(&info, 2 * LIMIT_INFOTEXTS);
    add_prompts(rq, n, &info);
    add_seeds(images, n, &info);
    buf_printf(&info,
               ",\"width\":%lld,\"height\":%lld,\"sampler_name\":\"Euler\",\"cfg_scale\":%g,"
               "\"steps\":%lld,\"batch_size\":%lld,\"restore_faces\":false,"
               "\"face_restoration_model\":null",
               n ? (long long)images[0].width : 0, n ? (long long)images[0].height : 0,
               yyjson_get_num(yyjson_obj_get(done, "guidance")),
               (long long)yyjson_get_num(yyjson_obj_get(done, "steps")),
               (long long)http_body_int(rq, "batch_size", 1));
    add_text(&info, "sd_model_name", rec->model);
    buf_add_z(&info, ",\"sd_model_hash\":null,\"sd_vae_name\":null,\"sd_vae_hash\":null");
    if (yyjson_obj_get(http_body(rq), "init_images"))
        buf_printf(&info, ",\"denoising_strength\":%g",
                   http_body_double(rq, "denoising_strength", 0.75));
    else
        buf_add_z(&info, ",\"denoising_strength\":null");
    (void)gmtime_r(&at, &t);
    (void)strftime(stamp, sizeof stamp, "%Y%m%d%H%M%S", &t);
    buf_printf(&info,
               ",\"extra_generation_params\":{},\"index_of_first_image\":0,\"infotexts\":[%s],"
               "\"styles\":[],\"job_timestamp\":\"%s\",\"clip_skip\":1,"
               "\"is_using_inpainting_conditioning\":false,\"version\":\"veetance %s\"",
               buf_z(texts), stamp, vt_version());
    add_comments(rq, rec, n, &info);
    buf_printf(&info, ",\"job\":\"%s\"}", rec->id);
    json_add_z(b, buf_z(&info));
    buf_deinit(&info);
    yyjson_doc_free(doc);
}

/* ---- out of an image ----------------------------------------------------------------------------------- */

struct found {
    struct buf parameters, items;
};

static bool see_text(struct str key, struct str text, void *user)
{
    struct found *f = user;
    if (str_eq_z(key, "parameters"))
        return true;
    buf_add_z(&f->items, f->items.n ? "," : "");
    json_add_str(&f->items, key);
    buf_add_byte(&f->items, ':');
    json_add_str(&f->items, text);
    return true;
}

/* The next "key: value" of the last line; a value may be quoted as JSON. */
static bool next_pair(struct str *s, struct str *key, struct str *value)
{
    while (s->n && (s->p[0] == ' ' || s->p[0] == ','))
        *s = str_skip(*s, 1);
    const char *colon = s->n ? memchr(s->p, ':', s->n) : NULL;
    if (!colon)
        return false;
    *key = (struct str){s->p, (size_t)(colon - s->p)};
    *s = str_skip(*s, key->n + 1);
    while (s->n && s->p[0] == ' ')
        *s = str_skip(*s, 1);
    bool quoted = s->n && s->p[0] == '"';
    size_t n = quoted ? 1 : 0;
    while (n < s->n && s->p[n] != (quoted ? '"' : ','))
        n += quoted && s->p[n] == '\\' && n + 1 < s->n ? 2 : 1;
    n += quoted && n < s->n;
    *value = (struct str){s->p, n};
    *s = str_skip(*s, n);
    return true;
}

static void add_pair(struct buf *b, struct str key, struct str value)
{
    const char *x = value.n ? memchr(value.p, 'x', value.n) : NULL;
    buf_add_byte(b, ',');
    if (str_eq_z(key, "Size") && x) {
        buf_add_z(b, "\"Size-1\":");
        json_add_str(b, (struct str){value.p, (size_t)(x - value.p)});
        buf_add_z(b, ",\"Size-2\":");
        json_add_str(b, str_skip(value, (size_t)(x - value.p) + 1));
        return;
    }
    json_add_str(b, key);
    buf_add_byte(b, ':');
    if (value.n > 1 && value.p[0] == '"')
        value = (struct str){value.p + 1, value.n - 2};
    json_add_str(b, value);
}

/* Where the line of settings begins: the last one, when it has pairs. */
static size_t settings_line(struct str text)
{
    size_t at = text.n;
    while (at > 0 && text.p[at - 1] != '\n')
        at--;
    struct str last = str_skip(text, at), steps = STR_LIT("Steps: ");
    return str_starts(last, steps) ? at : text.n;
}

static void add_parameters(struct buf *b, struct str text)
{
    static const char mark[] = "Negative prompt: ";
    size_t at = settings_line(text);
    struct str prompt = {text.p, at}, negative = {0}, key, value;
    struct str rest = str_skip(text, at);
    const char *found = prompt.n ? memmem(prompt.p, prompt.n, mark, sizeof mark - 1) : NULL;
    if (found && (found == prompt.p || found[-1] == '\n')) {
        negative = str_skip(prompt, (size_t)(found - prompt.p) + sizeof mark - 1);
        prompt.n = (size_t)(found - prompt.p);
    }
    while (prompt.n && prompt.p[prompt.n - 1] == '\n')
        prompt.n--;
    while (negative.n && negative.p[negative.n - 1] == '\n')
        negative.n--;
    buf_add_z(b, "\"Prompt\":");
    json_add_str(b, prompt);
    buf_add_z(b, ",\"Negative prompt\":");
    json_add_str(b, negative.p ? negative : STR_LIT(""));
    while (next_pair(&rest, &key, &value))
        add_pair(b, key, value);
}

static enum err_code read_texts(struct str file, struct found *f, struct err *e)
{
    struct err missing = {0};
    enum err_code rc = ERR_OK;
    if (image_sniff(file) == IMAGE_FORMAT_PNG)
        rc = image_png_texts(file, see_text, f, e);
    if (rc == ERR_OK && image_parameters(file, &f->parameters, &missing) != ERR_OK)
        rc = missing.code == ERR_FORMAT ? err_set(e, ERR_FORMAT, "%s", missing.text) : ERR_OK;
    err_clear(&missing);
    return rc;
}

enum err_code a1111_png_info(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct buf bytes, *b = &re->body;
    struct found found;
    if (!face_heavy(rq, re))
        return ERR_OK;
    buf_init(&bytes, LIMIT_FILE);
    buf_init(&found.parameters, LIMIT_INFOTEXTS);
    buf_init(&found.items, LIMIT_INFOTEXTS);
    enum err_code rc = face_bytes(rq, str_from(http_body_str(rq, "image", "")), "image", &bytes, e);
    if (rc == ERR_OK) {
        rc = read_texts(buf_str(&bytes), &found, e);
        if (rc != ERR_OK)
            http_set_error_field(rq, "image");
    }
    buf_add_z(b, "{\"info\":");
    json_add_str(b, buf_str(&found.parameters));
    buf_printf(b, ",\"items\":{%s},\"parameters\":{", buf_z(&found.items));
    if (found.parameters.n)
        add_parameters(b, buf_str(&found.parameters));
    buf_add_z(b, "}}");
    buf_deinit(&bytes);
    buf_deinit(&found.parameters);
    buf_deinit(&found.items);
    return rc;
}
