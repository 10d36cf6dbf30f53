/* qwen_vl_test.c - Qwen2.5-VL against the reference: prompt embeddings, vision tower, greedy captions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "image/load.h"
#include "pipeline/caption/caption.h"
#include "support/case.h"

enum { PREFIX = CHAT_LAYERED_PREFIX_TOKENS };

static struct nn_device *device;

static void must(enum err_code rc, const struct err *e)
{
    if (rc != ERR_OK)
        fail_msg("%s", e->text);
}

static const char *call_str(const struct parity_case *c, const char *key)
{
    return yyjson_get_str(yyjson_obj_get(c->call, key));
}

static int64_t call_int(const struct parity_case *c, const char *key)
{
    return yyjson_get_sint(yyjson_obj_get(c->call, key));
}

static void model_file(const struct parity_case *c, const char *tail, char *out, size_t n)
{
    (void)snprintf(out, n, "%s/%s", parity_path(call_str(c, "model")), tail);
}

static yyjson_doc *read_json(const char *path)
{
    struct err e = {0};
    yyjson_doc *doc = NULL;
    if (json_read_file(path, 1 << 20, &doc, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return doc;
}

static void load_image(const struct parity_case *c, const char *file, struct image *out)
{
    char path[1400];
    struct err e = {0};
    (void)snprintf(path, sizeof path, "%s/%s", c->dir, file);
    must(image_load_file(path, NULL, NULL, out, &e), &e);
}

/* Integers must be the same; the golden tensor must be there. */
static void same_ints(const struct parity_case *c, const char *name, const int32_t *got, size_t n)
{
    const struct weights_tensor *t = checkpoint_find(c->golden, name);
    assert_non_null(t);
    bool wide = t->dtype == DTYPE_I64;
    assert_true(wide || t->dtype == DTYPE_I32);
    assert_int_equal(t->bytes / (wide ? 8 : 4), n);
    for (size_t i = 0; i < n; i++) {
        int64_t v = 0;
        int32_t v32 = 0;
        if (wide) {
            memcpy(&v, t->data + 8 * i, 8);
        } else {
            memcpy(&v32, t->data + 4 * i, 4);
            v = v32;
        }
        if (v != got[i])
            fail_msg("%s %s[%zu]: %d, expected %d", c->name, name, i, got[i], (int)v);
    }
}

/* ---- prompt embeddings -------------------------------------------------------------------------------- */

struct text_model {
    struct component *comp;
    struct qwen_vl_config cfg;
    struct qwen_vl *m;
    struct tokenizer *tokenizer;
};

static struct text_model open_text(const struct parity_case *c)
{
    struct err e = {0};
    struct text_model t;
    char path[1400];
    model_file(c, "text_encoder/config.json", path, sizeof path);
    yyjson_doc *doc = read_json(path);
    model_file(c, "text_encoder", path, sizeof path);
    must(component_open(path, COMPONENT_QWEN2_5_VL, &t.comp, &e), &e);
    must(qwen_vl_config_read(yyjson_doc_get_root(doc), c->name, t.comp, &t.cfg, &e), &e);
    must(qwen_vl_new(t.comp, device, parity_precision(), &t.cfg, QWEN_VL_ENCODE, &t.m, &e), &e);
    must(nn_params_engage(qwen_vl_params(t.m), &e), &e);
    model_file(c, "tokenizer", path, sizeof path);
    must(tokenizer_open(path, &t.tokenizer, &e), &e);
    yyjson_doc_free(doc);
    return t;
}

static void close_text(struct text_model *t)
{
    qwen_vl_free(t->m);
    tokenizer_free(t->tokenizer);
    component_close(t->comp);
}

/* Rows of a padded batch: [rows, n, hidden] of which mask says what counts. */
struct batch {
    size_t rows, n;
    float *ids, *mask;
};

static size_t used_of(const struct batch *b, size_t row, int32_t *ids)
{
    size_t used = 0;
    for (size_t i = 0; i < b->n; i++)
        if (b->mask[row * b->n + i] > 0)
            ids[used++] = (int32_t)b->ids[row * b->n + i];
    return used;
}

/* Padding is never computed here: what the reference has there is copied into `out`. */
static void fill_padding(const struct parity_case *c, const char *name, const struct batch *b,
                         size_t hidden, float *out)
{
    size_t have = 0;
    float *want = parity_golden(c, name, &have);
    if (!want)
        return;
    assert_int_equal(have, b->rows * b->n * hidden);
    for (size_t i = 0; i < b->rows * b->n; i++)
        if (b->mask[i] == 0)
            memcpy(out + i * hidden, want + i * hidden, hidden * sizeof *out);
    free(want);
}

static void check_state(const struct parity_case *c, struct text_model *t, const struct batch *b,
                        int64_t k)
{
    struct err e = {0};
    char name[40];
    size_t hidden = (size_t)t->cfg.hidden;
    float *out = calloc(b->rows * b->n * hidden, sizeof *out);
    int32_t *ids = calloc(b->n, sizeof *ids);
    for (size_t r = 0; r < b->rows; r++) {
        struct qwen_vl_prompt p = {.ids = ids, .n = (int64_t)used_of(b, r, ids)};
        must(qwen_vl_encode(t->m, &p, &k, 1, out + r * b->n * hidden, NULL, &e), &e);
    }
    (void)snprintf(name, sizeof name, "hidden_states.%d", (int)k);
    fill_padding(c, name, b, hidden, out);
    assert_true(parity_check(c, name, out, b->rows * b->n * hidden));
    if (k == t->cfg.layers) {
        fill_padding(c, "hidden_states.last", b, hidden, out);
        assert_true(parity_check(c, "hidden_states.last", out, b->rows * b->n * hidden));
    }
    free(ids);
    free(out);
}

/* The template's tokens dropped, cut to the wanted length, zeros behind a shorter prompt. */
static void check_embeds(const struct parity_case *c, struct text_model *t, const struct batch *b)
{
    struct err e = {0};
    const struct weights_tensor *want = checkpoint_find(c->golden, "prompt_embeds");
    assert_non_null(want);
    size_t rows = (size_t)want->dims[0], n = (size_t)want->dims[1], hidden = (size_t)want->dims[2];
    float *out = calloc(rows * n * hidden, sizeof *out);
    float *all = calloc(b->n * hidden, sizeof *all);
    int32_t *ids = calloc(b->n, sizeof *ids);
    for (size_t r = 0; r < rows; r++) {
        struct qwen_vl_prompt p = {.ids = ids, .n = (int64_t)used_of(b, r, ids)};
        size_t keep = (size_t)p.n - PREFIX < n ? (size_t)p.n - PREFIX : n;
        must(qwen_vl_encode(t->m, &p, &t->cfg.layers, 1, all, NULL, &e), &e);
        memcpy(out + r * n * hidden, all + PREFIX * hidden, keep * hidden * sizeof *out);
    }
    assert_true(parity_check(c, "prompt_embeds", out, rows * n * hidden));
    free(ids);
    free(all);
    free(out);
}

/* The ids that the prompt's own text gives. */
static void check_ids(const struct parity_case *c, const struct text_model *t,
                      const struct batch *b)
{
    struct err e = {0};
    yyjson_val *prompts = yyjson_obj_get(c->call, "prompt");
    int32_t *ids = calloc(b->n, sizeof *ids);
    for (size_t r = 0; r < b->rows; r++) {
        yyjson_val *v = yyjson_is_arr(prompts) ? yyjson_arr_get(prompts, r) : prompts;
        struct tokens got = {0};
        must(layered_encode(t->tokenizer, (struct str){yyjson_get_str(v), yyjson_get_len(v)}, 4096,
                            &got, &e),
             &e);
        assert_int_equal(got.n, used_of(b, r, ids));
        assert_memory_equal(got.ids, ids, got.n * sizeof *ids);
        tokens_deinit(&got);
    }
    free(ids);
}

static void run_text(const struct parity_case *c)
{
    struct text_model t = open_text(c);
    const struct weights_tensor *shape = checkpoint_find(c->golden, "input_ids");
    size_t n;
    assert_non_null(shape);
    struct batch b = {.rows = (size_t)shape->dims[0], .n = (size_t)shape->dims[1]};
    b.ids = parity_golden(c, "input_ids", &n);
    b.mask = parity_golden(c, "attention_mask", &n);
    check_ids(c, &t, &b);
    if (yyjson_get_bool(yyjson_obj_get(c->call, "all_layers")))
        for (int64_t k = 0; k < t.cfg.layers; k++)
            check_state(c, &t, &b, k);
    check_state(c, &t, &b, t.cfg.layers);
    check_embeds(c, &t, &b);
    free(b.ids);
    free(b.mask);
    close_text(&t);
}

/* ---- vision tower ------------------------------------------------------------------------------------- */

struct tower {
    struct component *comp;
    struct qwen_vl_vision *v;
    const struct qwen_vl_vision_config *cfg;
    struct caption_processor processor;
};

static struct tower open_tower(const struct parity_case *c)
{
    struct err e = {0};
    struct tower t;
    struct qwen_vl_vision_config cfg;
    char path[1400];
    model_file(c, "text_encoder/config.json", path, sizeof path);
    yyjson_doc *doc = read_json(path);
    model_file(c, "text_encoder", path, sizeof path);
    must(component_open(path, COMPONENT_QWEN2_5_VL, &t.comp, &e), &e);
    must(qwen_vl_vision_config_read(yyjson_doc_get_root(doc), c->name, t.comp, &cfg, &e), &e);
    must(qwen_vl_vision_new(t.comp, device, parity_precision(), &cfg, &t.v, &e), &e);
    must(nn_params_engage(qwen_vl_vision_params(t.v), &e), &e);
    t.cfg = qwen_vl_vision_config(t.v);
    model_file(c, "processor", path, sizeof path);
    must(caption_processor_read(path, &t.processor, &e), &e);
    yyjson_doc_free(doc);
    return t;
}

/* The reference has each channel's image once a frame. */
static float *double_frames(const struct tower *t, const float *patches, size_t n)
{
    size_t area = (size_t)(t->cfg->patch * t->cfg->patch), planes = (size_t)t->cfg->channels;
    size_t frames = (size_t)t->cfg->temporal_patch;
    float *out = calloc(n * planes * frames * area, sizeof *out), *dst = out;
    for (size_t i = 0; i < n * planes; i++)
        for (size_t f = 0; f < frames; f++, dst += area)
            memcpy(dst, patches + i * area, area * sizeof *dst);
    return out;
}

static void check_pixels(const struct parity_case *c, const struct tower *t,
                         const struct caption_patches *p)
{
    size_t n = (size_t)(p->grid.h * p->grid.w);
    size_t row = (size_t)(qwen_vl_patch_floats(t->cfg) * t->cfg->temporal_patch);
    float *all = double_frames(t, p->p, n);
    assert_true(parity_check(c, "pixel_values", all, n * row));
    assert_true(parity_check(c, "pixel_values_first_4_rows", all, 4 * row));
    assert_true(parity_check(c, "pixel_values_last_4_rows", all + (n - 4) * row, 4 * row));
    free(all);
    same_ints(c, "image_grid_thw", (int32_t[]){1, (int32_t)p->grid.h, (int32_t)p->grid.w}, 3);

    /* The image that the reference resized to: resizing it again changes nothing. */
    struct image resized = {0};
    struct caption_patches again;
    struct err e = {0};
    load_image(c, "resized.png", &resized);
    must(caption_patches_make(&t->processor, t->cfg, &resized, &again, &e), &e);
    assert_int_equal(again.grid.h, p->grid.h);
    assert_int_equal(again.grid.w, p->grid.w);
    assert_memory_equal(again.p, p->p, n * (size_t)qwen_vl_patch_floats(t->cfg) * sizeof *p->p);
    caption_patches_free(&again);
    image_free(&resized);
}

static void check_windows(const struct parity_case *c, const struct tower *t,
                          struct qwen_vl_grid grid)
{
    struct err e = {0};
    struct qwen_vl_windows w;
    int32_t per_cell = (int32_t)(t->cfg->merge * t->cfg->merge);
    size_t n = (size_t)(grid.h * grid.w);
    must(qwen_vl_windows_init(t->cfg, grid, &w, &e), &e);
    int32_t *ends = calloc((size_t)w.n_windows + 1, sizeof *ends);
    for (int64_t i = 0; i < w.n_windows; i++)
        ends[i + 1] = ends[i] + w.size[i] * per_cell;
    same_ints(c, "window_index", w.cell, (size_t)w.n_cells);
    same_ints(c, "cu_window_seqlens", ends, (size_t)w.n_windows + 1);
    int32_t *at = calloc(2 * n, sizeof *at);
    for (size_t i = 0; i < n; i++) {
        struct qwen_vl_patch_at p = qwen_vl_patch_position(t->cfg, grid, (int64_t)i);
        at[2 * i] = p.row;
        at[2 * i + 1] = p.col;
    }
    same_ints(c, "position_ids_hw", at, 2 * n);
    free(ends);
    free(at);
    qwen_vl_windows_deinit(&w);
}

struct mid_check {
    const struct parity_case *c;
    const struct tower *t;
    struct qwen_vl_grid grid;
};

/* The reference shows the patch embedding before it orders windows, all else after. */
static void check_mid(const char *name, const float *data, size_t n, void *user)
{
    const struct mid_check *m = user;
    struct qwen_vl_windows w;
    struct err e = {0};
    if (strcmp(name, "mid.patch_embed") != 0) {
        assert_true(parity_check(m->c, name, data, n));
        return;
    }
    must(qwen_vl_windows_init(m->t->cfg, m->grid, &w, &e), &e);
    must(qwen_vl_windows_group(&w, &e), &e);
    size_t cell = n / (size_t)w.n_cells;
    float *back = calloc(n, sizeof *back);
    for (int64_t i = 0; i < w.n_cells; i++)
        memcpy(back + (size_t)w.cell[i] * cell, data + (size_t)i * cell, cell * sizeof *back);
    assert_true(parity_check(m->c, name, back, n));
    free(back);
    qwen_vl_windows_deinit(&w);
}

static void run_vision(const struct parity_case *c)
{
    struct err e = {0};
    struct tower t = open_tower(c);
    struct image image = {0};
    struct caption_patches p;
    load_image(c, "image.png", &image);
    must(caption_patches_make(&t.processor, t.cfg, &image, &p, &e), &e);
    check_pixels(c, &t, &p);
    check_windows(c, &t, p.grid);
    size_t n = (size_t)(qwen_vl_cells(t.cfg, p.grid) * t.cfg->out_hidden);
    float *out = calloc(n, sizeof *out);
    struct mid_check m = {.c = c, .t = &t, .grid = p.grid};
    bool trace = yyjson_get_bool(yyjson_obj_get(c->call, "mid"));
    struct qwen_vl_vision_run run = {.mid = trace ? check_mid : NULL, .user = &m};
    must(qwen_vl_vision_encode(t.v, p.p, p.grid, out, &run, &e), &e);
    assert_true(parity_check(c, "image_embeds", out, n));
    free(out);
    caption_patches_free(&p);
    image_free(&image);
    qwen_vl_vision_free(t.v);
    component_close(t.comp);
}

/* ---- captions ----------------------------------------------------------------------------------------- */

struct scores {
    const struct parity_case *c;
    float *top2; /* [steps, 2] */
    size_t steps, max_steps;
};

static void take_scores(void *user, const float *raw, const float *penalised, int64_t vocab)
{
    struct scores *s = user;
    if (s->steps == 0)
        assert_true(parity_check(s->c, "prefill_logits", raw, (size_t)vocab));
    assert_true(s->steps < s->max_steps);
    float *top = s->top2 + 2 * s->steps++;
    top[0] = top[1] = -1e30f;
    for (int64_t i = 0; i < vocab; i++) {
        float v = penalised[i];
        if (v > top[0]) {
            top[1] = top[0];
            top[0] = v;
        } else if (v > top[1]) {
            top[1] = v;
        }
    }
}

static void count_token(void *user, int32_t id, int64_t n)
{
    struct scores *s = user;
    assert_true(id >= 0);
    assert_int_equal(n, s->steps);
}

/* Rotary positions of the whole prompt, and what new tokens add to their index. */
static void check_positions(const struct parity_case *c, const struct captioner *cap,
                            const struct tokens *prompt, int32_t merge)
{
    const struct weights_tensor *t = checkpoint_find(c->golden, "image_grid_thw");
    int64_t thw[3];
    int32_t pad = tokenizer_token_id(caption_tokenizer(cap), "<|image_pad|>");
    struct qwen_vl_image p = {.at = 0};
    assert_non_null(t);
    memcpy(thw, t->data, sizeof thw);
    p.cells_h = thw[1] / merge;
    p.cells_w = thw[2] / merge;
    while (prompt->ids[p.at] != pad)
        p.at++;
    int32_t *pos = calloc(prompt->n * QWEN_VL_AXES, sizeof *pos);
    int32_t delta = (int32_t)qwen_vl_positions(&p, (int64_t)prompt->n, pos);
    same_ints(c, "position_ids_3d", pos, prompt->n * QWEN_VL_AXES);
    same_ints(c, "rope_delta", &delta, 1);
    free(pos);
}

static void check_text(const struct parity_case *c, const struct caption_result *r)
{
    char path[1400];
    (void)snprintf(path, sizeof path, "%s/expected.json", c->dir);
    yyjson_doc *doc = read_json(path);
    yyjson_val *root = yyjson_doc_get_root(doc);
    assert_string_equal(buf_z(&r->text), yyjson_get_str(yyjson_obj_get(root, "text")));
    assert_int_equal(r->complete, yyjson_get_bool(yyjson_obj_get(root, "ended_by_eos")));
    yyjson_doc_free(doc);
}

static struct captioner *open_captioner(const struct parity_case *c)
{
    struct err e = {0};
    struct captioner *cap;
    struct caption_files *f = calloc(1, sizeof *f);
    (void)snprintf(f->language.weights, sizeof f->language.weights, "%s/text_encoder",
                   parity_path(call_str(c, "model")));
    (void)snprintf(f->language.config, sizeof f->language.config, "%s/text_encoder/config.json",
                   parity_path(call_str(c, "model")));
    model_file(c, "tokenizer", f->tokenizer, sizeof f->tokenizer);
    model_file(c, "processor", f->processor, sizeof f->processor);
    must(caption_open(f, device, &cap, &e), &e);
    free(f);
    return cap;
}

static void run_caption(const struct parity_case *c)
{
    struct err e = {0};
    struct captioner *cap = open_captioner(c);
    struct image image = {0};
    struct caption_result r;
    load_image(c, "image.png", &image);
    int64_t max = call_int(c, "max_new_tokens");
    struct scores s = {.c = c, .max_steps = (size_t)max};
    s.top2 = calloc(2 * s.max_steps, sizeof *s.top2);
    struct caption_request rq = {
        .language =
            yyjson_get_bool(yyjson_obj_get(c->call, "use_en_prompt")) ? CHAT_ENGLISH : CHAT_CHINESE,
        .max_new_tokens = max,
        .repetition_penalty = yyjson_get_num(yyjson_obj_get(c->call, "repetition_penalty")),
        .user = &s,
        .token = count_token,
        .scores = take_scores,
    };
    must(caption_run(cap, &image, &rq, &r, &e), &e);
    same_ints(c, "input_ids", r.prompt.ids, r.prompt.n);
    same_ints(c, "new_ids", r.generated.ids, r.generated.n);
    assert_true(parity_check(c, "top2_scores", s.top2, 2 * s.steps));
    check_positions(c, cap, &r.prompt, 2);
    check_text(c, &r);
    free(s.top2);
    caption_result_deinit(&r);
    image_free(&image);
    caption_close(cap);
}

/* ---- all cases ----------------------------------------------------------------------------------------- */

static const struct {
    const char *kind;
    void (*run)(const struct parity_case *c);
} kinds[] = {
    {"qwenvl_text", run_text},
    {"qwenvl_vision", run_vision},
    {"qwenvl_caption", run_caption},
};

static void qwen_vl_agrees_with_the_reference(void **state)
{
    size_t i = (size_t)(uintptr_t)*state;
    size_t before = parity_checks_made();
    if (parity_run_kind(kinds[i].kind, kinds[i].run) == 0) {
        assert_non_null(getenv("VT_PARITY_ONLY"));
        return;
    }
    assert_true(parity_checks_made() > before);
}

int main(void)
{
    struct err e = {0};
    const char *want = getenv("VT_TEST_DEVICE");
    if (nn_device_open(want ? want : "cpu", 2, &device, &e) != ERR_OK) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    struct CMUnitTest tests[sizeof kinds / sizeof kinds[0]];
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        tests[i] = (struct CMUnitTest){kinds[i].kind, qwen_vl_agrees_with_the_reference, NULL, NULL,
                                       (void *)(uintptr_t)i};
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    nn_device_close(device);
    return rc;
}
