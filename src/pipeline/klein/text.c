/* text.c - prompts to embeddings, with a cache.
 *
 * The last few embeddings stay in the process. With a cache folder they are also files there, named by a
 * hash of everything that they depend on: the token ids, which of them are padding, and the text encoder's
 * settings and stored tensors (names, types, shapes and a sample of their bytes). A hit does not touch the
 * text encoder. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/floats.h"
#include "base/log.h"
#include "base/mem.h"
#include "pipeline/klein/internal.h"
#include "text/chat.h"

static const int64_t TAPS[] = {9, 18,
                               27}; /* hidden states that klein's transformer was trained on */

static struct klein_embedding *find(struct klein *k, struct str prompt, int max_tokens)
{
    for (int i = 0; i < KLEIN_EMBEDDINGS_KEPT; i++) {
        struct klein_embedding *s = &k->embeddings[i];
        if (s->prompt && s->max_tokens == max_tokens &&
            s->compute == nn_device_compute(k->on.text) &&
            str_eq(prompt, (struct str){s->prompt, s->prompt_bytes}))
            return s;
    }
    return NULL;
}

static void clear(struct klein_embedding *s)
{
    mem_free(s->prompt);
    mem_free(s->data);
    memset(s, 0, sizeof *s);
}

void klein_embeddings_free(struct klein *k)
{
    for (int i = 0; i < KLEIN_EMBEDDINGS_KEPT; i++)
        clear(&k->embeddings[i]);
}

void klein_forget_dry(struct klein *k)
{
    for (int i = 0; i < KLEIN_EMBEDDINGS_KEPT; i++)
        if (k->embeddings[i].dry)
            clear(&k->embeddings[i]);
    k->preview.rehearsed = false;
}

/* The slot that was not used for longest, emptied. */
static struct klein_embedding *oldest(struct klein *k)
{
    struct klein_embedding *s = &k->embeddings[0];
    for (int i = 1; i < KLEIN_EMBEDDINGS_KEPT; i++)
        if (k->embeddings[i].used < s->used)
            s = &k->embeddings[i];
    clear(s);
    return s;
}

/* ---- cache on disk ---------------------------------------------------------------------------------- */

static void hash_bytes(uint64_t h[2], const void *p, size_t n)
{
    struct str s = {p, n};
    h[0] = (h[0] ^ str_hash(s)) * 0x9e3779b97f4a7c15u;
    h[1] = (h[1] + str_hash(s)) * 0xc2b2ae3d27d4eb4fu ^ (h[0] >> 29);
}

/* What config.json adds to the tensors: the same weights read with other settings say something else. */
static void hash_config(uint64_t h[2], const struct qwen3_config *c)
{
    const int64_t ints[] = {c->hidden,   c->intermediate, c->layers, c->heads,
                            c->kv_heads, c->head_dim,     c->vocab};
    const double reals[] = {c->rms_eps, c->rope_theta};
    hash_bytes(h, ints, sizeof ints);
    hash_bytes(h, reals, sizeof reals);
}

/* Identity of the text encoder by content: every tensor's record, and its first and last 64 bytes. */
static void hash_component(uint64_t h[2], const struct component *c)
{
    const struct checkpoint *cp = component_checkpoint(c);
    for (size_t i = 0; i < checkpoint_count(cp); i++) {
        const struct weights_tensor *t = checkpoint_at(cp, i);
        size_t edge = t->bytes < 64 ? (size_t)t->bytes : 64;
        hash_bytes(h, t->name, strlen(t->name));
        hash_bytes(h, &t->dtype, sizeof t->dtype);
        hash_bytes(h, t->dims, sizeof t->dims);
        hash_bytes(h, t->data, edge);
        hash_bytes(h, t->data + t->bytes - edge, edge);
    }
}

static enum err_code cache_path(const struct klein *k, const char *dir, const int32_t *ids,
                                const uint8_t *mask, int n, char *out, size_t out_size,
                                struct err *e)
{
    uint64_t h[2] = {0x243f6a8885a308d3u, 0x13198a2e03707344u};
    char name[64];
    hash_bytes(h, ids, (size_t)n * sizeof *ids);
    hash_bytes(h, mask, (size_t)n * sizeof *mask);
    hash_config(h, qwen3_config(k->text));
    hash_component(h, k->text_component);
    if (nn_device_compute(k->on.text) == NN_COMPUTE_INT8)
        hash_bytes(h, "int8", 4);
    if (nn_device_compute(k->on.text) == NN_COMPUTE_FP8)
        hash_bytes(h, "fp8", 3);
    (void)snprintf(name, sizeof name, "%016llx%016llx.embedding", (unsigned long long)h[0],
                   (unsigned long long)h[1]);
    return file_join(out, out_size, dir, name, e);
}

/* A file of another length or with a NaN in it is not used: the prompt is encoded again and the file replaced. */
static bool cache_read(const char *path, float *out, size_t n)
{
    struct buf b;
    if (!file_exists(path) || file_read(path, n * sizeof *out, &b, NULL) != ERR_OK)
        return false;
    bool ok = b.n == n * sizeof *out;
    if (ok)
        memcpy(out, b.p, b.n);
    buf_deinit(&b);
    return ok && floats_finite(out, (int64_t)n);
}

static void cache_write(const char *dir, const char *path, const float *data, size_t n)
{
    struct err e = {0};
    (void)mkdir(dir, 0777);
    if (file_write_atomic(path, data, n * sizeof *data, &e) != ERR_OK)
        log_warn("the prompt cache is not written: %s", e.text);
}

/* ---- encoding --------------------------------------------------------------------------------------- */

struct padded_prompt {
    int32_t *ids;  /* [n] */
    uint8_t *mask; /* [n] */
    int n;
    struct report_part part; /* of the text stage */
};

static enum err_code encode_ids(struct klein *k, const struct padded_prompt *p,
                                const struct klein_run *run, float *out, struct err *e)
{
    int n = p->n;
    struct report_graphs report = {
        .callbacks = run->callbacks,
        .at = {.stage = VT_STAGE_TEXT, .image = run->image, .image_count = run->image_count},
        .part = p->part};
    int32_t *mask = mem_try_array((size_t)n, sizeof *mask);
    if (!mask)
        return err_set(e, ERR_NOMEM, "no memory for a prompt");
    for (int i = 0; i < n; i++)
        mask[i] = p->mask[i];
    enum err_code rc = klein_engage(k, qwen3_params(k->text), run, e);
    int64_t start = clock_ns();
    if (rc == ERR_OK) {
        report_graphs_begin(&report, k->on.text);
        rc = qwen3_encode(k->text, p->ids, mask, n, TAPS, sizeof TAPS / sizeof TAPS[0], out,
                          run->cancel, e);
        report_graphs_end(k->on.text);
    }
    run->stats->text_seconds += (double)(clock_ns() - start) * 1e-9;
    mem_free(mask);
    return rc;
}

static enum err_code check_finite(struct klein *k, const float *x, size_t n, struct err *e)
{
    if (nn_device_is_dry(k->on.text) || floats_finite(x, (int64_t)n))
        return ERR_OK;
    enum err_code rc = nn_params_check_finite(qwen3_params(k->text), e);
    return rc != ERR_OK ? err_note(e, "text encoder")
                        : err_set(e, ERR_NUMERIC, "the text encoder's output holds NaN");
}

/* Fills data from the cache folder or from the text encoder. */
static enum err_code compute(struct klein *k, struct str prompt, struct report_part part,
                             float *data, const struct klein_request *rq,
                             const struct klein_run *run, struct err *e)
{
    char path[MODEL_PATH_BYTES] = "";
    struct padded_prompt p = {.n = rq->max_tokens, .part = part};
    size_t used, n = (size_t)p.n * (size_t)k->joint_dim;
    p.ids = mem_try_array((size_t)p.n, sizeof *p.ids);
    p.mask = mem_try_array((size_t)p.n, sizeof *p.mask);
    enum err_code rc;
    TRY_GOTO(p.ids && p.mask ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for %d tokens", p.n),
             done);
    TRY_GOTO(klein_encode(k->tokenizer, prompt, (size_t)p.n, p.ids, p.mask, &used, e), done);
    if (p.ids && p.mask && rq->cache_dir)
        TRY_GOTO(cache_path(k, rq->cache_dir, p.ids, p.mask, p.n, path, sizeof path, e), done);
    if (!(path[0] && cache_read(path, data, n))) {
        TRY_GOTO(encode_ids(k, &p, run, data, e), done);
        TRY_GOTO(check_finite(k, data, n, e), done);
        if (path[0] && !nn_device_is_dry(k->on.text))
            cache_write(rq->cache_dir, path, data, n);
    }
done:
    mem_free(p.ids);
    mem_free(p.mask);
    return rc;
}

enum err_code klein_embed(struct klein *k, struct str prompt, struct report_part part,
                          const struct klein_request *rq, const struct klein_run *run,
                          const float **out, struct err *e)
{
    bool dry = nn_device_is_dry(k->on.text);
    if (!dry)
        klein_forget_dry(k);
    struct klein_embedding *s = find(k, prompt, rq->max_tokens);
    if (!s) {
        s = oldest(k);
        s->dry = dry;
        s->data = mem_try_array((size_t)rq->max_tokens * (size_t)k->joint_dim, sizeof(float));
        s->prompt = mem_try_strndup(prompt.p ? prompt.p : "", prompt.n);
        enum err_code rc = s->data && s->prompt
                               ? compute(k, prompt, part, s->data, rq, run, e)
                               : err_set(e, ERR_NOMEM, "no memory for a prompt's embeddings");
        if (rc != ERR_OK) {
            clear(s);
            return rc;
        }
        s->prompt_bytes = prompt.n;
        s->max_tokens = rq->max_tokens;
        s->compute = nn_device_compute(k->on.text);
    }
    s->used = ++k->embedding_clock;
    *out = s->data;
    return ERR_OK;
}
