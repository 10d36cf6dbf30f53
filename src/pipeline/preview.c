/* preview.c - previews from latents by a linear map; see preview.h.
 *
 * The map is fitted once a model: a pattern of patches and gradients goes through the model's own encoder, and
 * least squares with a little ridge finds the colours for the latents. That costs one small encoding, no decoder,
 * and no table of constants per model. A step's latents still hold noise, so what is drawn is latents - sigma *
 * velocity, the model's own guess of the image without it.
 */
#include "pipeline/preview.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { PATCHES = 8 };

static uint32_t next_random(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return *s >> 8;
}

/* Of a corner of the pattern: half of them are opaque, a quarter hides what is there. */
static unsigned char random_alpha(uint32_t *seed)
{
    uint32_t r = next_random(seed) & 255;
    return r < 64 ? 0 : r < 128 ? (unsigned char)(4 * (r - 64)) : 255;
}

enum err_code preview_pattern(int w, int h, int channels, struct image *out, struct err *e)
{
    uint32_t seed = 7;
    unsigned char colours[PATCHES + 1][PATCHES + 1][PREVIEW_MAX_COLOURS];
    TRY(image_new(out, w, h, channels, e));
    for (int i = 0; i <= PATCHES; i++)
        for (int j = 0; j <= PATCHES; j++)
            for (int c = 0; c < channels; c++)
                colours[i][j][c] =
                    c == 3 ? random_alpha(&seed) : (unsigned char)(next_random(&seed) & 255);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int i = y * PATCHES / h, j = x * PATCHES / w;
            bool flat = (i + j) % 2;
            double u = (double)x * PATCHES / w - j, v = (double)y * PATCHES / h - i;
            for (int c = 0; c < channels; c++) {
                double across = colours[i][j][c] * (1 - u) + colours[i][j + 1][c] * u;
                double below = colours[i + 1][j][c] * (1 - u) + colours[i + 1][j + 1][c] * u;
                double smooth = across * (1 - v) + below * v;
                image_row(out, y)[channels * x + c] =
                    flat ? colours[i][j][c] : (unsigned char)lrint(smooth);
            }
        }
    return ERR_OK;
}

/* Cholesky in place, then both substitutions; a [n, n], b [n, m]. False when a is not positive. */
static bool solve(double *a, double *b, int64_t n, int m)
{
    for (int64_t j = 0; j < n; j++) {
        for (int64_t i = j; i < n; i++) {
            double s = a[i * n + j];
            for (int64_t k = 0; k < j; k++)
                s -= a[i * n + k] * a[j * n + k];
            if (i == j && !(s > 0))
                return false;
            a[i * n + j] = i == j ? sqrt(s) : s / a[j * n + j];
        }
    }
    for (int c = 0; c < m; c++) {
        for (int64_t i = 0; i < n; i++) {
            for (int64_t k = 0; k < i; k++)
                b[i * m + c] -= a[i * n + k] * b[k * m + c];
            b[i * m + c] /= a[i * n + i];
        }
        for (int64_t i = n - 1; i >= 0; i--) {
            for (int64_t k = i + 1; k < n; k++)
                b[i * m + c] -= a[k * n + i] * b[k * m + c];
            b[i * m + c] /= a[i * n + i];
        }
    }
    return true;
}

static double feature(const float *row, int64_t i, int64_t channels)
{
    return i < channels ? (double)row[i] : 1.0;
}

bool preview_fit(const float *latents, const float *colours, int64_t n, int64_t channels,
                 int colour_channels, float *map)
{
    int64_t m = channels + 1, k = colour_channels;
    double *a = mem_try_array((size_t)(m * m), sizeof *a);
    double *b = mem_try_array((size_t)(m * k), sizeof *b);
    bool good = a && b;
    for (int64_t r = 0; good && r < n; r++) {
        const float *row = latents + r * channels;
        for (int64_t i = 0; i < m; i++) {
            double x = feature(row, i, channels);
            for (int64_t j = 0; j <= i; j++)
                a[i * m + j] += x * feature(row, j, channels);
            for (int64_t c = 0; c < k; c++)
                b[i * k + c] += x * (double)colours[r * k + c];
        }
    }
    for (int64_t i = 0; good && i < channels; i++)
        a[i * m + i] += 1e-3 * (double)n;
    good = good && solve(a, b, m, colour_channels);
    for (int64_t i = 0; good && i < m * k; i++) {
        map[i] = (float)b[i];
        good = isfinite(map[i]);
    }
    mem_free(a);
    mem_free(b);
    return good;
}

/* ---- a model's maps ---------------------------------------------------------------------------------- */

enum { PATTERN_TOKENS = 16, PATTERN_AREA = PATTERN_TOKENS * PATTERN_TOKENS };

static int64_t map_floats(int64_t channels, int colours)
{
    return (channels + 1) * colours;
}

/* Mean colour of the pattern under the latent pixel x, y, of scale x scale pixels. */
static void block_colour(const struct image *im, int scale, int64_t x, int64_t y, float *out)
{
    double sum[PREVIEW_MAX_COLOURS] = {0};
    for (int j = 0; j < scale; j++)
        for (int i = 0; i < scale; i++)
            for (int c = 0; c < im->channels; c++)
                sum[c] +=
                    image_row(im, (int)y * scale + j)[im->channels * ((int)x * scale + i) + c];
    for (int c = 0; c < im->channels; c++)
        out[c] = (float)(sum[c] / (scale * scale));
}

static bool fit_place(const float *tokens, const struct image *pattern, int64_t channels, int place,
                      float *map)
{
    float *x = mem_try_array((size_t)(PATTERN_AREA * channels), sizeof *x);
    float colours[PATTERN_AREA * PREVIEW_MAX_COLOURS];
    int scale = pattern->w / (2 * PATTERN_TOKENS);
    for (int64_t t = 0; x && t < PATTERN_AREA; t++) {
        for (int64_t i = 0; i < channels; i++)
            x[t * channels + i] = tokens[(t * channels + i) * PREVIEW_PLACES + place];
        block_colour(pattern, scale, 2 * (t % PATTERN_TOKENS) + place % 2,
                     2 * (t / PATTERN_TOKENS) + place / 2, colours + t * pattern->channels);
    }
    bool good = x && preview_fit(x, colours, PATTERN_AREA, channels, pattern->channels, map);
    mem_free(x);
    return good;
}

static enum err_code fit(struct preview *p, const struct preview_encoder *n, struct err *e)
{
    struct image pattern = {0};
    int64_t c = n->channels, one = map_floats(c, n->colours);
    float *tokens = mem_try_array((size_t)(PATTERN_AREA * PREVIEW_PLACES * c), sizeof *tokens);
    float *maps = mem_try_array((size_t)(PREVIEW_PLACES * one), sizeof *maps);
    enum err_code rc = tokens && maps ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for previews");
    if (rc == ERR_OK)
        rc = preview_pattern(PATTERN_TOKENS * n->unit, PATTERN_TOKENS * n->unit, n->colours,
                             &pattern, e);
    if (rc == ERR_OK)
        rc = n->encode(n->user, &pattern, tokens, e);
    bool good = rc == ERR_OK && !n->dry;
    for (int place = 0; good && place < PREVIEW_PLACES; place++)
        good = fit_place(tokens, &pattern, c, place, maps + place * one);
    if (good) {
        p->maps = maps;
        p->channels = c;
        p->colours = n->colours;
    } else {
        mem_free(maps);
    }
    mem_free(tokens);
    image_free(&pattern);
    return rc;
}

void preview_prepare(struct preview *p, const struct preview_encoder *encoder)
{
    struct err e = {0};
    bool *tried = encoder->dry ? &p->rehearsed : &p->tried;
    if (p->tried || *tried)
        return;
    *tried = fit(p, encoder, &e) != ERR_CANCELLED;
    err_clear(&e);
}

void preview_deinit(struct preview *p)
{
    mem_free(p->maps);
    *p = (struct preview){0};
}

/* ---- drawing ----------------------------------------------------------------------------------------- */

static unsigned char byte_of(float v)
{
    return (unsigned char)lrintf(fminf(fmaxf(v, 0.0f), 255.0f));
}

/* Token t as 2 x 2 pixels. */
static void draw_token(const struct preview *p, const float *token, int64_t row, int64_t col,
                       struct image *out)
{
    int64_t one = map_floats(p->channels, p->colours);
    for (int place = 0; place < PREVIEW_PLACES; place++) {
        float colour[PREVIEW_MAX_COLOURS];
        int x = (int)col * 2 + place % 2, y = (int)row * 2 + place / 2;
        preview_colour(p->maps + place * one, token + place, PREVIEW_PLACES, p->channels,
                       p->colours, colour);
        for (int i = 0; i < p->colours; i++)
            image_row(out, y)[p->colours * x + i] = byte_of(colour[i]);
    }
}

enum err_code preview_draw(const struct preview *p, const struct preview_at *at, struct image *out,
                           struct err *e)
{
    int64_t n = PREVIEW_PLACES * p->channels;
    float *clean = mem_try_array((size_t)n, sizeof *clean);
    *out = (struct image){0};
    enum err_code rc = ERR_OK;
    if (!clean) {
        rc = err_set(e, ERR_NOMEM, "no memory for a preview");
        goto done;
    }
    TRY_GOTO(image_new(out, (int)at->cols * 2, (int)at->rows * 2, p->colours, e), done);
    for (int64_t t = 0; t < at->rows * at->cols; t++) {
        for (int64_t i = 0; i < n; i++)
            clean[i] = at->latents[t * n + i] - at->sigma * at->velocity[t * n + i];
        draw_token(p, clean, t / at->cols, t % at->cols, out);
    }
done:
    mem_free(clean);
    return rc;
}
