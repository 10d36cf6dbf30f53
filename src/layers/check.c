/* check.c - a document's flattened image against our flattened layers; see layers/assemble.h. */
#include <math.h>

#include "layers/assemble.h"

enum { BLOCK = 32 };

/* Below these a difference is visible: PSNR of the whole image, and of the worst block. */
static const double WHOLE_DB = 40, WORST_DB = 25;

static double psnr(uint64_t squares, double samples)
{
    return squares ? 10 * log10(255.0 * 255.0 * samples / (double)squares) : (double)INFINITY;
}

static uint64_t squares_in(const struct image *a, const struct image *b, struct image_rect r)
{
    uint64_t sum = 0;
    size_t from = (size_t)r.x * (size_t)a->channels, n = (size_t)r.w * (size_t)a->channels;
    for (int y = r.y; y < r.y + r.h; y++) {
        const unsigned char *p = image_row(a, y) + from, *q = image_row(b, y) + from;
        for (size_t i = 0; i < n; i++) {
            int d = p[i] - q[i];
            sum += (uint64_t)(d * d);
        }
    }
    return sum;
}

static void measure(const struct image *a, const struct image *b, struct layers_merged *m)
{
    uint64_t all = 0;
    *m = (struct layers_merged){.known = true, .worst_psnr_db = (double)INFINITY};
    for (int y = 0; y < a->h; y += BLOCK)
        for (int x = 0; x < a->w; x += BLOCK) {
            struct image_rect r = {x, y, x + BLOCK > a->w ? a->w - x : BLOCK,
                                   y + BLOCK > a->h ? a->h - y : BLOCK};
            uint64_t squares = squares_in(a, b, r);
            double db = psnr(squares, (double)r.w * r.h * a->channels);
            all += squares;
            if (db < m->worst_psnr_db) {
                m->worst_psnr_db = db;
                m->worst = r;
            }
        }
    m->psnr_db = psnr(all, (double)a->w * a->h * a->channels);
}

enum err_code layers_check_merged(struct layer_stack *s, const struct image *merged, struct err *e)
{
    static const unsigned char white[3] = {255, 255, 255};
    struct image flat = {0}, ours = {0}, theirs = {0};
    if (merged->w != s->w || merged->h != s->h) {
        layer_stack_note(s, "the document's flattened image is %d x %d, its canvas %d x %d",
                         merged->w, merged->h, s->w, s->h);
        return ERR_OK;
    }
    bool alpha = image_has_alpha(merged);
    enum err_code rc;
    TRY_GOTO(layers_flatten(s, &flat, e), done);
    TRY_GOTO(alpha ? image_copy(&flat, &ours, e) : image_on_ground(&flat, white, &ours, e), done);
    TRY_GOTO(image_convert(merged, alpha ? 4 : 3, &theirs, e), done);
    image_premultiply(&ours);
    image_premultiply(&theirs);
    measure(&ours, &theirs, &s->merged);
    const struct layers_merged *m = &s->merged;
    if (m->psnr_db < WHOLE_DB || m->worst_psnr_db < WORST_DB)
        layer_stack_note(s,
                         "the flattened layers differ from the document's flattened image: PSNR "
                         "%.1f dB, most at %d,%d (%d x %d pixels, %.1f dB)",
                         m->psnr_db, m->worst.x, m->worst.y, m->worst.w, m->worst.h,
                         m->worst_psnr_db);
done:
    image_free(&flat);
    image_free(&ours);
    image_free(&theirs);
    return rc;
}
