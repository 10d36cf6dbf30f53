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

enum err_code preview_pattern(int w, int h, struct image *out, struct err *e)
{
    uint32_t seed = 7;
    unsigned char colours[PATCHES + 1][PATCHES + 1][3];
    enum err_code rc = image_new(out, w, h, 3, e);
    if (rc != ERR_OK)
        return rc;
    for (int i = 0; i <= PATCHES; i++)
        for (int j = 0; j <= PATCHES; j++)
            for (int c = 0; c < 3; c++)
                colours[i][j][c] = (unsigned char)(next_random(&seed) & 255);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            int i = y * PATCHES / h, j = x * PATCHES / w;
            bool flat = (i + j) % 2;
            double u = (double)x * PATCHES / w - j, v = (double)y * PATCHES / h - i;
            for (int c = 0; c < 3; c++) {
                double across = colours[i][j][c] * (1 - u) + colours[i][j + 1][c] * u;
                double below = colours[i + 1][j][c] * (1 - u) + colours[i + 1][j + 1][c] * u;
                double smooth = across * (1 - v) + below * v;
                image_row(out, y)[3 * x + c] =
                    flat ? colours[i][j][c] : (unsigned char)lrint(smooth);
            }
        }
    return ERR_OK;
}

/* Cholesky in place, then both substitutions; a [n, n], b [n, 3]. False when a is not positive. */
static bool solve(double *a, double *b, int64_t n)
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
    for (int c = 0; c < 3; c++) {
        for (int64_t i = 0; i < n; i++) {
            for (int64_t k = 0; k < i; k++)
                b[i * 3 + c] -= a[i * n + k] * b[k * 3 + c];
            b[i * 3 + c] /= a[i * n + i];
        }
        for (int64_t i = n - 1; i >= 0; i--) {
            for (int64_t k = i + 1; k < n; k++)
                b[i * 3 + c] -= a[k * n + i] * b[k * 3 + c];
            b[i * 3 + c] /= a[i * n + i];
        }
    }
    return true;
}

static double feature(const float *row, int64_t i, int64_t channels)
{
    return i < channels ? (double)row[i] : 1.0;
}

bool preview_fit(const float *latents, const float *colours, int64_t n, int64_t channels,
                 float *map)
{
    int64_t m = channels + 1;
    double *a = mem_try_array((size_t)(m * m), sizeof *a);
    double *b = mem_try_array((size_t)(m * 3), sizeof *b);
    bool good = a && b;
    for (int64_t r = 0; good && r < n; r++) {
        const float *row = latents + r * channels;
        for (int64_t i = 0; i < m; i++) {
            double x = feature(row, i, channels);
            for (int64_t j = 0; j <= i; j++)
                a[i * m + j] += x * feature(row, j, channels);
            for (int c = 0; c < 3; c++)
                b[i * 3 + c] += x * (double)colours[r * 3 + c];
        }
    }
    for (int64_t i = 0; good && i < channels; i++)
        a[i * m + i] += 1e-3 * (double)n;
    good = good && solve(a, b, m);
    for (int64_t i = 0; good && i < m * 3; i++) {
        map[i] = (float)b[i];
        good = isfinite(map[i]);
    }
    mem_free(a);
    mem_free(b);
    return good;
}
