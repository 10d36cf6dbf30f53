/* openai_stream.c - a job's events in OpenAI's form: image_generation.partial_image and .completed, or those of
 * image_edit. What a client asked for is in its topic, so that nothing is kept beside the subscription:
 *
 *     openai-JOB-e2w90     an edit, two previews of each image, WebP of quality 90
 *
 * Events of several images say which one they belong to (index); their previews are counted anew for each. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json_text.h"
#include "base/mem.h"
#include "http/base64.h"
#include "image/resize.h"
#include "server/compat/face.h"
#include "server/limits.h"
#include "server/server_internal.h"

enum {
    /* Previews have a pixel for each latent one; these are of the finished image's size. */
    PREVIEW_SCALE = 8,
    PREVIEW_MAX_SIDE = 2048,
};

static void prefix_of(char out[EVENTS_TOPIC_SIZE], const char *job)
{
    (void)snprintf(out, EVENTS_TOPIC_SIZE, "openai-%.*s-", STORE_ID_SIZE, job);
}

static void topic_of(char out[EVENTS_TOPIC_SIZE], const char *job, const struct openai_stream *o)
{
    prefix_of(out, job);
    size_t n = strlen(out);
    (void)snprintf(out + n, EVENTS_TOPIC_SIZE - n, "%c%d%c%d", o->edit ? 'e' : 'g', o->partial,
                   image_format_name(o->format.kind)[0], o->format.quality);
}

/* What the job's stream was asked to be; false when nobody listens. */
static bool find_stream(struct server *s, const char *job, unsigned flags,
                        char topic[EVENTS_TOPIC_SIZE], struct openai_stream *o)
{
    char prefix[EVENTS_TOPIC_SIZE];
    uint64_t quality = 0;
    prefix_of(prefix, job);
    if (!events_find(s->events, prefix, flags, topic))
        return false;
    const char *asked = topic + strlen(prefix);
    if (strlen(asked) < 4 || !str_to_u64(str_from(asked + 3), &quality))
        return false;
    o->edit = asked[0] == 'e';
    o->partial = asked[1] - '0';
    o->format.kind = asked[2] == 'j'   ? IMAGE_FORMAT_JPEG
                     : asked[2] == 'w' ? IMAGE_FORMAT_WEBP
                                       : IMAGE_FORMAT_PNG;
    o->format.quality = (int)quality;
    return true;
}

void openai_put_look(struct buf *b, enum image_format format, int64_t w, int64_t h)
{
    json_put_z(b, "output_format", image_format_name(format));
    json_string(b, "size");
    buf_printf(b, "%lldx%lld", (long long)w, (long long)h);
    json_end_string(b);
    json_put_z(b, "quality", "high");
    json_put_z(b, "background", "opaque");
}

void openai_put_usage(struct buf *b)
{
    json_object(b, "usage");
    json_put_int(b, "total_tokens", 0);
    json_put_int(b, "input_tokens", 0);
    json_put_int(b, "output_tokens", 0);
    json_object(b, "input_tokens_details");
    json_put_int(b, "text_tokens", 0);
    json_put_int(b, "image_tokens", 0);
    json_end_object(b);
    json_end_object(b);
}

static void begin_event(const struct openai_stream *o, const char *what, int index, int w, int h,
                        char name[48], struct buf *b)
{
    (void)snprintf(name, 48, "%s.%s", o->edit ? "image_edit" : "image_generation", what);
    json_object(b, NULL);
    json_put_z(b, "type", name);
    json_put_int(b, "index", index);
    json_put_int(b, "created_at", time(NULL));
    openai_put_look(b, o->format.kind, w, h);
}

/* ---- previews ------------------------------------------------------------------------------------------ */

/* Which preview comes with that step: they are spread over the steps, at most one a step. -1: none. */
static int preview_index(int step, int steps, int partial)
{
    int index = -1, due = 0;
    for (int s = 1; s <= step && s <= steps; s++) {
        int now = s * (partial + 1) / steps;
        now = now > partial ? partial : now;
        if (now > due)
            index++;
        else if (s == step)
            return -1;
        due = now;
    }
    return index;
}

void openai_tell_preview(struct server *s, const char *job, const struct vt_progress *at, int step,
                         const struct image *preview)
{
    struct openai_stream o;
    struct image full = {0};
    struct err e = {0};
    struct buf b, file;
    char topic[EVENTS_TOPIC_SIZE], name[48];
    int w = preview->w * PREVIEW_SCALE, h = preview->h * PREVIEW_SCALE;
    if (!find_stream(s, job, 0, topic, &o) || w > PREVIEW_MAX_SIDE || h > PREVIEW_MAX_SIDE)
        return;
    int index = preview_index(step, at->step_count, o.partial);
    if (index < 0)
        return;
    buf_init(&b, LIMIT_IMAGE_EVENT);
    buf_init(&file, LIMIT_IMAGE_EVENT);
    if (image_resize(preview, w, h, IMAGE_BICUBIC, &full, &e) == ERR_OK &&
        face_encode(&full, o.format, NULL, &file, &e) == ERR_OK) {
        begin_event(&o, "partial_image", at->image, w, h, name, &b);
        json_put_int(&b, "partial_image_index", index);
        json_string(&b, "b64_json");
        base64_add(&b, buf_str(&file));
        json_end_string(&b);
        json_end_object(&b);
        events_publish(s->events, topic, name, buf_str(&b), EVENTS_DROPPABLE);
    }
    err_clear(&e); /* a stream without a preview is as good */
    image_free(&full);
    buf_deinit(&file);
    buf_deinit(&b);
}

/* ---- the end ------------------------------------------------------------------------------------------- */

static enum err_code tell_image(struct server *s, const char *topic, const struct openai_stream *o,
                                const struct face_image *im, int index, bool last, struct err *e)
{
    char name[48];
    struct buf b;
    buf_init(&b, LIMIT_IMAGE_EVENT);
    begin_event(o, "completed", index, (int)im->width, (int)im->height, name, &b);
    json_put_int(&b, "seed", im->seed);
    openai_put_usage(&b);
    json_string(&b, "b64_json");
    enum err_code rc = face_base64(s->store, im->asset, o->format, &b, e);
    json_end_string(&b);
    json_end_object(&b);
    if (rc == ERR_OK && buf_failed(&b))
        rc = err_set(e, ERR_LIMIT, "image %d is too large for an event", index);
    if (rc == ERR_OK)
        events_publish(s->events, topic, name, buf_str(&b), last ? EVENTS_LAST : 0);
    buf_deinit(&b);
    return rc;
}

static void tell_error(struct server *s, const char *topic, struct str message, const char *code)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    json_object(&b, NULL);
    json_put_z(&b, "type", "error");
    openai_put_error(&b, message, "server_error", NULL, code);
    json_end_object(&b);
    events_publish(s->events, topic, "error", buf_str(&b), EVENTS_LAST);
    buf_deinit(&b);
}

static void tell_failure(struct server *s, const char *topic, enum job_state state,
                         const char *error)
{
    yyjson_doc *doc = NULL;
    struct err ignored = {0};
    struct str detail = STR_LIT("the job failed");
    char text[80];
    if (state != JOB_FAILED) {
        (void)snprintf(text, sizeof text, "the job was %s", job_state_name(state));
        detail = str_from(text);
    } else if (error && *error &&
               json_parse(str_from(error), "the error", &doc, &ignored) == ERR_OK &&
               json_get_str(yyjson_doc_get_root(doc), "detail", &detail, "error", &ignored) !=
                   ERR_OK) {
        detail = str_from(error);
    }
    err_clear(&ignored);
    tell_error(s, topic, detail, job_state_name(state));
    yyjson_doc_free(doc);
}

static void tell_stream(struct server *s, const char *topic, const struct openai_stream *o,
                        const char *result)
{
    struct face_image *images = mem_alloc(FACE_MAX_IMAGES * sizeof *images);
    struct err e = {0};
    size_t n = 0;
    enum err_code rc = face_images(result, images, &n, &e);
    for (size_t i = 0; rc == ERR_OK && i < n; i++)
        rc = tell_image(s, topic, o, &images[i], (int)i, i + 1 == n, &e);
    if (rc != ERR_OK)
        tell_error(s, topic, str_from(e.text), err_code_name(rc));
    err_clear(&e);
    mem_free(images);
}

void openai_tell_end(struct server *s, const char *job, enum job_state state, const char *result,
                     const char *error)
{
    struct openai_stream o;
    char topic[EVENTS_TOPIC_SIZE];
    while (find_stream(s, job, EVENTS_LAST, topic, &o)) {
        if (state == JOB_DONE)
            tell_stream(s, topic, &o, result);
        else
            tell_failure(s, topic, state, error);
    }
}

enum err_code openai_stream(struct http_request *rq, struct http_reply *re,
                            const struct openai_stream *asked, const char *job, struct err *e)
{
    char topic[EVENTS_TOPIC_SIZE];
    struct queue_view v;
    topic_of(topic, job, asked);
    enum err_code rc = events_subscribe(server_of(rq)->events, rq, topic, &re->stream, e);
    if (rc != ERR_OK)
        return rc;
    re->type = "text/event-stream";
    job_follow(rq, job, re->stream);
    queue_view(server_of(rq)->queue, job, &v);
    if (!v.live) {
        struct job_record rec = {0};
        rc = jobs_get(store_of(rq), job, &rec, e);
        if (rc == ERR_OK)
            openai_tell_end(server_of(rq), job, rec.state, rec.result, rec.error);
        job_record_deinit(&rec);
    }
    return rc;
}
