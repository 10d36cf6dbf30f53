/* preview.c - layers on the way, for who asked for them: all of them side by side as one sheet, so that
 * a client has one image that grows in its place. */
#include "image/composite.h"
#include "pipeline/layered/internal.h"

struct encoding {
    struct layered *l;
    const struct layered_run *run;
};

/* Told to nobody, and no part of a trace: it is no image of the request. */
static enum err_code encode(void *user, const struct image *pattern, float *tokens, struct err *e)
{
    const struct encoding *n = user;
    struct vt_stats stats = {0};
    struct layered_run quiet = {.cancel = n->run->cancel, .stats = &stats};
    return layered_encode_image(n->l, pattern, &quiet, tokens, e);
}

void layered_preview_prepare(struct layered *l, const struct layered_run *run)
{
    struct encoding n = {l, run};
    const struct preview_encoder encoder = {.encode = encode,
                                            .user = &n,
                                            .dry = nn_device_is_dry(l->on.vae),
                                            .unit = layered_unit(l),
                                            .channels =
                                                qwen_image_vae_config(l->vae)->latent_channels,
                                            .colours = 4};
    if (run->previews)
        preview_prepare(&l->preview, &encoder);
}

static enum err_code draw_sheet(const struct layered *l, const struct preview_at *first, int layers,
                                struct image *out, struct err *e)
{
    struct image tiles[LAYERED_MAX_LAYERS] = {{0}};
    const struct image *list[LAYERED_MAX_LAYERS];
    struct image_sheet_params params = image_sheet_defaults();
    int64_t floats = first->rows * first->cols * PREVIEW_PLACES * l->preview.channels;
    enum err_code rc = ERR_OK;
    params.columns = layers;
    params.gap = 0;
    for (int i = 0; i < layers; i++) {
        struct preview_at at = *first;
        at.latents += i * floats;
        at.velocity += i * floats;
        list[i] = &tiles[i];
        TRY_GOTO(preview_draw(&l->preview, &at, &tiles[i], e), done);
    }
    rc = image_sheet(list, (size_t)layers, &params, out, e);
done:
    for (int i = 0; i < layers; i++)
        image_free(&tiles[i]);
    return rc;
}

void layered_preview_show(const struct layered *l, const struct layered_run *run,
                          const struct preview_at *first, int layers, int step)
{
    struct image sheet = {0};
    struct err e = {0};
    if (!l->preview.maps || !run->callbacks || !run->callbacks->preview)
        return;
    if (draw_sheet(l, first, layers, &sheet, &e) == ERR_OK)
        report_preview(run->callbacks, &sheet, step, layers);
    err_clear(&e); /* layers without a preview are as good */
    image_free(&sheet);
}
