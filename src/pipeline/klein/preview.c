/* preview.c - images on the way, for who asked for them. */
#include "pipeline/klein/internal.h"

struct encoding {
    struct klein *k;
    const struct klein_run *run;
};

/* Told to nobody: it is no image of the request. */
static enum err_code encode(void *user, const struct image *pattern, float *tokens, struct err *e)
{
    const struct encoding *n = user;
    struct vt_stats stats = {0};
    struct klein_run quiet = {.cancel = n->run->cancel, .stats = &stats};
    return klein_encode_image(n->k, pattern, (struct report_part){0, 1}, &quiet, tokens, e);
}

void klein_preview_prepare(struct klein *k, const struct klein_run *run)
{
    struct encoding n = {k, run};
    const struct preview_encoder encoder = {.encode = encode,
                                            .user = &n,
                                            .dry = nn_device_is_dry(k->on.vae),
                                            .unit = klein_size_unit(k),
                                            .channels = flux2_vae_config(k->vae)->latent_channels,
                                            .colours = 3};
    if (run->previews)
        preview_prepare(&k->preview, &encoder);
}

void klein_preview_show(struct klein *k, const struct klein_run *run, const struct preview_at *at,
                        int step)
{
    struct image im;
    struct err e = {0};
    if (!k->preview.maps || !run->callbacks || !run->callbacks->preview)
        return;
    if (preview_draw(&k->preview, at, &im, &e) == ERR_OK)
        report_preview(run->callbacks, &im, step, 1);
    err_clear(&e); /* an image without a preview is as good */
    image_free(&im);
}
