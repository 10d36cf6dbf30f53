/* decode.c - latents to an image of the working size. */
#include "pipeline/klein/internal.h"

#include <math.h>

#include "base/clock.h"
#include "base/floats.h"
#include "base/mem.h"
#include "memory/governor.h"

/* A broken decoder makes an image of one single value; a working one never does. */
static enum err_code check_decoded(const struct klein_state *s, const float *x, int64_t n,
                                   struct err *e)
{
    int64_t same = 1;
    if (!floats_finite(x, n)) {
        enum err_code rc =
            nn_params_check_finite(vae_params(flux2_vae_net(s->k->vae), VAE_DECODER), e);
        return rc != ERR_OK
                   ? err_note(e, "VAE")
                   : err_set(e, ERR_NUMERIC,
                             "the VAE decoder's output holds NaN or infinity: no image is made");
    }
    while (same < n && fabsf(x[same] - x[0]) < 1e-6f)
        same++;
    if (same == n && !nn_device_is_dry(s->k->on.vae))
        return err_set(e, ERR_NUMERIC, "the VAE decoder made an image of the single value %g",
                       (double)x[0]);
    return ERR_OK;
}

enum err_code klein_decode(struct klein_state *s, struct image *out, struct err *e)
{
    struct klein *k = s->k;
    int64_t c = flux2_vae_config(k->vae)->latent_channels, h = 2 * s->rows, w = 2 * s->cols;
    int64_t n = 3 * (int64_t)s->w * s->h;
    float *latents = mem_try_array((size_t)(c * h * w), sizeof *latents);
    float *planes = mem_try_array((size_t)n, sizeof *planes);
    enum err_code rc = ERR_OK;
    if (!latents || !planes) {
        rc = err_set(e, ERR_NOMEM, "no memory for the image");
        goto done;
    }
    TRY_GOTO(klein_engage(k, vae_params(flux2_vae_net(k->vae), VAE_DECODER), s->run, e), done);
    struct report_graphs report = {.callbacks = s->run->callbacks,
                                   .at = {.stage = VT_STAGE_DECODE,
                                          .image = s->run->image,
                                          .image_count = s->run->image_count},
                                   .part = {0, 1}};
    double start = clock_s();
    struct vae_call vr = {.cancel = s->run->cancel,
                          .user = s->run->trace,
                          .limits.compute = governor_compute_room(k->on.vae)};
    if (s->run->trace && s->run->trace_blocks)
        vr.mid = klein_trace_vae_mid;
    flux2_vae_unpack(k->vae, s->latents, h, w, latents);
    trace_add_f32(s->run->trace, "vae_input", latents, (int64_t[]){1, c, h, w}, 4);
    report_graphs_begin(&report, k->on.vae);
    rc = vae_decode(flux2_vae_net(k->vae), latents, h, w, planes, &vr, e);
    report_graphs_end(k->on.vae);
    s->run->stats->decode_seconds += clock_s() - start;
    if (rc != ERR_OK)
        goto done;
    TRY_GOTO(check_decoded(s, planes, n, e), done);
    TRY_GOTO(image_new(out, s->w, s->h, 3, e), done);
    trace_add_f32(s->run->trace, "decoded", planes, (int64_t[]){1, 3, s->h, s->w}, 4);
    image_from_planes(out, planes);
done:
    mem_free(latents);
    mem_free(planes);
    return rc;
}
