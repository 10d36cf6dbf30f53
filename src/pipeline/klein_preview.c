/* klein_preview.c - pictures on the way, for who asked for them. The map from latents to colours is fitted once a
 * model, to what its own encoder makes of a pattern: one for each place in a token of 2 x 2, for each is
 * normalised by itself. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "pipeline/klein_internal.h"
#include "pipeline/preview.h"

enum { PATTERN_TOKENS = 16, PLACES = 4 };

/* Mean colour of the pattern under the latent pixel x, y. */
static void block_colour(const struct image *im, int scale, int64_t x, int64_t y, float out[3])
{
    double sum[3] = {0};
    for (int j = 0; j < scale; j++)
        for (int i = 0; i < scale; i++)
            for (int c = 0; c < 3; c++)
                sum[c] += image_row(im, (int)y * scale + j)[3 * ((int)x * scale + i) + c];
    for (int c = 0; c < 3; c++)
        out[c] = (float)(sum[c] / (scale * scale));
}

static bool fit_place(const float *tokens, const struct image *pattern, int scale, int64_t c,
                      int place, float *map)
{
    enum { N = PATTERN_TOKENS * PATTERN_TOKENS };
    float *x = mem_try_array((size_t)(N * c), sizeof *x);
    float colours[N][3];
    for (int64_t t = 0; x && t < N; t++) {
        for (int64_t i = 0; i < c; i++)
            x[t * c + i] = tokens[t * PLACES * c + i * PLACES + place];
        block_colour(pattern, scale, 2 * (t % PATTERN_TOKENS) + place % 2,
                     2 * (t / PATTERN_TOKENS) + place / 2, colours[t]);
    }
    bool good = x && preview_fit(x, colours[0], N, c, map);
    mem_free(x);
    return good;
}

static enum err_code fit(struct klein *k, const struct klein_run *run, struct err *e)
{
    struct vt_stats stats = {0};
    struct klein_run quiet = {.cancel = run->cancel, .stats = &stats};
    struct image pattern = {0};
    int64_t c = flux2_vae_config(k->vae)->latent_channels;
    int unit = klein_size_unit(k);
    float *tokens =
        mem_try_array((size_t)(PATTERN_TOKENS * PATTERN_TOKENS * PLACES * c), sizeof *tokens);
    float *map = mem_try_array((size_t)(PLACES * (c + 1) * 3), sizeof *map);
    enum err_code rc = tokens && map ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for previews");
    if (rc == ERR_OK)
        rc = preview_pattern(PATTERN_TOKENS * unit, PATTERN_TOKENS * unit, &pattern, e);
    if (rc == ERR_OK)
        rc = klein_encode_picture(k, &pattern, &quiet, tokens, e);
    bool good = rc == ERR_OK && !nn_device_is_dry(k->on.vae);
    for (int place = 0; good && place < PLACES; place++)
        good = fit_place(tokens, &pattern, unit / 2, c, place, map + place * (c + 1) * 3);
    if (good)
        k->preview = map;
    else
        mem_free(map);
    mem_free(tokens);
    image_free(&pattern);
    return rc;
}

void klein_preview_prepare(struct klein *k, const struct klein_run *run)
{
    struct err e = {0};
    bool *tried = nn_device_is_dry(k->on.vae) ? &k->preview_rehearsed : &k->preview_tried;
    if (!run->previews || k->preview_tried || *tried)
        return;
    *tried = fit(k, run, &e) != ERR_CANCELLED;
    err_clear(&e); /* a picture without previews is as good */
}

static unsigned char byte_of(float v)
{
    return (unsigned char)lrintf(fminf(fmaxf(v, 0.0f), 255.0f));
}

void klein_preview_show(struct klein *k, const struct klein_run *run,
                        const struct klein_preview_at *at)
{
    int64_t c = flux2_vae_config(k->vae)->latent_channels, n = PLACES * c;
    int w = (int)at->cols * 2, h = (int)at->rows * 2;
    struct image im = {0};
    struct err e = {0};
    if (!k->preview || !run->callbacks || !run->callbacks->preview)
        return;
    float *clean = mem_try_array((size_t)n, sizeof *clean);
    if (!clean || image_new(&im, w, h, 3, &e) != ERR_OK) {
        err_clear(&e);
        mem_free(clean);
        return;
    }
    for (int64_t t = 0; t < at->rows * at->cols; t++) {
        for (int64_t i = 0; i < n; i++)
            clean[i] = at->latents[t * n + i] - at->sigma * at->velocity[t * n + i];
        for (int place = 0; place < PLACES; place++) {
            float colour[3];
            int x = (int)(t % at->cols) * 2 + place % 2, y = (int)(t / at->cols) * 2 + place / 2;
            preview_colour(k->preview + place * (c + 1) * 3, clean + place, PLACES, c, colour);
            for (int i = 0; i < 3; i++)
                image_row(&im, y)[3 * x + i] = byte_of(colour[i]);
        }
    }
    run->callbacks->preview(&(struct vt_image){w, h, 3, im.p}, at->step, run->callbacks->user);
    image_free(&im);
    mem_free(clean);
}
