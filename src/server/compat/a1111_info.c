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
#include "reader/reader.h"
#include "server/compat/a1111.h"
#include "server/limits.h"
#include "server/server_internal.h"
#include "store/assets.h"

/* ---- answers ------------------------------------------------------------------------------------------- */

enum err_code a1111_infotext(struct http_request *rq, const char *asset,
                             const struct a1111_paste *paste, struct buf *out, struct err *e)
{
    struct image_about about;
    image_about_init(&about);
    enum err_code rc = asset_about(store_of(rq), asset, NULL, &about, e);
    buf_add_str(out, buf_str(&about.recipe));
    image_about_deinit(&about);
    if (rc != ERR_OK || !paste->original)
        return rc;
    buf_printf(out, ", Denoising strength: %g, Mask blur: %d", paste->strength, paste->mask_blur);
    if (paste->padding >= 0)
        buf_printf(out, ", Inpaint area: Only masked, Masked area padding: %d", paste->padding);
    return ERR_OK;
}

/* Each image's is the request's. */
static void put_prompt(struct buf *b, const char *name, const char *all, const char *text, size_t n)
{
    json_put_z(b, name, text);
    json_array(b, all);
    for (size_t i = 0; i < n; i++)
        json_put_z(b, NULL, text);
    json_end_array(b);
}

static void put_seed(struct buf *b, const char *name, const char *all,
                     const struct face_image *images, size_t n)
{
    json_put_int(b, name, n ? images[0].seed : -1);
    json_array(b, all);
    for (size_t i = 0; i < n; i++)
        json_put_int(b, NULL, images[i].seed);
    json_end_array(b);
}

/* What was asked for and has no effect, or was not made, for whoever reads it. */
static void put_comments(struct http_request *rq, const struct job_record *rec, size_t n,
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
    json_put_z(b, "comments", buf_z(&text));
    buf_deinit(&text);
}

static void put_time(struct buf *b, const char *name, time_t at)
{
    struct tm t;
    char stamp[32];
    (void)gmtime_r(&at, &t);
    (void)strftime(stamp, sizeof stamp, "%Y%m%d%H%M%S", &t);
    json_put_z(b, name, stamp);
}

static void put_version(struct buf *b)
{
    json_string(b, "version");
    buf_printf(b, "veetance %s", vt_version());
    json_end_string(b);
}

/* What was asked for. */
static void put_request(struct http_request *rq, const struct face_image *images, size_t n,
                        struct buf *b)
{
    put_prompt(b, "prompt", "all_prompts", http_body_str(rq, "prompt", ""), n);
    put_prompt(b, "negative_prompt", "all_negative_prompts",
               http_body_str(rq, "negative_prompt", ""), n);
    put_seed(b, "seed", "all_seeds", images, n);
    put_seed(b, "subseed", "all_subseeds", images, n);
    json_put_int(b, "subseed_strength", 0);
    json_put_int(b, "seed_resize_from_w", -1);
    json_put_int(b, "seed_resize_from_h", -1);
    json_put_int(b, "width", n ? images[0].width : 0);
    json_put_int(b, "height", n ? images[0].height : 0);
    json_put_int(b, "batch_size", http_body_int(rq, "batch_size", 1));
    if (yyjson_obj_get(http_body(rq), "init_images"))
        json_put_number(b, "denoising_strength", http_body_double(rq, "denoising_strength", 0.75));
    else
        json_put_null(b, "denoising_strength");
}

/* How the job ran it. */
static void put_run(const struct job_record *rec, struct buf *b)
{
    yyjson_doc *doc = yyjson_read(rec->result, strlen(rec->result), 0);
    yyjson_val *done = yyjson_doc_get_root(doc);
    json_put_z(b, "sampler_name", "Euler");
    json_put_number(b, "cfg_scale", yyjson_get_num(yyjson_obj_get(done, "guidance")));
    json_put_int(b, "steps", (int64_t)yyjson_get_num(yyjson_obj_get(done, "steps")));
    json_put_z(b, "sd_model_name", rec->model);
    put_time(b, "job_timestamp", (time_t)(rec->finished_ms / 1000));
    put_version(b);
    json_put_z(b, "job", rec->id);
    yyjson_doc_free(doc);
}

/* Members that clients look for and that say nothing here. */
static void put_idle(struct buf *b)
{
    static const char *const none[] = {"face_restoration_model", "sd_model_hash", "sd_vae_name",
                                       "sd_vae_hash"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        json_put_null(b, none[i]);
    json_put_bool(b, "restore_faces", false);
    json_put_bool(b, "is_using_inpainting_conditioning", false);
    json_object(b, "extra_generation_params");
    json_end_object(b);
    json_put_int(b, "index_of_first_image", 0);
    json_array(b, "styles");
    json_end_array(b);
    json_put_int(b, "clip_skip", 1);
}

void a1111_put_info(struct http_request *rq, const struct job_record *rec,
                    const struct face_image *images, size_t n, const struct buf *texts,
                    struct buf *b)
{
    struct buf info;
    buf_init(&info, 2 * LIMIT_INFOTEXTS);
    json_object(&info, NULL);
    put_request(rq, images, n, &info);
    put_run(rec, &info);
    put_idle(&info);
    json_array(&info, "infotexts");
    json_put_raw(&info, NULL, buf_str(texts));
    json_end_array(&info);
    put_comments(rq, rec, n, &info);
    json_end_object(&info);
    json_put_str(b, "info", buf_str(&info));
    buf_deinit(&info);
}

/* ---- out of an image ----------------------------------------------------------------------------------- */

struct found {
    struct buf parameters, items; /* items: members in JSON */
};

static void see_text(struct str key, struct str text, void *user)
{
    struct found *f = user;
    if (str_eq_z(key, "parameters"))
        return;
    json_key(&f->items, key);
    json_put_str(&f->items, NULL, text);
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

static void put_pair(struct buf *b, struct str key, struct str value)
{
    const char *x = value.n ? memchr(value.p, 'x', value.n) : NULL;
    if (str_eq_z(key, "Size") && x) {
        json_put_str(b, "Size-1", (struct str){value.p, (size_t)(x - value.p)});
        json_put_str(b, "Size-2", str_skip(value, (size_t)(x - value.p) + 1));
        return;
    }
    if (value.n > 1 && value.p[0] == '"')
        value = (struct str){value.p + 1, value.n - 2};
    json_key(b, key);
    json_put_str(b, NULL, value);
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

static void put_parameters(struct buf *b, struct str text)
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
    json_put_str(b, "Prompt", prompt);
    json_put_str(b, "Negative prompt", negative.p ? negative : STR_LIT(""));
    while (next_pair(&rest, &key, &value))
        put_pair(b, key, value);
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
        const struct reader_file f = {.fd = -1, .memory = buf_str(&bytes)};
        rc = reader_texts(server_of(rq)->reader, &f, &(struct reader_texts){see_text, &found},
                          &found.parameters, e);
        if (rc != ERR_OK)
            http_set_error_field(rq, "image");
    }
    json_object(b, NULL);
    json_put_str(b, "info", buf_str(&found.parameters));
    json_object(b, "items");
    json_put_raw(b, NULL, buf_str(&found.items));
    json_end_object(b);
    json_object(b, "parameters");
    if (found.parameters.n)
        put_parameters(b, buf_str(&found.parameters));
    json_end_object(b);
    json_end_object(b);
    buf_deinit(&bytes);
    buf_deinit(&found.parameters);
    buf_deinit(&found.items);
    return rc;
}
