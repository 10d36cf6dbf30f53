/* layered_weights.c - the GGUF of a Qwen-Image transformer of random Q5_0 blocks.
 *
 * Every tensor is a pattern of two megabytes again and again: 32 random five-bit numbers q a block and one
 * scale d, which makes values d (q - 16) of variance 85.25 d^2. So the disk sets the pace.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "bench/cache.h"
#include "bench/layered.h"
#include "sample/rng.h"
#include "weights/header_write.h"

enum {
    PATH_BYTES = 4096,
    NAME_BYTES = 80,
    MAX_TENSORS = 4096,
    Q5_0_BYTES = 22,           /* of a block: a half, 32 high bits, 32 times 4 low bits */
    PATTERN_WORDS = 22 * 23831 /* whole blocks and whole floats; 23831 is a prime */
};

static const char FILE_NAME[] = "transformer-Q5_0.gguf";
static const double FIVE_BITS_VARIANCE = 85.25; /* (32 * 32 - 1) / 12 */

const char bench_layered_name[] = "qwen-layered";

struct qwen_image_config bench_layered_config(void)
{
    return (struct qwen_image_config){.in_channels = 64,
                                      .out_channels = 64,
                                      .joint_dim = 3584,
                                      .heads = 24,
                                      .head_dim = 128,
                                      .dim = 3072,
                                      .mlp_dim = 12288,
                                      .time_channels = 256,
                                      .n_blocks = 60,
                                      .axes_dims = {16, 56, 56},
                                      .rope_theta = 10000,
                                      .eps = 1e-6};
}

/* ---- the list --------------------------------------------------------------------------------------- */

struct list {
    struct write_tensor *t; /* MAX_TENSORS */
    char (*names)[NAME_BYTES];
    size_t n;
    char prefix[32];
};

static void add(struct list *l, const char *name, const char *end, enum dtype dtype, int64_t rows,
                int64_t cols)
{
    char *full = l->names[l->n];
    (void)snprintf(full, NAME_BYTES, "%s%s%s", l->prefix, name, end);
    l->t[l->n++] = (struct write_tensor){
        .name = full, .dtype = dtype, .n_dims = rows ? 2 : 1, .dims = {rows ? rows : cols, cols}};
}

static void add_vector(struct list *l, const char *name, int64_t n)
{
    add(l, name, "", DTYPE_F32, 0, n);
}

static void add_linear(struct list *l, const char *name, enum dtype dtype, int64_t out, int64_t in)
{
    add(l, name, ".weight", dtype, out, in);
    add(l, name, ".bias", DTYPE_F32, 0, out);
}

static void add_block(struct list *l, const struct qwen_image_config *c, int block)
{
    static const char *const square[] = {"attn.to_q",       "attn.to_k",       "attn.to_v",
                                         "attn.to_out.0",   "attn.add_q_proj", "attn.add_k_proj",
                                         "attn.add_v_proj", "attn.to_add_out"};
    static const char *const norms[] = {"attn.norm_q.weight", "attn.norm_k.weight",
                                        "attn.norm_added_q.weight", "attn.norm_added_k.weight"};
    (void)snprintf(l->prefix, sizeof l->prefix, "transformer_blocks.%d.", block);
    for (size_t i = 0; i < sizeof square / sizeof square[0]; i++)
        add_linear(l, square[i], DTYPE_Q5_0, c->dim, c->dim);
    for (size_t i = 0; i < sizeof norms / sizeof norms[0]; i++)
        add_vector(l, norms[i], c->head_dim);
    add_linear(l, "img_mod.1", DTYPE_Q5_0, 6 * c->dim, c->dim);
    add_linear(l, "txt_mod.1", DTYPE_Q5_0, 6 * c->dim, c->dim);
    add_linear(l, "img_mlp.net.0.proj", DTYPE_Q5_0, c->mlp_dim, c->dim);
    add_linear(l, "img_mlp.net.2", DTYPE_Q5_0, c->dim, c->mlp_dim);
    add_linear(l, "txt_mlp.net.0.proj", DTYPE_Q5_0, c->mlp_dim, c->dim);
    add_linear(l, "txt_mlp.net.2", DTYPE_Q5_0, c->dim, c->mlp_dim);
}

static void add_all(struct list *l, const struct qwen_image_config *c)
{
    add_linear(l, "img_in", DTYPE_F32, c->dim, c->in_channels);
    add_linear(l, "txt_in", DTYPE_F32, c->dim, c->joint_dim);
    add_vector(l, "txt_norm.weight", c->joint_dim);
    add_linear(l, "time_text_embed.timestep_embedder.linear_1", DTYPE_F32, c->dim,
               c->time_channels);
    add_linear(l, "time_text_embed.timestep_embedder.linear_2", DTYPE_F32, c->dim, c->dim);
    add(l, "time_text_embed.addition_t_embedding", ".weight", DTYPE_F32, 2, c->dim);
    add_linear(l, "norm_out.linear", DTYPE_Q5_0, 2 * c->dim, c->dim);
    add_linear(l, "proj_out", DTYPE_F32, c->out_channels, c->dim);
    for (int64_t i = 0; i < c->n_blocks; i++)
        add_block(l, c, (int)i);
}

static void list_init(struct list *l, const struct qwen_image_config *c)
{
    *l = (struct list){.t = mem_alloc(MAX_TENSORS * sizeof *l->t),
                       .names = mem_alloc(MAX_TENSORS * (size_t)NAME_BYTES)};
    add_all(l, c);
}

static void list_deinit(struct list *l)
{
    mem_free(l->t);
    mem_free(l->names);
}

static enum err_code make_header(struct list *l, struct buf *header, uint64_t *bytes, struct err *e)
{
    const struct write_meta meta[] = {
        {.key = STR_LIT("general.architecture"),
         .type = WRITE_STRING,
         .text = STR_LIT("qwen_image")},
        {.key = STR_LIT("general.quantization_version"), .type = WRITE_U32, .number = 2},
    };
    return gguf_write_header(l->t, l->n, meta, sizeof meta / sizeof meta[0], header, bytes, e);
}

uint64_t bench_layered_bytes(const struct qwen_image_config *c)
{
    struct list l;
    struct buf header;
    uint64_t n = 0;
    list_init(&l, c);
    if (make_header(&l, &header, &n, NULL) != ERR_OK)
        n = 0;
    buf_deinit(&header);
    list_deinit(&l);
    return n;
}

/* ---- patterns --------------------------------------------------------------------------------------- */

struct pattern {
    uint32_t random[PATTERN_WORDS]; /* of random bits */
    uint32_t words[PATTERN_WORDS];  /* what is written */
};

static void fill_q5_0(struct pattern *p, int64_t fan_in)
{
    unsigned char *block = (unsigned char *)p->words;
    float d = (float)(1 / sqrt((double)fan_in * FIVE_BITS_VARIANCE));
    uint16_t half = dtype_f32_to_f16(d);
    memcpy(block, p->random, sizeof p->words);
    for (size_t i = 0; i < sizeof p->words / Q5_0_BYTES; i++)
        memcpy(block + i * Q5_0_BYTES, &half, sizeof half);
}

/* Numbers around 0 of variance 1 / fan_in, evenly spread. */
static void fill_f32(struct pattern *p, int64_t fan_in)
{
    float width = sqrtf(12.0f / (float)fan_in);
    for (size_t i = 0; i < PATTERN_WORDS; i++) {
        float x = width * ((float)(p->random[i] >> 8) * 0x1p-24f - 0.5f);
        memcpy(&p->words[i], &x, sizeof x);
    }
}

/* Norms are ones, biases zeros. */
static void fill_vector(struct pattern *p, const char *name)
{
    const size_t n = strlen(name), end = strlen(".bias");
    float x = n > end && strcmp(name + n - end, ".bias") == 0 ? 0.0f : 1.0f;
    for (size_t i = 0; i < PATTERN_WORDS; i++)
        memcpy(&p->words[i], &x, sizeof x);
}

static void fill(struct pattern *p, const struct write_tensor *t)
{
    if (t->n_dims == 1)
        fill_vector(p, t->name);
    else if (t->dtype == DTYPE_Q5_0)
        fill_q5_0(p, t->dims[1]);
    else
        fill_f32(p, t->dims[1]);
}

/* ---- writing ---------------------------------------------------------------------------------------- */

struct writer {
    int fd;
    const char *path;
    struct pattern *pattern;
    const struct bench_writing *run;
    uint64_t bytes; /* of the file */
};

static enum err_code write_at(const struct writer *w, const void *p, size_t n, uint64_t at,
                              struct err *e)
{
    const unsigned char *c = p;
    while (n > 0) {
        ssize_t got = pwrite(w->fd, c, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_sys(e, ERR_IO, errno, "cannot write '%s'", w->path);
        c += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return ERR_OK;
}

static enum err_code write_tensor(const struct writer *w, const struct write_tensor *t,
                                  struct err *e)
{
    enum err_code rc = ERR_OK;
    fill(w->pattern, t);
    for (uint64_t at = 0; rc == ERR_OK && at < t->bytes;) {
        uint64_t left = t->bytes - at;
        size_t n = left < sizeof w->pattern->words ? (size_t)left : sizeof w->pattern->words;
        if (w->run->cancel && atomic_load(w->run->cancel))
            return err_set(e, ERR_CANCELLED, "stopped on request");
        rc = write_at(w, w->pattern->words, n, t->offset + at, e);
        at += n;
        if (w->run->progress)
            w->run->progress(t->offset + at, w->bytes, w->run->user);
    }
    return rc;
}

static enum err_code write_file(const struct qwen_image_config *c, struct writer *w, struct err *e)
{
    struct list l;
    struct buf header;
    struct rng r;
    list_init(&l, c);
    rng_seed(&r, 1);
    for (size_t i = 0; i < PATTERN_WORDS; i++)
        w->pattern->random[i] = rng_next_u32(&r);
    enum err_code rc;
    TRY_GOTO(make_header(&l, &header, &w->bytes, e), done);
    TRY_GOTO(write_at(w, header.p, header.n, 0, e), done);
    for (size_t i = 0; i < l.n; i++)
        TRY_GOTO(write_tensor(w, &l.t[i], e), done);
    if (ftruncate(w->fd, (off_t)w->bytes) != 0 || fsync(w->fd) != 0)
        rc = err_set_sys(e, ERR_IO, errno, "cannot write '%s'", w->path);
done:
    buf_deinit(&header);
    list_deinit(&l);
    return rc;
}

static enum err_code write_into(const void *user, const char *dir, const struct bench_writing *run,
                                struct err *e)
{
    char path[PATH_BYTES];
    TRY(file_join(path, sizeof path, dir, FILE_NAME, e));
    struct writer w = {.fd =
                           open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666),
                       .path = path,
                       .pattern = mem_alloc(sizeof *w.pattern),
                       .run = run};
    enum err_code rc = w.fd >= 0 ? write_file(user, &w, e)
                                 : err_set_sys(e, ERR_IO, errno, "cannot write '%s'", path);
    if (w.fd >= 0 && close(w.fd) != 0 && rc == ERR_OK)
        rc = err_set_sys(e, ERR_IO, errno, "cannot write '%s'", path);
    mem_free(w.pattern);
    return rc;
}

enum err_code bench_layered_get(const struct qwen_image_config *c, const char *name,
                                const char *cache_dir, const struct bench_writing *run, char *out,
                                size_t out_size, struct err *e)
{
    char dir[PATH_BYTES];
    const struct bench_cached what = {
        .name = name, .bytes = bench_layered_bytes(c), .write = write_into, .user = c};
    TRY(bench_cache_get(&what, cache_dir, run, dir, sizeof dir, e));
    return file_join(out, out_size, dir, FILE_NAME, e);
}
