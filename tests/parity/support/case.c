#include "support/case.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"

static size_t checks_made;

const char *parity_root(void)
{
    const char *dir = getenv("VT_REFERENCE_DIR");
    return dir && *dir ? dir : VT_SOURCE_DIR "/tests/parity";
}

const char *parity_path(const char *relative)
{
    static char path[4][1200];
    static int next;
    next = (next + 1) % 4;
    (void)snprintf(path[next], sizeof path[next], "%s/%s", parity_root(), relative);
    return path[next];
}

static struct checkpoint *open_tensors(const struct parity_case *c, const char *file)
{
    char path[1200];
    struct checkpoint *cp = NULL;
    struct err e = {0};
    (void)snprintf(path, sizeof path, "%s/%s", c->dir, file);
    if (!file_exists(path))
        return NULL;
    if (checkpoint_open(path, &cp, &e) != ERR_OK)
        fprintf(stderr, "%s: %s\n", c->name, e.text);
    return cp;
}

bool parity_case_open(const char *name, struct parity_case *c)
{
    struct err e = {0};
    char path[1200];
    memset(c, 0, sizeof *c);
    (void)snprintf(c->name, sizeof c->name, "%s", name);
    (void)snprintf(c->dir, sizeof c->dir, "%s/cases/%s", parity_root(), name);
    (void)snprintf(path, sizeof path, "%s/case.json", c->dir);
    if (json_read_file(path, 16u << 20, &c->doc, &e) != ERR_OK) {
        fprintf(stderr, "%s\n", e.text);
        return false;
    }
    c->root = yyjson_doc_get_root(c->doc);
    c->kind = yyjson_get_str(yyjson_obj_get(c->root, "kind"));
    c->call = yyjson_obj_get(c->root, "call");
    c->expected = yyjson_obj_get(yyjson_obj_get(c->root, "expected"), "tensors");
    c->inputs = open_tensors(c, "inputs.safetensors");
    c->golden = open_tensors(c, "expected.safetensors");
    return c->kind != NULL;
}

void parity_case_close(struct parity_case *c)
{
    checkpoint_close(c->inputs);
    checkpoint_close(c->golden);
    yyjson_doc_free(c->doc);
    memset(c, 0, sizeof *c);
}

static float *read_tensor(const struct checkpoint *cp, const char *name, size_t *n)
{
    const struct weights_tensor *t = cp ? checkpoint_find(cp, name) : NULL;
    if (!t)
        return NULL;
    *n = 1;
    for (int i = 0; i < t->n_dims; i++)
        *n *= (size_t)t->dims[i];
    float *f = calloc(*n ? *n : 1, sizeof *f);
    if (f && t->dtype == DTYPE_I64) {
        for (size_t i = 0; i < *n; i++) {
            int64_t v;
            memcpy(&v, t->data + 8 * i, 8);
            f[i] = (float)v;
        }
    } else if (f && !dtype_plain_to_f32(t->dtype, t->data, f, *n)) {
        free(f);
        return NULL;
    }
    return f;
}

float *parity_input(const struct parity_case *c, const char *name, size_t *n)
{
    return read_tensor(c->inputs, name, n);
}

float *parity_golden(const struct parity_case *c, const char *name, size_t *n)
{
    return read_tensor(c->golden, name, n);
}

static bool in_bf16(void)
{
    const char *own = getenv("VT_PARITY_BF16");
    return own && strcmp(own, "1") == 0;
}

enum nn_precision parity_precision(void)
{
    return in_bf16() ? NN_PRECISION_STORED : NN_PRECISION_F32;
}

struct tolerance {
    double abs, rms; /* rms 0: any */
};

/* PyTorch's own error in bf16; negative where it was not measured. */
static double bf16_error(const struct parity_case *c, const char *name)
{
    static yyjson_doc *doc;
    struct err e = {0};
    if (!doc && json_read_file(parity_path("bf16.json"), 1 << 20, &doc, &e) != ERR_OK)
        fprintf(stderr, "%s\n", e.text);
    yyjson_val *v = yyjson_obj_get(yyjson_obj_get(yyjson_doc_get_root(doc), c->name), name);
    return v ? yyjson_get_num(v) : -1;
}

static struct tolerance bf16_tolerance(const struct parity_case *c, const char *name)
{
    return (struct tolerance){HUGE_VAL, bf16_error(c, name)};
}

static struct tolerance own_tolerance(const struct parity_case *c, const char *name)
{
    yyjson_val *spec = yyjson_obj_get(c->expected, name);
    return (struct tolerance){yyjson_get_num(yyjson_obj_get(spec, "tol_max_abs")),
                              yyjson_get_num(yyjson_obj_get(spec, "tol_rel_rms"))};
}

static bool compare(const struct parity_case *c, const char *name, const float *got,
                    const float *want, size_t n)
{
    struct tolerance tol = in_bf16() ? bf16_tolerance(c, name) : own_tolerance(c, name);
    double sum = 0, ref = 0, worst = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        if (!(d <= worst))
            worst = d;
        sum += d * d;
        ref += (double)want[i] * (double)want[i];
    }
    double rms = ref > 0 ? sqrt(sum / ref) : sqrt(sum);
    bool ok = worst <= tol.abs && (rms <= tol.rms || tol.rms == 0);
    if (!ok || getenv("VT_PARITY_VERBOSE"))
        fprintf(stderr, "%s %s %s: rel rms %.3g (tolerance %.3g), max abs %.3g (tolerance %.3g)\n",
                ok ? "  " : "**", c->name, name, rms, tol.rms, worst, tol.abs);
    return ok;
}

bool parity_check(const struct parity_case *c, const char *name, const float *got, size_t n)
{
    size_t have = 0;
    if (in_bf16() && bf16_error(c, name) < 0)
        return true;
    float *want = parity_golden(c, name, &have);
    if (!want)
        return true;
    checks_made++;
    bool ok = have == n;
    if (!ok)
        fprintf(stderr, "** %s %s: %zu values, expected %zu\n", c->name, name, n, have);
    else
        ok = compare(c, name, got, want, n);
    free(want);
    return ok;
}

size_t parity_checks_made(void)
{
    return checks_made;
}

size_t parity_run_kind(const char *kind, void (*run)(const struct parity_case *c))
{
    const char *only = getenv("VT_PARITY_ONLY");
    DIR *d = opendir(parity_path("cases"));
    size_t n = 0;
    for (struct dirent *ent = d ? readdir(d) : NULL; ent; ent = readdir(d)) {
        struct parity_case c;
        if (ent->d_name[0] == '.' || (only && !strstr(ent->d_name, only)) ||
            !parity_case_open(ent->d_name, &c))
            continue;
        if (strcmp(c.kind, kind) == 0) {
            printf("%s\n", c.name);
            run(&c);
            n++;
        }
        parity_case_close(&c);
    }
    if (d)
        closedir(d);
    return n;
}
