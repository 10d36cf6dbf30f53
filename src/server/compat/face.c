#include "server/compat/face.h"

#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "http/check.h"
#include "pipeline/lora_tags.h"
#include "pipeline/result_json.h"
#include "server/jobs/lora_choice.h"
#include "server/limits.h"
#include "server/server_internal.h"

enum { WORK_BYTES = 256 << 20 /* what an image of 32 million pixels takes twice */ };

struct face_request face_request_defaults(void)
{
    return (struct face_request){.width = -1,
                                 .height = -1,
                                 .steps = -1,
                                 .seed = -1,
                                 .count = -1,
                                 .guidance = -1,
                                 .strength = -1};
}

static void put_given(struct buf *b, const char *name, int64_t v)
{
    if (v >= 0)
        json_put_int(b, name, v);
}

static void put_inputs(const struct face_request *f, struct buf *b)
{
    if (f->n_images) {
        json_array(b, "images");
        for (size_t i = 0; i < f->n_images; i++)
            json_put_z(b, NULL, f->images[i]);
        json_end_array(b);
    }
    if (f->mask)
        json_put_z(b, "mask", f->mask);
}

static void request_json(const struct face_request *f, struct buf *b)
{
    json_object(b, NULL);
    json_put_z(b, "prompt", f->prompt ? f->prompt : "");
    if (f->model)
        json_put_z(b, "model", f->model);
    put_given(b, "width", f->width);
    put_given(b, "height", f->height);
    put_given(b, "steps", f->steps);
    put_given(b, "seed", f->seed);
    put_given(b, "count", f->count);
    if (f->guidance >= 0)
        json_put_float(b, "guidance", f->guidance);
    if (f->strength >= 0)
        json_put_float(b, "strength", f->strength);
    put_inputs(f, b);
    result_json_loras(b, &f->loras);
    json_end_object(b);
}

enum err_code face_submit(struct http_request *rq, const struct face_request *f,
                          struct job_record *out, struct err *e)
{
    const char *kind = f->n_images ? "edit" : "generate";
    yyjson_doc *doc = NULL;
    struct buf b;
    buf_init(&b, LIMIT_REQUEST);
    request_json(f, &b);
    char field[CHECK_FIELD_SIZE] = "";
    enum err_code rc;
    TRY_GOTO(json_parse(buf_str(&b), "the request", &doc, e), done);
    rc = check_object(f->n_images ? fields_edit : fields_generate, yyjson_doc_get_root(doc), false,
                      field, e);
    http_set_error_field(rq, "%s", field);
    if (rc != ERR_OK)
        goto done;
    rc = job_submit(rq, kind, yyjson_doc_get_root(doc), NULL, out, e);
done:
    yyjson_doc_free(doc);
    buf_deinit(&b);
    return rc;
}

static enum err_code check_prompt(struct http_request *rq, const char *prompt, struct err *e)
{
    static const char *const kinds[] = {"<lora:", "<lyco:", "<hypernet:"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const char *at = strcasestr(prompt, kinds[i]);
        size_t n = at ? strcspn(at, ">\n") : 0;
        if (at)
            return http_refuse(
                rq, 422, "prompt", e,
                "the prompt asks for %.*s>: that network cannot be used here; take it "
                "out of the prompt",
                n > 60 ? 60 : (int)n, at);
    }
    return ERR_OK;
}

enum err_code face_check_prompt(struct http_request *rq, struct err *e)
{
    return check_prompt(rq, http_body_str(rq, "prompt", ""), e);
}

enum err_code face_take_prompt(struct http_request *rq, struct face_request *f, struct err *e)
{
    char path[MODEL_PATH_BYTES];
    struct err why = {0};
    struct buf rest;
    struct lora_tags *tags = arena_alloc(http_arena(rq), sizeof *tags);
    if (!tags)
        return err_set(e, ERR_NOMEM, "no memory for the prompt");
    buf_init(&rest, LIMIT_REQUEST);
    enum err_code rc = lora_tags_take(str_from(f->prompt), &rest, tags, &why);
    for (int i = 0; rc == ERR_OK && i < tags->n; i++)
        rc = lora_choose(tags->of[i].name, path, &why);
    f->prompt = arena_strdup(http_arena(rq), buf_str(&rest));
    buf_deinit(&rest);
    if (rc != ERR_OK)
        return http_refuse(rq, 422, "prompt", e, "%s", why.text);
    if (!f->prompt)
        return err_set(e, ERR_NOMEM, "no memory for the prompt");
    lora_tags_request(tags, &f->loras);
    return check_prompt(rq, f->prompt, e);
}

bool face_heavy(struct http_request *rq, struct http_reply *re)
{
    return http_heavy(rq, re, WORK_BYTES + 3 * (uint64_t)http_body_bytes(rq));
}

enum err_code face_images(const char *result, struct face_image out[FACE_MAX_IMAGES], size_t *n,
                          struct err *e)
{
    yyjson_doc *doc = NULL;
    yyjson_val *v;
    size_t i, max;
    *n = 0;
    enum err_code rc = json_parse(str_from(result), "the result", &doc, e);
    yyjson_val *list = yyjson_obj_get(yyjson_doc_get_root(doc), "images");
    yyjson_arr_foreach(list, i, max, v)
    {
        struct face_image *p = &out[*n];
        struct str id = {0};
        if (rc == ERR_OK)
            rc = json_get_str(v, "asset", &id, "the result", e);
        if (rc == ERR_OK)
            rc = json_get_i64(v, "seed", 0, INT64_MAX, &p->seed, "the result", e);
        if (rc == ERR_OK)
            rc = json_get_i64(v, "width", 1, 100000, &p->width, "the result", e);
        if (rc == ERR_OK)
            rc = json_get_i64(v, "height", 1, 100000, &p->height, "the result", e);
        if (rc != ERR_OK || *n == FACE_MAX_IMAGES - 1)
            break;
        (void)snprintf(p->asset, sizeof p->asset, "%.*s", (int)id.n, id.p);
        (*n)++;
    }
    yyjson_doc_free(doc);
    return rc;
}
