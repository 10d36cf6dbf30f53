/* lora_test.c - LoRA on the transformers: for every naming and form the result is that of a checkpoint into which the
 * same change was merged, in float64.
 *
 * Files and merged checkpoints are both made here, from random numbers, by tables of names of the test's own: what
 * src/weights knows about namings is what is tested. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/json.h"
#include "model/adapter.h"
#include "model/flux2/transformer.h"
#include "model/qwen_image/transformer.h"
#include "support/case.h"
#include "support/device.h"

enum { RANK = 4, NAME_BYTES = 240, MAX_TENSORS = 1200 };
/* After the merge weights are rounded to float32; the products of a LoRA are rounded elsewhere. */
static const double tolerance_f32 = 5e-6, tolerance_bf16 = 2e-2;

static struct nn_device *device;

static void must(enum err_code rc, const struct err *e)
{
    if (rc != ERR_OK)
        fail_msg("%s", e->text);
}

/* ---- sets of tensors ------------------------------------------------------------------------------- */

struct tensor {
    char name[NAME_BYTES];
    int n_dims;
    int64_t dims[4];
    float *f;
};

struct set {
    struct tensor t[MAX_TENSORS];
    size_t n;
};

static size_t count(const struct tensor *t)
{
    size_t n = 1;
    for (int i = 0; i < t->n_dims; i++)
        n *= (size_t)t->dims[i];
    return n;
}

static struct set *set_new(void)
{
    struct set *s = calloc(1, sizeof *s);
    assert_non_null(s);
    return s;
}

static void set_free(struct set *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->t[i].f);
    free(s);
}

static struct tensor *set_add(struct set *s, const char *name, int n_dims, const int64_t *dims)
{
    assert_true(s->n < MAX_TENSORS);
    struct tensor *t = &s->t[s->n++];
    (void)snprintf(t->name, sizeof t->name, "%s", name);
    t->n_dims = n_dims;
    for (int i = 0; i < n_dims; i++)
        t->dims[i] = dims[i];
    t->f = calloc(count(t), sizeof(float));
    assert_non_null(t->f);
    return t;
}

static struct tensor *set_find(struct set *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->t[i].name, name) == 0)
            return &s->t[i];
    fail_msg("no tensor '%s'", name);
    return NULL;
}

/* As safetensors of float32. */
static void set_write(const struct set *s, const char *path, const char *metadata)
{
    struct buf header;
    buf_init(&header, 4 << 20);
    buf_printf(&header, "{\"__metadata__\":{%s}", metadata);
    uint64_t at = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct tensor *t = &s->t[i];
        buf_printf(&header, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", t->name);
        for (int d = 0; d < t->n_dims; d++)
            buf_printf(&header, "%s%lld", d ? "," : "", (long long)t->dims[d]);
        const unsigned long long begin = at, end = at + (uint64_t)count(t) * 4;
        buf_printf(&header, "],\"data_offsets\":[%llu,%llu]}", begin, end);
        at += count(t) * 4;
    }
    buf_add_z(&header, "}");
    assert_false(buf_failed(&header));
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    uint64_t n = header.n;
    assert_int_equal(fwrite(&n, 1, 8, f), 8);
    assert_int_equal(fwrite(header.p, 1, header.n, f), header.n);
    for (size_t i = 0; i < s->n; i++)
        assert_int_equal(fwrite(s->t[i].f, 4, count(&s->t[i]), f), count(&s->t[i]));
    assert_int_equal(fclose(f), 0);
    buf_deinit(&header);
}

/* As they are stored; GGUF's blocks hold their scales. */
static struct weights_view values_of(const struct weights_tensor *w)
{
    struct weights_view v = {.stored = w,
                             .dtype = w->dtype,
                             .n_dims = w->n_dims,
                             .data = w->data,
                             .bytes = w->bytes,
                             .scale = 1};
    memcpy(v.dims, w->dims, sizeof v.dims);
    return v;
}

static struct set *set_read(const struct checkpoint *cp)
{
    struct set *s = set_new();
    for (size_t i = 0; i < checkpoint_count(cp); i++) {
        const struct weights_tensor *w = checkpoint_at(cp, i);
        struct tensor *t = set_add(s, w->name, w->n_dims, w->dims);
        const struct weights_view v = values_of(w);
        struct err e = {0};
        must(nn_view_rows_f32(&v, 0, v.n_dims > 1 ? v.dims[0] : 1, t->f, &e), &e);
    }
    return s;
}

static struct set *set_copy(const struct set *s)
{
    struct set *c = set_new();
    for (size_t i = 0; i < s->n; i++) {
        struct tensor *t = set_add(c, s->t[i].name, s->t[i].n_dims, s->t[i].dims);
        memcpy(t->f, s->t[i].f, count(t) * sizeof(float));
    }
    return c;
}

/* ---- random numbers -------------------------------------------------------------------------------- */

static uint64_t state;

static float random_number(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 33) / (double)(1u << 31) * 2 - 1);
}

static void fill(struct tensor *t, double size)
{
    for (size_t i = 0; i < count(t); i++)
        t->f[i] = (float)size * random_number();
}

/* ---- a LoRA of one module ---------------------------------------------------------------------------- */

enum form { LOW_RANK, HADAMARD, HADAMARD_WIDE, KRONECKER, KRONECKER_FACTORS };
enum naming { AS_STORED, AS_BFL, SPLIT };

struct style { /* how a trainer writes names */
    const char *who, *prefix, *down, *up;
    bool flat;    /* '_' for '.' */
    bool alpha;   /* half the rank: the merged one has half the strength */
    bool kernels; /* [rank, in, 1, 1] */
    const char *metadata;
};

static const struct style styles[] = {
    {"diffusers", "transformer.", "lora_A.weight", "lora_B.weight", false, false, false, ""},
    {"diffusers with alpha in the header", "transformer.", "lora_A.weight", "lora_B.weight", false,
     false, false,
     "\"lora_adapter_metadata\":\"{\\\"transformer.r\\\":4,\\\"transformer.lora_alpha\\\":2}\""},
    {"early diffusers", "transformer.", "lora.down.weight", "lora.up.weight", false, false, false,
     ""},
    {"peft", "base_model.model.", "lora_A.default.weight", "lora_B.default.weight", false, false,
     false, ""},
    {"kohya", "lora_unet_", "lora_down.weight", "lora_up.weight", true, true, false, ""},
    {"kohya with kernels", "lora_unet_", "lora_down.weight", "lora_up.weight", true, true, true,
     ""},
    {"ai-toolkit, BFL's prefix", "diffusion_model.", "lora_A.weight", "lora_B.weight", false, false,
     false, ""},
    {"ComfyUI", "diffusion_model.", "lora_down.weight", "lora_up.weight", false, true, false, ""},
    {"OneTrainer", "lora_transformer_", "lora_down.weight", "lora_up.weight", true, true, false,
     ""},
    {"no prefix", "", "lora_A.weight", "lora_B.weight", false, false, false, ""},
};

struct writer {
    const struct style *style;
    enum form form;
    struct set *file;
};

static struct tensor *part(struct writer *w, const char *module, const char *part, int64_t rows,
                           int64_t columns)
{
    char name[NAME_BYTES];
    int n = snprintf(name, sizeof name, "%s%s", w->style->prefix, module);
    for (int i = 0; w->style->flat && i < n; i++)
        if (name[i] == '.')
            name[i] = '_';
    (void)snprintf(name + n, sizeof name - (size_t)n, ".%s", part);
    if (rows == 0)
        return set_add(w->file, name, 0, NULL);
    struct tensor *t =
        set_add(w->file, name, w->style->kernels ? 4 : 2, (int64_t[]){rows, columns, 1, 1});
    fill(t, 0.4);
    return t;
}

/* += a [rows, k] b [k, columns] */
static double *product(const struct tensor *a, const struct tensor *b)
{
    int64_t rows = a->dims[0], k = a->dims[1], columns = b->dims[1];
    double *d = calloc((size_t)(rows * columns), sizeof *d);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < k; i++)
            for (int64_t c = 0; c < columns; c++)
                d[r * columns + c] += (double)a->f[r * k + i] * (double)b->f[i * columns + c];
    return d;
}

static double *hadamard(struct writer *w, const char *module, int64_t rows, int64_t columns,
                        int64_t rank)
{
    double *d = product(part(w, module, "hada_w1_a", rows, rank),
                        part(w, module, "hada_w1_b", rank, columns));
    double *other = product(part(w, module, "hada_w2_a", rows, rank),
                            part(w, module, "hada_w2_b", rank, columns));
    for (int64_t i = 0; i < rows * columns; i++)
        d[i] *= other[i];
    free(other);
    return d;
}

static double *kronecker(const double *a, int64_t m, int64_t n, const double *b, int64_t p,
                         int64_t q)
{
    double *d = calloc((size_t)(m * n * p * q), sizeof *d);
    for (int64_t i = 0; i < m * p; i++)
        for (int64_t j = 0; j < n * q; j++)
            d[i * n * q + j] = a[i / p * n + j / q] * b[i % p * q + j % q];
    return d;
}

static double *as_double(const struct tensor *t)
{
    double *d = calloc(count(t), sizeof *d);
    for (size_t i = 0; i < count(t); i++)
        d[i] = (double)t->f[i];
    return d;
}

static double *lokr(struct writer *w, const char *module, int64_t rows, int64_t columns, bool whole)
{
    int64_t m = 4, n = 8, p = rows / m, q = columns / n;
    assert_true(rows % m == 0 && columns % n == 0);
    double *a = whole ? as_double(part(w, module, "lokr_w1", m, n))
                      : product(part(w, module, "lokr_w1_a", m, RANK),
                                part(w, module, "lokr_w1_b", RANK, n));
    double *b = whole ? as_double(part(w, module, "lokr_w2", p, q))
                      : product(part(w, module, "lokr_w2_a", p, RANK),
                                part(w, module, "lokr_w2_b", RANK, q));
    double *d = kronecker(a, m, n, b, p, q);
    free(a);
    free(b);
    return d;
}

/* The change [rows, columns] of a module, whose tensors go into the file. */
static double *make(struct writer *w, const char *module, int64_t rows, int64_t columns)
{
    int64_t rank = w->form == HADAMARD_WIDE ? 40 : RANK;
    double *d = NULL;
    switch (w->form) {
    case LOW_RANK: {
        const struct tensor *up = part(w, module, w->style->up, rows, RANK);
        d = product(up, part(w, module, w->style->down, RANK, columns));
        break;
    }
    case HADAMARD:
    case HADAMARD_WIDE:
        d = hadamard(w, module, rows, columns, rank);
        break;
    case KRONECKER:
    case KRONECKER_FACTORS:
        d = lokr(w, module, rows, columns, w->form == KRONECKER);
        break;
    }
    if (w->style->alpha)
        part(w, module, "alpha", 0, 0)->f[0] = (float)rank / 2;
    return d;
}

/* ---- on all modules of a network ----------------------------------------------------------------------- */

static const struct {
    const char *stored, *bfl; /* '#' is a number */
} bfl_names[] = {
    {"x_embedder", "img_in"},
    {"context_embedder", "txt_in"},
    {"time_guidance_embed.timestep_embedder.linear_1", "time_in.in_layer"},
    {"time_guidance_embed.timestep_embedder.linear_2", "time_in.out_layer"},
    {"double_stream_modulation_img.linear", "double_stream_modulation_img.lin"},
    {"double_stream_modulation_txt.linear", "double_stream_modulation_txt.lin"},
    {"single_stream_modulation.linear", "single_stream_modulation.lin"},
    {"norm_out.linear", "final_layer.adaLN_modulation.1"},
    {"proj_out", "final_layer.linear"},
    {"transformer_blocks.#.attn.to_q", "double_blocks.#.img_attn.qkv"},
    {"transformer_blocks.#.attn.add_q_proj", "double_blocks.#.txt_attn.qkv"},
    {"transformer_blocks.#.attn.to_out.0", "double_blocks.#.img_attn.proj"},
    {"transformer_blocks.#.attn.to_add_out", "double_blocks.#.txt_attn.proj"},
    {"transformer_blocks.#.ff.linear_in", "double_blocks.#.img_mlp.0"},
    {"transformer_blocks.#.ff.linear_out", "double_blocks.#.img_mlp.2"},
    {"transformer_blocks.#.ff_context.linear_in", "double_blocks.#.txt_mlp.0"},
    {"transformer_blocks.#.ff_context.linear_out", "double_blocks.#.txt_mlp.2"},
    {"single_transformer_blocks.#.attn.to_qkv_mlp_proj", "single_blocks.#.linear1"},
    {"single_transformer_blocks.#.attn.to_out", "single_blocks.#.linear2"},
};

static bool bfl_name(const char *module, char out[NAME_BYTES])
{
    for (size_t i = 0; i < sizeof bfl_names / sizeof bfl_names[0]; i++) {
        for (int block = 0; block < 8; block++) {
            char stored[NAME_BYTES];
            const char *hash = strchr(bfl_names[i].stored, '#');
            if (!hash && strcmp(bfl_names[i].stored, module) == 0) {
                (void)snprintf(out, NAME_BYTES, "%s", bfl_names[i].bfl);
                return true;
            }
            if (!hash)
                break;
            (void)snprintf(stored, sizeof stored, "%.*s%d%s", (int)(hash - bfl_names[i].stored),
                           bfl_names[i].stored, block, hash + 1);
            const char *to = strchr(bfl_names[i].bfl, '#');
            if (strcmp(stored, module) == 0) {
                (void)snprintf(out, NAME_BYTES, "%.*s%d%s", (int)(to - bfl_names[i].bfl),
                               bfl_names[i].bfl, block, to + 1);
                return true;
            }
        }
    }
    return false;
}

/* strength * rows from row0 on of d into rows from at on of t */
static void merge(struct tensor *t, int64_t at, const double *d, int64_t row0, int64_t rows,
                  double strength)
{
    int64_t columns = t->dims[1];
    for (int64_t i = 0; i < rows * columns; i++) {
        float *w = &t->f[at * columns + i];
        *w = (float)((double)*w + strength * d[row0 * columns + i]);
    }
}

static bool ends(const char *s, const char *end)
{
    return str_ends(str_from(s), str_from(end));
}

/* q, k and v are one matrix in BFL's naming. */
static void change_qkv(struct writer *w, struct set *merged, const char *module, const char *name,
                       double strength)
{
    const char *names[2][3] = {{"to_q", "to_k", "to_v"},
                               {"add_q_proj", "add_k_proj", "add_v_proj"}};
    const char *const *three = names[ends(module, "add_q_proj")];
    struct tensor *first = NULL;
    double *d = NULL;
    for (int i = 0; i < 3; i++) {
        char other[NAME_BYTES];
        size_t n = strlen(module) - strlen(three[0]);
        (void)snprintf(other, sizeof other, "%.*s%s.weight", (int)n, module, three[i]);
        struct tensor *t = set_find(merged, other);
        first = first ? first : t;
        if (!d)
            d = make(w, name, 3 * t->dims[0], t->dims[1]);
        merge(t, 0, d, i * t->dims[0], t->dims[0], strength);
    }
    free(d);
}

static void change_bfl(struct writer *w, struct set *merged, const char *module, struct tensor *t,
                       double strength)
{
    char name[NAME_BYTES];
    int64_t rows = t->dims[0];
    if (!bfl_name(module, name))
        return; /* k and v: with q */
    if (ends(module, "to_q") || ends(module, "add_q_proj")) {
        change_qkv(w, merged, module, name, strength);
        return;
    }
    double *d = make(w, name, rows, t->dims[1]);
    if (strcmp(module, "norm_out.linear") == 0) { /* the halves are the other way round */
        merge(t, 0, d, rows / 2, rows / 2, strength);
        merge(t, rows / 2, d, 0, rows / 2, strength);
    } else {
        merge(t, 0, d, 0, rows, strength);
    }
    free(d);
}

/* What is one matrix in the file as four. */
static void change_split(struct writer *w, const char *module, struct tensor *t, double strength)
{
    static const char *const parts[] = {"attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"};
    const char end[] = "attn.to_qkv_mlp_proj";
    int64_t d = t->dims[1];
    for (int i = 0; i < 4; i++) {
        char name[NAME_BYTES];
        int64_t rows = i < 3 ? d : t->dims[0] - 3 * d;
        (void)snprintf(name, sizeof name, "%.*s%s", (int)(strlen(module) - strlen(end)), module,
                       parts[i]);
        double *change = make(w, name, rows, d);
        merge(t, i * d, change, 0, rows, strength);
        free(change);
    }
}

/* A LoRA of all matrices: into w->file, and with its strength into merged. */
static void change_all(struct writer *w, struct set *merged, enum naming naming, double strength)
{
    for (size_t i = 0; i < merged->n; i++) {
        struct tensor *t = &merged->t[i];
        char module[NAME_BYTES];
        if (t->n_dims != 2 || !ends(t->name, ".weight") || strstr(t->name, "addition_t_embedding"))
            continue;
        (void)snprintf(module, sizeof module, "%.*s", (int)(strlen(t->name) - 7), t->name);
        if (naming == AS_BFL) {
            change_bfl(w, merged, module, t, strength);
        } else if (naming == SPLIT && ends(module, "to_qkv_mlp_proj")) {
            change_split(w, module, t, strength);
        } else {
            double *d = make(w, module, t->dims[0], t->dims[1]);
            merge(t, 0, d, 0, t->dims[0], strength);
            free(d);
        }
    }
}

/* ---- running a network -------------------------------------------------------------------------------- */

struct network {
    enum component_kind kind;
    char path[1400], config[1400]; /* "": in the folder that path is */
};

struct running {
    struct component *comp;
    struct flux2_transformer *flux;
    struct flux2_config flux_cfg;
    struct qwen_image_transformer *qwen;
    struct qwen_image_config qwen_cfg;
    struct model_network network;
    struct nn_params *sets[64];
};

static void open_network(const struct network *n, const char *weights, struct running *r)
{
    struct err e = {0};
    char path[1500];
    yyjson_doc *doc = NULL;
    memset(r, 0, sizeof *r);
    must(component_open(weights, n->kind, &r->comp, &e), &e);
    (void)snprintf(path, sizeof path, "%s/config.json", n->config[0] ? n->config : n->path);
    must(json_read_file(path, 1 << 20, &doc, &e), &e);
    yyjson_val *root = yyjson_doc_get_root(doc);
    r->network =
        (struct model_network){.kind = n->kind, .sets = r->sets, .n_sets = 1, .device = device};
    if (n->kind == COMPONENT_FLUX2_TRANSFORMER) {
        must(flux2_config_read(root, "config", r->comp, &r->flux_cfg, &e), &e);
        must(flux2_transformer_new(r->comp, device, parity_precision(), &r->flux_cfg, &r->flux, &e),
             &e);
        r->sets[0] = flux2_transformer_params(r->flux);
    } else {
        must(qwen_image_config_read(root, "config", r->comp, &r->qwen_cfg, &e), &e);
        must(qwen_image_transformer_new(r->comp, device, parity_precision(), &r->qwen_cfg, &r->qwen,
                                        &e),
             &e);
        r->network.n_sets = qwen_image_transformer_sets(r->qwen, r->sets);
        r->network.unread = qwen_image_unread(r->qwen, &r->network.n_unread);
    }
    yyjson_doc_free(doc);
}

static void close_network(struct running *r)
{
    flux2_transformer_free(r->flux);
    qwen_image_transformer_free(r->qwen);
    component_close(r->comp);
}

static float *numbers(size_t n)
{
    float *f = calloc(n, sizeof *f);
    for (size_t i = 0; i < n; i++)
        f[i] = random_number();
    return f;
}

static float *run_flux(struct running *r, size_t *n)
{
    enum { TEXT = 7, ROWS = 3, COLS = 4 };
    struct err e = {0};
    const struct flux2_config *c = &r->flux_cfg;
    struct flux2_id ids[ROWS * COLS];
    for (int i = 0; i < ROWS * COLS; i++)
        ids[i] = (struct flux2_id){.axis = {0, i / COLS, i % COLS, 0}};
    struct flux2_pass_spec spec = {.n_text = TEXT, .n_img = ROWS * COLS, .img_ids = ids};
    struct flux2_pass *p;
    must(flux2_pass_new(r->flux, &spec, &p, &e), &e);
    float *x = numbers((size_t)(ROWS * COLS * c->in_channels)),
          *text = numbers((size_t)(TEXT * c->joint_dim));
    *n = (size_t)(ROWS * COLS * c->out_channels);
    float *out = calloc(*n, sizeof *out);
    must(flux2_pass_run(p, x, text, 0.7f, out, NULL, &e), &e);
    flux2_pass_free(p);
    free(x);
    free(text);
    return out;
}

static float *run_qwen(struct running *r, size_t *n)
{
    enum { TEXT = 5 };
    struct err e = {0};
    const struct qwen_image_config *c = &r->qwen_cfg;
    const struct qwen_image_layout layout = {
        .n_text = TEXT, .frames = 2, .rows = 2, .cols = 3, .cond_rows = 2, .cond_cols = 3};
    struct qwen_image_pass_options options = {.condition = 0};
    struct qwen_image_tables *tables;
    struct qwen_image_pass *p;
    const float time = 0.4f;
    /* Modulation from tables, as in a run. */
    must(qwen_image_tables_build(r->qwen, &time, 1, 0, NULL, &tables, &e), &e);
    options.tables = tables;
    must(qwen_image_pass_new(r->qwen, &layout, &options, &p, &e), &e);
    int64_t tokens = qwen_image_tokens(&layout);
    float *x = numbers((size_t)(tokens * c->in_channels)),
          *text = numbers((size_t)(TEXT * c->joint_dim));
    *n = (size_t)(tokens * c->out_channels);
    float *out = calloc(*n, sizeof *out);
    must(qwen_image_pass_run(p, x, text, time, out, NULL, &e), &e);
    qwen_image_pass_free(p);
    qwen_image_tables_free(tables);
    free(x);
    free(text);
    return out;
}

struct wanted_lora {
    const char *path;
    double strength;
};

/* The output of the network with the given weights and LoRAs. streamed: its blocks through two slots. */
static float *run(const struct network *n, const char *weights, const struct wanted_lora *loras,
                  int n_loras, bool streamed, size_t *count_out)
{
    struct err e = {0};
    struct running r;
    struct model_adapter *a[4] = {NULL};
    open_network(n, weights, &r);
    for (int i = 0; i < n_loras; i++) {
        struct lora *l;
        must(lora_open(loras[i].path, &l, &e), &e);
        must(model_adapter_new(l, &r.network, &a[i], &e), &e);
        model_adapter_attach(a[i], loras[i].strength);
        must(nn_params_engage(model_adapter_params(a[i]), &e), &e);
    }
    if (streamed)
        nn_params_place(r.sets[0], (struct nn_placement){.resident = 1, .slots = 2});
    must(nn_params_engage(r.sets[0], &e), &e);
    state = 77;
    float *out = r.flux ? run_flux(&r, count_out) : run_qwen(&r, count_out);
    for (int i = 0; i < n_loras; i++)
        model_adapter_free(a[i]);
    close_network(&r);
    return out;
}

static double distance(const float *a, const float *b, size_t n)
{
    double d = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        d += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(d / size);
}

static bool in_bf16(void)
{
    return parity_precision() != NN_PRECISION_F32;
}

/* ---- the networks ------------------------------------------------------------------------------------- */

static char dir[] = "/tmp/veetance-lora-XXXXXX";
static char merged_path[64], lora_path_1[64], lora_path_2[64];

static struct network flux_network(void)
{
    struct network n = {.kind = COMPONENT_FLUX2_TRANSFORMER};
    (void)snprintf(n.path, sizeof n.path, "%s", parity_path("models/klein-base/transformer"));
    return n;
}

static struct network micro_network(void)
{
    struct network n = {.kind = COMPONENT_FLUX2_TRANSFORMER};
    (void)snprintf(n.path, sizeof n.path, "%s", VT_SOURCE_DIR "/models/micro-klein/transformer");
    return n;
}

static struct network quantised_network(void)
{
    struct network n = {.kind = COMPONENT_FLUX2_TRANSFORMER};
    (void)snprintf(n.path, sizeof n.path, "%s", parity_path("single/klein-transformer-Q5_0.gguf"));
    (void)snprintf(n.config, sizeof n.config, "%s", parity_path("models/klein/transformer"));
    return n;
}

static struct network qwen_network(void)
{
    struct network n = {.kind = COMPONENT_QWEN_IMAGE_TRANSFORMER};
    (void)snprintf(n.path, sizeof n.path, "%s", parity_path("models/layered-b/transformer"));
    return n;
}

static struct set *read_weights(const struct network *n)
{
    struct err e = {0};
    struct checkpoint *cp;
    must(checkpoint_open(n->path, &cp, &e), &e);
    struct set *s = set_read(cp);
    checkpoint_close(cp);
    return s;
}

/* Sizes so that the change moves the output by a lot, but does not drown the network. */
static double strength_of(enum form form)
{
    static const double strengths[] = {[LOW_RANK] = 0.1,
                                       [HADAMARD] = 1.5,
                                       [HADAMARD_WIDE] = 0.2,
                                       [KRONECKER] = 0.2,
                                       [KRONECKER_FACTORS] = 0.6};
    return strengths[form];
}

/* noise: what the two networks differ by without the change. */
static void check_same(const char *who, const float *got, const float *want, size_t n, double noise)
{
    double d = distance(got, want, n), most = (in_bf16() ? tolerance_bf16 : tolerance_f32) + noise;
    if (!(d <= most))
        fail_msg("%s: differs by %g", who, d);
}

/* Writes the LoRA of a style and form, compares its result with the merged checkpoint's. */
static void check_one(const struct network *n, enum naming naming, const struct style *style,
                      enum form form)
{
    struct set *base = read_weights(n), *merged = set_copy(base), *file = set_new();
    struct writer w = {.style = style, .form = form, .file = file};
    size_t count_1;
    state = 5;
    change_all(&w, merged, naming, strength_of(form));
    set_write(merged, merged_path, "\"format\":\"pt\"");
    set_write(file, lora_path_1, style->metadata);
    bool halved = style->alpha || style->metadata[0];
    bool by_rank = form != KRONECKER; /* two whole factors have no rank, and alpha says nothing */
    double strength = strength_of(form) * (halved && by_rank ? 2 : 1);
    float *plain = run(n, n->path, NULL, 0, false, &count_1);
    set_write(base, lora_path_2, "\"format\":\"pt\"");
    float *unpacked = run(n, lora_path_2, NULL, 0, false, &count_1);
    float *want = run(n, merged_path, NULL, 0, false, &count_1);
    float *got = run(n, n->path, &(struct wanted_lora){lora_path_1, strength}, 1, false, &count_1);
    if (!(distance(plain, want, count_1) > 0.1))
        fail_msg("%s: the change moves the output by %g only", style->who,
                 distance(plain, want, count_1));
    check_same(style->who, got, want, count_1, distance(plain, unpacked, count_1));
    free(unpacked);
    free(plain);
    free(want);
    free(got);
    set_free(base);
    set_free(merged);
    set_free(file);
}

static void every_style_equals_the_merged_checkpoint(void **unused)
{
    (void)unused;
    const struct network flux = flux_network(), qwen = qwen_network();
    for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++) {
        check_one(&flux, AS_STORED, &styles[i], LOW_RANK);
        check_one(&flux, AS_BFL, &styles[i], LOW_RANK);
        check_one(&flux, SPLIT, &styles[i], LOW_RANK);
        check_one(&qwen, AS_STORED, &styles[i], LOW_RANK);
    }
}

static const struct style lycoris = {
    "LyCORIS", "lycoris_", "lora_down.weight", "lora_up.weight", true, true, false, ""};
static const struct style toolkit = {
    "ai-toolkit", "diffusion_model.", "lora_A.weight", "lora_B.weight", false, true, false, ""};

static void every_form_equals_the_merged_checkpoint(void **unused)
{
    (void)unused;
    const struct network flux = flux_network(), qwen = qwen_network();
    for (int form = HADAMARD; form <= KRONECKER_FACTORS; form++) {
        check_one(&flux, AS_STORED, &lycoris, (enum form)form);
        check_one(&flux, AS_BFL, &toolkit, (enum form)form);
        check_one(&flux, SPLIT, &lycoris, (enum form)form);
        check_one(&qwen, AS_STORED, &toolkit, (enum form)form);
    }
}

static void micro_klein_equals_the_merged_checkpoint(void **unused)
{
    (void)unused;
    const struct network n = micro_network();
    check_one(&n, AS_STORED, &styles[0], LOW_RANK);
    check_one(&n, AS_BFL, &styles[4], LOW_RANK);
    check_one(&n, AS_BFL, &lycoris, HADAMARD);
    check_one(&n, AS_BFL, &lycoris, KRONECKER);
}

/* Modules are called as the file's tensors are. */
static void quantised_weights_stay_as_they_are(void **unused)
{
    (void)unused;
    const struct network n = quantised_network();
    check_one(&n, AS_STORED, &styles[6], LOW_RANK);
    check_one(&n, AS_STORED, &lycoris, KRONECKER);
}

/* ---- several, none, streamed ----------------------------------------------------------------------------- */

struct two {
    struct network n;
    struct set *merged;
};

static void write_two(struct two *t, double s1, double s2)
{
    t->merged = read_weights(&t->n);
    struct set *one = set_new(), *other = set_new();
    struct writer w = {.style = &styles[0], .form = LOW_RANK, .file = one};
    state = 5;
    change_all(&w, t->merged, AS_STORED, s1);
    w = (struct writer){.style = &lycoris, .form = KRONECKER, .file = other};
    change_all(&w, t->merged, AS_STORED, s2);
    set_write(t->merged, merged_path, "\"format\":\"pt\"");
    set_write(one, lora_path_1, "");
    set_write(other, lora_path_2, "");
    set_free(one);
    set_free(other);
}

static void several_add_up(void **unused)
{
    (void)unused;
    struct two t = {.n = flux_network()};
    size_t n;
    write_two(&t, 0.1, -0.05);
    float *want = run(&t.n, merged_path, NULL, 0, false, &n);
    const struct wanted_lora both[] = {{lora_path_1, 0.1}, {lora_path_2, -0.05}};
    float *got = run(&t.n, t.n.path, both, 2, false, &n);
    check_same("two", got, want, n, 0);
    free(want);
    free(got);
    set_free(t.merged);
}

static void strength_0_is_none_to_the_bit(void **unused)
{
    (void)unused;
    struct two flux = {.n = flux_network()}, qwen = {.n = qwen_network()};
    struct two *both[] = {&flux, &qwen};
    for (int i = 0; i < 2; i++) {
        size_t n;
        write_two(both[i], 0.1, 0.1);
        const struct wanted_lora none[] = {{lora_path_1, 0}, {lora_path_2, 0}};
        float *plain = run(&both[i]->n, both[i]->n.path, NULL, 0, false, &n);
        float *got = run(&both[i]->n, both[i]->n.path, none, 2, false, &n);
        assert_memory_equal(plain, got, n * sizeof *got);
        free(plain);
        free(got);
        set_free(both[i]->merged);
    }
}

static void streamed_equals_resident_to_the_bit(void **unused)
{
    (void)unused;
    struct two flux = {.n = micro_network()}, qwen = {.n = qwen_network()};
    struct two *both[] = {&flux, &qwen};
    for (int i = 0; i < 2; i++) {
        size_t n;
        write_two(both[i], 0.1, 0.1);
        const struct wanted_lora loras[] = {{lora_path_1, 0.1}, {lora_path_2, 0.1}};
        float *whole = run(&both[i]->n, both[i]->n.path, loras, 2, false, &n);
        float *got = run(&both[i]->n, both[i]->n.path, loras, 2, true, &n);
        assert_memory_equal(whole, got, n * sizeof *got);
        free(whole);
        free(got);
        set_free(both[i]->merged);
    }
}

/* ---- what does not fit ----------------------------------------------------------------------------------- */

static void expect_refusal(const struct network *n, const char *a, const char *b)
{
    struct err e = {0};
    struct running r;
    struct lora *l;
    struct model_adapter *adapter = NULL;
    open_network(n, n->path, &r);
    must(lora_open(lora_path_1, &l, &e), &e);
    assert_int_equal(model_adapter_new(l, &r.network, &adapter, &e), ERR_FORMAT);
    assert_null(adapter);
    if (!strstr(e.text, a) || !strstr(e.text, b))
        fail_msg("'%s' says nothing of '%s' and '%s'", e.text, a, b);
    close_network(&r);
}

static void write_one(const char *module, int64_t rows, int64_t columns)
{
    struct set *file = set_new();
    struct writer w = {.style = &styles[0], .form = LOW_RANK, .file = file};
    free(make(&w, module, rows, columns));
    set_write(file, lora_path_1, "");
    set_free(file);
}

static void what_does_not_fit_is_named(void **unused)
{
    (void)unused;
    const struct network flux = flux_network(), qwen = qwen_network();
    write_one("transformer_blocks.0.attn.to_q", 48, 64);
    expect_refusal(&flux, "does not fit this model", "[48, 64]");
    write_one("transformer_blocks.30.attn.to_q", 48, 48);
    expect_refusal(&flux, "is not for this model", "transformer_blocks.30.attn.to_q");
    write_one("transformer_blocks.0.img_mlp.net.2", 48, 192);
    expect_refusal(&flux, "is not for this model", "img_mlp.net.2");
    write_one("single_transformer_blocks.0.attn.to_out", 48, 192);
    expect_refusal(&qwen, "is not for this model", "single_transformer_blocks.0");
    write_one("text_encoder.layers.0.q", 48, 48);
    expect_refusal(&flux, "text encoder", "text_encoder.layers.0.q");
}

static int set_up(void **unused)
{
    const char *name = getenv("VT_TEST_DEVICE") ? getenv("VT_TEST_DEVICE") : "cpu";
    struct err e = {0};
    (void)unused;
    if (!mkdtemp(dir) || nn_device_open(name, 2, &device, &e) != ERR_OK) {
        print_error("%s\n", e.text);
        return -1;
    }
    (void)snprintf(merged_path, sizeof merged_path, "%s/merged.safetensors", dir);
    (void)snprintf(lora_path_1, sizeof lora_path_1, "%s/one.safetensors", dir);
    (void)snprintf(lora_path_2, sizeof lora_path_2, "%s/two.safetensors", dir);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    nn_device_close(device);
    (void)unlink(merged_path);
    (void)unlink(lora_path_1);
    (void)unlink(lora_path_2);
    return rmdir(dir);
}

int main(void)
{
    const char *name = getenv("VT_TEST_DEVICE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_style_equals_the_merged_checkpoint),
        cmocka_unit_test(every_form_equals_the_merged_checkpoint),
        cmocka_unit_test(micro_klein_equals_the_merged_checkpoint),
        cmocka_unit_test(quantised_weights_stay_as_they_are),
        cmocka_unit_test(several_add_up),
        cmocka_unit_test(strength_0_is_none_to_the_bit),
        cmocka_unit_test(streamed_equals_resident_to_the_bit),
        cmocka_unit_test(what_does_not_fit_is_named),
    };
    if (name && !parity_device_works(name))
        return 77;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
