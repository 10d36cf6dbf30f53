/* generate.c - writes text, one token after the other.
 *
 * Order: prefill (the prompt in chunks; only the last one asks for scores), then choose a token and step with it,
 * until an end token or the limit. Positions behind an image are not the token's index, hence `delta`. The penalty
 * is applied to a copy of the scores, so that a test can see both. Scores that are NaN or infinite end the run:
 * choosing among them would give plausible nonsense.
 */
#include "model/qwen2_5_vl/generate.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "model/qwen2_5_vl/layers.h"

struct run {
    struct qwen_vl *m;
    const struct qwen_vl_prompt *prompt;
    const struct qwen_vl_generate_options *o;
    struct qwen_vl_cache *cache;
    int32_t *pos;  /* of the prompt */
    int64_t delta; /* position - index, behind the prompt */
    float *raw, *scores;
    bool *seen; /* [vocab] ids that the penalty is for */
};

static void run_deinit(struct run *r)
{
    qwen_vl_cache_free(r->cache);
    mem_free(r->pos);
    mem_free(r->raw);
    mem_free(r->scores);
    mem_free(r->seen);
}

static enum err_code run_init(struct run *r, struct err *e)
{
    size_t vocab = (size_t)r->m->cfg.vocab;
    r->pos = mem_try_array((size_t)r->prompt->n * QWEN_VL_AXES, sizeof *r->pos);
    r->raw = mem_try_array(vocab, sizeof *r->raw);
    r->scores = mem_try_array(vocab, sizeof *r->scores);
    r->seen = mem_try_array(vocab, sizeof *r->seen);
    if (!r->pos || !r->raw || !r->scores || !r->seen)
        return err_set(e, ERR_NOMEM, "no memory to generate text");
    r->delta = qwen_vl_positions(r->prompt->image, r->prompt->n, r->pos);
    for (int64_t i = 0; i < r->prompt->n; i++)
        if (r->prompt->ids[i] >= 0 && r->prompt->ids[i] < r->m->cfg.vocab)
            r->seen[r->prompt->ids[i]] = true;
    return qwen_vl_cache_new(r->m, &r->cache, e);
}

/* The prompt through the model; leaves the scores of the first new token. */
static enum err_code prefill(struct run *r, struct err *e)
{
    int64_t n = r->prompt->n;
    TRY(qwen_vl_cache_reserve(r->cache, n, e));
    for (int64_t t = 0; t < n; t += QWEN_VL_CHUNK) {
        int64_t left = n - t;
        struct qwen_vl_chunk c = {
            .ids = r->prompt->ids + t,
            .axis = {r->pos + t, r->pos + n + t, r->pos + 2 * n + t},
            .first = t,
            .of = n,
            .n = left < QWEN_VL_CHUNK ? left : QWEN_VL_CHUNK,
            .cache = r->cache,
            .image = r->prompt->image,
            .logits = left <= QWEN_VL_CHUNK ? r->raw : NULL,
        };
        TRY(qwen_vl_chunk_run(r->m, &c, r->o->cancel, e));
    }
    return ERR_OK;
}

static enum err_code step(struct run *r, int32_t id, struct err *e)
{
    int64_t at = qwen_vl_cache_used(r->cache);
    int32_t pos = (int32_t)(at + r->delta);
    struct qwen_vl_chunk c = {
        .ids = &id,
        .axis = {&pos, &pos, &pos},
        .first = at,
        .n = 1,
        .cache = r->cache,
        .logits = r->raw,
    };
    TRY(qwen_vl_cache_reserve(r->cache, at + 1, e));
    return qwen_vl_chunk_run(r->m, &c, r->o->cancel, e);
}

/* The first of the highest scores. */
static enum err_code choose(struct run *r, int32_t *id, struct err *e)
{
    float penalty = (float)r->o->rules.repetition_penalty;
    int64_t vocab = r->m->cfg.vocab, best = 0;
    for (int64_t i = 0; i < vocab; i++) {
        float s = r->raw[i];
        if (!isfinite(s))
            return err_set(e, ERR_NUMERIC, "the language model computed NaN or infinity");
        if (r->seen[i])
            s = s < 0 ? s * penalty : s / penalty;
        r->scores[i] = s;
        if (s > r->scores[best])
            best = i;
    }
    if (r->o->scores)
        r->o->scores(r->o->user, r->raw, r->scores, vocab);
    *id = (int32_t)best;
    return ERR_OK;
}

static bool is_end(const struct qwen_vl_generation *g, int32_t id)
{
    for (size_t i = 0; i < g->n_eos; i++)
        if (g->eos[i] == id)
            return true;
    return false;
}

static enum err_code check(const struct qwen_vl *m, const struct qwen_vl_prompt *p,
                           const struct qwen_vl_generate_options *o, struct err *e)
{
    const struct qwen_vl_image *pic = p->image;
    if (!m->head)
        return err_set(e, ERR_INTERNAL, "this language model was opened for encoding only");
    if (p->n < 1 || o->max_new_tokens < 0 || p->n > INT32_MAX / 2 - o->max_new_tokens)
        return err_set(e, ERR_ARG, "a prompt of %lld tokens and %lld new ones", (long long)p->n,
                       (long long)o->max_new_tokens);
    if (pic && (pic->at < 0 || pic->cells_h < 1 || pic->cells_w < 1 ||
                pic->at + pic->cells_h * pic->cells_w > p->n))
        return err_set(e, ERR_INTERNAL, "an image's tokens lie outside its prompt");
    return ERR_OK;
}

/* A dry run measures the last token alone, which takes most. */
static enum err_code skip_to_last(struct run *r, int64_t *n, struct err *e)
{
    int64_t last = r->o->max_new_tokens - 1;
    if (*n >= last)
        return ERR_OK;
    *n = last;
    TRY(qwen_vl_cache_reserve(r->cache, r->prompt->n + last, e));
    qwen_vl_cache_set_used(r->cache, r->prompt->n + last - 1);
    return ERR_OK;
}

enum err_code qwen_vl_generate(struct qwen_vl *m, const struct qwen_vl_prompt *prompt,
                               const struct qwen_vl_generate_options *o, struct tokens *out,
                               struct err *e)
{
    struct run r = {.m = m, .prompt = prompt, .o = o};
    size_t before = out->n;
    enum err_code rc;
    TRY_GOTO(check(m, prompt, o, e), done);
    TRY_GOTO(run_init(&r, e), done);
    TRY_GOTO(prefill(&r, e), done);
    for (int64_t n = 1; n <= o->max_new_tokens; n++) {
        int32_t id = 0;
        TRY_GOTO(choose(&r, &id, e), done);
        if (!tokens_add(out, id)) {
            rc = err_set(e, ERR_NOMEM, "no memory for generated text");
            goto done;
        }
        r.seen[id] = true;
        if (o->token)
            o->token(o->user, id, n);
        if (is_end(&o->rules, id) || n == o->max_new_tokens)
            break;
        if (nn_device_is_dry(m->device))
            TRY_GOTO(skip_to_last(&r, &n, e), done);
        TRY_GOTO(step(&r, id, e), done);
    }
done:
    if (rc != ERR_OK)
        out->n = before;
    run_deinit(&r);
    return rc;
}
