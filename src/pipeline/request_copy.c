#include "pipeline/request_copy.h"

#include <string.h>

#include "base/str.h"

struct copier {
    struct arena *arena;
    bool failed;
};

static void copy_text(struct copier *c, const char **text)
{
    if (!*text)
        return;
    *text = arena_strdup(c->arena, str_from(*text));
    c->failed = c->failed || !*text;
}

static void copy_image(struct copier *c, struct vt_image *im)
{
    copy_text(c, &im->file);
    if (!im->pixels)
        return;
    const size_t n =
        (size_t)im->width * (size_t)im->height * (size_t)im->channels * (im->bits == 16 ? 2 : 1);
    unsigned char *pixels = arena_alloc(c->arena, n);
    if (pixels)
        memcpy(pixels, im->pixels, n);
    im->pixels = pixels;
    c->failed = c->failed || !pixels;
}

static void copy_loras(struct copier *c, struct vt_loras *l)
{
    for (int i = 0; i < l->count && i < VT_MAX_LORAS; i++) {
        copy_text(c, &l->of[i].name);
        copy_text(c, &l->of[i].path);
    }
}

static enum err_code end(const struct copier *c, struct err *e)
{
    return c->failed ? err_set(e, ERR_NOMEM, "no memory for a copy of the request") : ERR_OK;
}

enum err_code request_copy(struct vt_request *rq, struct arena *a, struct err *e)
{
    struct copier c = {.arena = a};
    const char **const texts[] = {&rq->model,     &rq->prompt,     &rq->compute,  &rq->matte,
                                  &rq->mask_name, &rq->trace_path, &rq->cache_dir};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        copy_text(&c, texts[i]);
    for (int i = 0; i < rq->image_count; i++) {
        copy_image(&c, &rq->images[i]);
        copy_text(&c, &rq->image_names[i]);
    }
    copy_image(&c, &rq->mask);
    copy_loras(&c, &rq->loras);
    return end(&c, e);
}

enum err_code request_copy_layers(struct vt_layers_request *rq, struct arena *a, struct err *e)
{
    struct copier c = {.arena = a};
    const char **const texts[] = {&rq->model, &rq->prompt,     &rq->negative_prompt, &rq->language,
                                  &rq->matte, &rq->trace_path, &rq->compute};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        copy_text(&c, texts[i]);
    copy_image(&c, &rq->image);
    copy_loras(&c, &rq->loras);
    return end(&c, e);
}

enum err_code request_copy_caption(struct vt_caption_request *rq, struct arena *a, struct err *e)
{
    struct copier c = {.arena = a};
    const char **const texts[] = {&rq->model, &rq->language, &rq->compute};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        copy_text(&c, texts[i]);
    copy_image(&c, &rq->image);
    return end(&c, e);
}
