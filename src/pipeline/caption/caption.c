/* caption.c - an image in words: opening the parts, looking, reading, answering; see caption.h.
 *
 * Opening checks what can be checked without reading weights: that tokenizer, language model and vision tower have
 * sizes that fit each other. A run engages the vision tower, keeps its rows on the host, and then engages the
 * language model, so that a device needs room for one of them. The rules of generation are the model's own
 * (generation_config.json); end tokens are completed by those that the chat format always uses.
 */
#include "pipeline/caption/caption.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "memory/governor.h"
#include "pipeline/tokenizer_gguf.h"
#include "text/builtin.h"
#include "text/sense.h"

enum {
    JSON_MAX_BYTES = 4 << 20,
    TEXT_MAX_BYTES = 16 << 20,
};

struct captioner {
    struct nn_device *device;
    struct tokenizer *tokenizer;
    struct component *language_component, *vision_component; /* vision: NULL when in the first */
    struct qwen_vl *language;
    struct qwen_vl_vision *vision;
    struct caption_processor processor;
    struct qwen_vl_generation rules;
};

/* ---- opening ------------------------------------------------------------------------------------------ */

static enum err_code open_tokenizer(struct captioner *c, const struct caption_files *f,
                                    struct err *e)
{
    const struct checkpoint *cp = component_checkpoint(c->language_component);
    if (f->tokenizer[0])
        return tokenizer_from_path(f->tokenizer, &c->tokenizer, e);
    if (checkpoint_format(cp) == CHECKPOINT_SAFETENSORS)
        return tokenizer_builtin(tokenizer_builtin_name(false), &c->tokenizer, e);
    return tokenizer_from_checkpoint(cp, &c->tokenizer, e);
}

static enum err_code open_language(struct captioner *c, const struct caption_files *f,
                                   yyjson_val *json, struct err *e)
{
    struct qwen_vl_config cfg;
    const char *what = f->language.config[0] ? f->language.config : f->language.weights;
    TRY(qwen_vl_config_read(json, what, c->language_component, &cfg, e));
    TRY(qwen_vl_new(c->language_component, c->device, nn_precision_for(c->language_component), &cfg,
                    QWEN_VL_GENERATE, &c->language, e));
    if (cfg.vocab < tokenizer_vocab_size(c->tokenizer))
        return err_set(e, ERR_FORMAT,
                       "the tokenizer has %d tokens, the language model only %lld embeddings: they "
                       "belong to different models",
                       tokenizer_vocab_size(c->tokenizer), (long long)cfg.vocab);
    return ERR_OK;
}

static enum err_code open_vision(struct captioner *c, const struct caption_files *f,
                                 yyjson_val *json, struct err *e)
{
    struct qwen_vl_vision_config cfg;
    struct component *comp = c->language_component;
    const char *what = f->language.config[0] ? f->language.config : f->language.weights;
    if (f->vision[0]) {
        TRY(component_open(f->vision, COMPONENT_UNKNOWN, &c->vision_component, e));
        comp = c->vision_component;
        what = f->vision;
    }
    if (!qwen_vl_has_vision(comp))
        return err_set(e, ERR_NOTFOUND,
                       "'%s' has no vision tower, which looking at an image needs%s",
                       checkpoint_path(component_checkpoint(comp)),
                       f->vision[0] ? "" : " (for llama.cpp files it is the mmproj file)");
    TRY(qwen_vl_vision_config_read(json, what, comp, &cfg, e));
    if (cfg.out_hidden != qwen_vl_config(c->language)->hidden)
        return err_set(e, ERR_FORMAT,
                       "the vision tower gives rows of %lld, the language model takes %lld: they "
                       "belong to different models",
                       (long long)cfg.out_hidden, (long long)qwen_vl_config(c->language)->hidden);
    return qwen_vl_vision_new(comp, c->device, nn_precision_for(comp), &cfg, &c->vision, e);
}

/* generation_config.json lies beside config.json. */
static enum err_code read_rules(struct captioner *c, const struct caption_files *f,
                                yyjson_val *json, struct err *e)
{
    static const char *const ends[] = {"<|im_end|>", "<|endoftext|>"};
    char dir[MODEL_PATH_BYTES], path[MODEL_PATH_BYTES];
    yyjson_doc *doc = NULL;
    (void)snprintf(dir, sizeof dir, "%s", f->language.config);
    char *slash = strrchr(dir, '/');
    if (slash)
        *slash = 0;
    if (slash && file_join(path, sizeof path, dir, "generation_config.json", NULL) == ERR_OK &&
        file_exists(path))
        TRY(json_read_file(path, JSON_MAX_BYTES, &doc, e));
    enum err_code rc = qwen_vl_generation_read(yyjson_doc_get_root(doc), json,
                                               doc ? path : "config.json", &c->rules, e);
    yyjson_doc_free(doc);
    TRY(rc);
    for (size_t i = 0; c->rules.n_eos < 2 && i < 2; i++) {
        int32_t id = tokenizer_token_id(c->tokenizer, ends[i]);
        if (id != TOKENIZER_NONE && (c->rules.n_eos == 0 || c->rules.eos[0] != id))
            c->rules.eos[c->rules.n_eos++] = id;
    }
    return ERR_OK;
}

/* The language model, its tokenizer, and its config, which the vision tower reads too. */
static enum err_code open_words(struct captioner *c, const struct caption_files *f,
                                yyjson_doc **doc, struct err *e)
{
    TRY(component_open(f->language.weights, COMPONENT_QWEN2_5_VL, &c->language_component, e));
    TRY(model_part_config(&f->language, doc, e));
    TRY(open_tokenizer(c, f, e));
    return open_language(c, f, yyjson_doc_get_root(*doc), e);
}

static enum err_code open_all(struct captioner *c, const struct caption_files *f, struct err *e)
{
    yyjson_doc *doc = NULL;
    enum err_code rc = open_words(c, f, &doc, e);
    if (rc != ERR_OK) {
        rc = err_note(e, "language model");
        goto done;
    }
    rc = open_vision(c, f, yyjson_doc_get_root(doc), e);
    if (rc != ERR_OK) {
        rc = err_note(e, "vision tower");
        goto done;
    }
    TRY_GOTO(read_rules(c, f, yyjson_doc_get_root(doc), e), done);
    rc = caption_processor_read(f->processor, &c->processor, e);
done:
    yyjson_doc_free(doc);
    return rc;
}

enum err_code caption_open(const struct caption_files *files, struct nn_device *d,
                           struct captioner **out, struct err *e)
{
    *out = NULL;
    struct captioner *c = mem_try_alloc(sizeof *c);
    if (!c)
        return err_set(e, ERR_NOMEM, "no memory for a captioner");
    c->device = d;
    enum err_code rc = open_all(c, files, e);
    if (rc != ERR_OK) {
        caption_close(c);
        return rc;
    }
    *out = c;
    return ERR_OK;
}

void caption_close(struct captioner *c)
{
    if (!c)
        return;
    qwen_vl_vision_free(c->vision);
    qwen_vl_free(c->language);
    tokenizer_free(c->tokenizer);
    component_close(c->vision_component);
    component_close(c->language_component);
    mem_free(c);
}

const struct tokenizer *caption_tokenizer(const struct captioner *c)
{
    return c->tokenizer;
}

/* ---- text --------------------------------------------------------------------------------------------- */

/* Bytes of the white space character (as Python's str.strip sees it) that s starts with; 0: none. */
static size_t space_bytes(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    if (s.n >= 1 &&
        (p[0] == ' ' || (p[0] >= 0x09 && p[0] <= 0x0d) || (p[0] >= 0x1c && p[0] <= 0x1f)))
        return 1;
    if (s.n >= 2 && p[0] == 0xc2 && (p[1] == 0x85 || p[1] == 0xa0))
        return 2;
    if (s.n < 3)
        return 0;
    bool wide = (p[0] == 0xe1 && p[1] == 0x9a && p[2] == 0x80) ||                 /* U+1680 */
                (p[0] == 0xe2 && p[1] == 0x80 && p[2] >= 0x80 && p[2] <= 0x8a) || /* U+2000.. */
                (p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9 || p[2] == 0xaf)) ||
                (p[0] == 0xe2 && p[1] == 0x81 && p[2] == 0x9f) || /* U+205F */
                (p[0] == 0xe3 && p[1] == 0x80 && p[2] == 0x80);   /* U+3000 */
    return wide ? 3 : 0;
}

static struct str stripped(struct str s)
{
    for (size_t n = space_bytes(s); n > 0; n = space_bytes(s))
        s = str_skip(s, n);
    size_t end = 0; /* behind the last character that is none */
    for (size_t i = 0; i < s.n;) {
        size_t n = space_bytes(str_skip(s, i));
        i += n ? n : 1;
        if (n == 0)
            end = i;
    }
    s.n = end;
    return s;
}

static enum err_code answer_text(const struct captioner *c, const struct tokens *ids,
                                 struct buf *out, struct err *e)
{
    struct buf raw;
    buf_init(&raw, TEXT_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(tokenizer_decode(c->tokenizer, ids->ids, ids->n, true, &raw, e), done);
    buf_add_str(out, stripped(buf_str(&raw)));
    if (buf_failed(out))
        rc = err_set(e, ERR_NOMEM, "no memory for a caption");
done:
    buf_deinit(&raw);
    return rc;
}

/* ---- running ------------------------------------------------------------------------------------------ */

/* Looking and reading take about as long: the part of both that what comes next is. */
enum { LOOKING, READING };

static struct nn_span begin_part(const struct captioner *c, int part)
{
    struct nn_span whole = nn_device_span(c->device);
    nn_device_set_span(c->device, nn_span_part(whole, part / 2.0, 0.5));
    return whole;
}

/* What the vision tower sees: [cells, hidden] in *rows, freed by the caller. */
static enum err_code look(struct captioner *c, const struct image *image,
                          const struct caption_request *rq, float **rows, struct qwen_vl_grid *grid,
                          struct err *e)
{
    struct caption_patches patches;
    struct nn_params *ps = qwen_vl_vision_params(c->vision);
    const struct qwen_vl_vision_config *cfg = qwen_vl_vision_config(c->vision);
    struct qwen_vl_vision_run run = {.cancel = rq->cancel};
    struct nn_span whole = begin_part(c, LOOKING);
    enum err_code rc;
    TRY_GOTO(caption_patches_make(&c->processor, cfg, image, &patches, e), done);
    *grid = patches.grid;
    *rows = mem_try_array((size_t)(qwen_vl_cells(cfg, *grid) * cfg->out_hidden), sizeof **rows);
    if (!*rows) {
        rc = err_set(e, ERR_NOMEM, "no memory for an image's embedding");
        goto done;
    }
    TRY_GOTO(governor_engage(c->device, "vision", ps, e), done);
    rc = qwen_vl_vision_encode(c->vision, patches.p, *grid, *rows, &run, e);
done:
    caption_patches_free(&patches);
    nn_device_set_span(c->device, whole);
    return rc;
}

static bool ended(const struct qwen_vl_generation *g, const struct tokens *t)
{
    for (size_t i = 0; t->n > 0 && i < g->n_eos; i++)
        if (g->eos[i] == t->ids[t->n - 1])
            return true;
    return false;
}

static enum err_code answer(struct captioner *c, const struct caption_request *rq,
                            const float *rows, struct qwen_vl_grid grid, struct caption_result *out,
                            struct err *e)
{
    const struct qwen_vl_vision_config *v = qwen_vl_vision_config(c->vision);
    struct nn_params *ps = qwen_vl_params(c->language);
    struct qwen_vl_image seen = {
        .rows = rows, .cells_h = grid.h / v->merge, .cells_w = grid.w / v->merge};
    struct qwen_vl_generate_options o = {.max_new_tokens = rq->max_new_tokens,
                                         .rules = c->rules,
                                         .cancel = rq->cancel,
                                         .user = rq->user,
                                         .token = rq->token,
                                         .scores = rq->scores};
    struct nn_span whole = begin_part(c, READING);
    size_t at = 0;
    if (rq->repetition_penalty > 0)
        o.rules.repetition_penalty = rq->repetition_penalty;
    enum err_code rc;
    TRY_GOTO(caption_encode(c->tokenizer, rq->language, (size_t)(seen.cells_h * seen.cells_w),
                            &out->prompt, &at, e),
             done);
    seen.at = (int64_t)at;
    struct qwen_vl_prompt prompt = {
        .ids = out->prompt.ids, .n = (int64_t)out->prompt.n, .image = &seen};
    TRY_GOTO(governor_engage(c->device, "caption", ps, e), done);
    rc = qwen_vl_generate(c->language, &prompt, &o, &out->generated, e);
done:
    nn_device_set_span(c->device, whole);
    out->complete = ended(&c->rules, &out->generated);
    return rc;
}

enum err_code caption_run(struct captioner *c, const struct image *image,
                          const struct caption_request *rq, struct caption_result *out,
                          struct err *e)
{
    float *rows = NULL;
    struct qwen_vl_grid grid = {0};
    memset(out, 0, sizeof *out);
    buf_init(&out->text, TEXT_MAX_BYTES);
    enum err_code rc = ERR_OK;
    if (rq->max_new_tokens < 1 || rq->max_new_tokens > CAPTION_MAX_NEW_TOKENS_LIMIT) {
        rc = err_set(e, ERR_ARG, "%lld new tokens; it should be 1 to %d",
                     (long long)rq->max_new_tokens, CAPTION_MAX_NEW_TOKENS_LIMIT);
        goto done;
    }
    TRY_GOTO(look(c, image, rq, &rows, &grid, e), done);
    TRY_GOTO(answer(c, rq, rows, grid, out, e), done);
    rc = answer_text(c, &out->generated, &out->text, e);
done:
    mem_free(rows);
    if (rc != ERR_OK)
        caption_result_deinit(out);
    return rc;
}

enum err_code caption_check(const struct caption_result *r, struct err *e)
{
    const char *why = text_nonsense(buf_str(&r->text));
    if (!why)
        return ERR_OK;
    return err_set(e, ERR_NUMERIC,
                   "the model's caption %s: this model cannot describe images, or its weights are "
                   "broken",
                   why);
}

void caption_result_deinit(struct caption_result *r)
{
    buf_deinit(&r->text);
    tokens_deinit(&r->prompt);
    tokens_deinit(&r->generated);
    memset(r, 0, sizeof *r);
}
