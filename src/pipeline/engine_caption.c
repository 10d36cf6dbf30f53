/* engine_caption.c - vt_caption: an image in words, through the public library; and opening models ahead.
 *
 * Checks come before the model is opened, and the captioner stays open for the next image. An engine holds one
 * model: opening another closes what was there. The image is put on white, as the reference's processor knows no
 * alpha. What came out is checked for sense, because a broken model gives text, too.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "image/composite.h"
#include "pipeline/placement.h"
#include "pipeline/engine_internal.h"
#include "pipeline/isolated/isolated.h"
#include "pipeline/lend.h"
#include "pipeline/report.h"

enum { CAPTION_MAX_BYTES = 16 << 20 };

struct vt_caption_request vt_caption_request_defaults(void)
{
    return (struct vt_caption_request){.max_new_tokens = VT_DEFAULT};
}

static enum err_code open_captioner(struct vt_engine *g, const char *model,
                                    const struct vt_callbacks *cb, struct err *e)
{
    if (g->captioner && model && strcmp(g->model, model) == 0)
        return ERR_OK;
    engine_close_model(g);
    struct caption_files *files = mem_alloc(sizeof *files);
    const struct convert_cache_run run = engine_conversion(g, cb);
    enum err_code rc = caption_files_find(model, files, e);
    if (rc == ERR_OK)
        rc = convert_cache_part("language model", files->language.weights, &run, e);
    if (rc == ERR_OK)
        rc = caption_open(files, g->placement.devices.text, &g->captioner, e);
    mem_free(files);
    if (rc == ERR_OK)
        (void)snprintf(g->model, sizeof g->model, "%s", model);
    return rc;
}

static enum err_code run_on_pixels(struct vt_engine *g, const struct vt_caption_request *rq,
                                   const struct vt_callbacks *cb, struct vt_caption_result *out,
                                   struct err *e)
{
    static const unsigned char white[3] = {255, 255, 255};
    struct image given = borrow_image(&rq->image), image = {0};
    int64_t max = rq->max_new_tokens == VT_DEFAULT ? CAPTION_MAX_NEW_TOKENS : rq->max_new_tokens;
    struct report_caption report;
    struct nn_device *d = g->placement.devices.text;
    atomic_store(&g->cancel, false);
    TRY(engine_check_image(&rq->image, "the image", e));
    TRY(engine_check_language(rq->language, e));
    TRY(engine_check_range("the number of new tokens", max, 1, CAPTION_MAX_NEW_TOKENS_LIMIT, e));
    TRY(compute_choose(g->placement.devices, rq->compute, cb, e));
    TRY(open_captioner(g, rq->model, cb, e));
    TRY(image_on_ground(&given, white, &image, e));
    double start = clock_s();
    struct caption_request q = {.language = engine_language(rq->language),
                                .max_new_tokens = max,
                                .cancel = &g->cancel,
                                .user = &report,
                                .token = report_caption_token};
    engine_begin_run(g);
    report_caption_begin(&report, cb, 1, max, d);
    struct caption_result got = {0};
    enum err_code rc = caption_run(g->captioner, &image, &q, &got, e);
    report_graphs_end(d);
    if (rc == ERR_OK && (rc = caption_check(&got, e)) == ERR_OK) {
        buf_add_str(&out->text, buf_str(&got.text));
        out->tokens = (int)got.generated.n;
        out->complete = got.complete;
    }
    caption_result_deinit(&got);
    engine_end_run(g, &out->stats);
    image_free(&image);
    out->stats.total_seconds = clock_s() - start;
    return rc;
}

static enum err_code run(struct vt_engine *g, const struct vt_caption_request *rq,
                         const struct vt_callbacks *cb, struct vt_caption_result *out,
                         struct err *e)
{
    struct vt_caption_request copy = *rq;
    struct engine_files files = {.n = 0};
    buf_init(&out->text, CAPTION_MAX_BYTES);
    enum err_code rc = engine_file_open(&files, &copy.image, e);
    if (rc == ERR_OK)
        rc = run_on_pixels(g, &copy, cb, out, e);
    if (rc == ERR_OK && buf_failed(&out->text))
        rc = err_set(e, ERR_NOMEM, "no memory for the caption");
    engine_files_deinit(&files);
    return rc;
}

static enum err_code caption_here(struct vt_engine *g, const struct vt_caption_request *rq,
                                  const struct vt_callbacks *cb, struct vt_caption_result **out,
                                  struct err *e)
{
    struct vt_caption_result *r = mem_alloc(sizeof *r);
    enum err_code rc = run(g, rq, cb, r, e);
    if (rc != ERR_OK) {
        vt_caption_result_free(r);
        r = NULL;
    }
    *out = r;
    return rc;
}

enum vt_status vt_caption(struct vt_engine *engine, const struct vt_caption_request *request,
                          const struct vt_callbacks *callbacks, struct vt_caption_result **out,
                          struct vt_error *err)
{
    struct err e = {0};
    *out = NULL;
    enum err_code rc = engine_check_free(engine, &e);
    if (rc == ERR_OK)
        rc = engine->isolated ? isolated_caption(engine->isolated, request, callbacks, out, &e)
                              : caption_here(engine, request, callbacks, out, &e);
    return engine_finish(rc, &e, err);
}

void vt_caption_result_free(struct vt_caption_result *result)
{
    if (!result)
        return;
    buf_deinit(&result->text);
    mem_free(result);
}

const char *vt_caption_text(const struct vt_caption_result *result)
{
    return buf_z(&result->text);
}

const struct vt_stats *vt_caption_stats(const struct vt_caption_result *result)
{
    return &result->stats;
}

int vt_caption_tokens(const struct vt_caption_result *result)
{
    return result->tokens;
}

int vt_caption_complete(const struct vt_caption_result *result)
{
    return result->complete;
}

/* ---- models ------------------------------------------------------------------------------------------ */

static enum err_code load_here(struct vt_engine *g, const char *model, struct err *e)
{
    struct model_dir *dir = mem_alloc(sizeof *dir);
    atomic_store(&g->cancel, false);
    enum err_code rc = model_dir_open(model, dir, e);
    if (rc == ERR_OK)
        rc = engine_open_model(g, model, dir->pipeline, NULL, e);
    mem_free(dir);
    return rc;
}

enum vt_status vt_engine_load(struct vt_engine *engine, const char *model, struct vt_error *err)
{
    struct err e = {0};
    enum err_code rc = engine_check_free(engine, &e);
    if (rc == ERR_OK)
        rc = engine->isolated ? isolated_load(engine->isolated, model, &e)
                              : load_here(engine, model, &e);
    return engine_finish(rc, &e, err);
}

void vt_engine_unload(struct vt_engine *engine)
{
    if (engine_check_free(engine, NULL) != ERR_OK)
        return;
    if (engine->isolated)
        isolated_unload(engine->isolated);
    else
        engine_close_model(engine);
}
