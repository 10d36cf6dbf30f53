/* inspect.c - collects what there is to say about a path, then writes it as text or as JSON.
 *
 * A path is a checkpoint (file, index, component folder) or a whole pipeline folder, whose
 * model_index.json names one component folder per entry. Trouble with a component is a line under
 * "problems"; only a path that holds nothing readable at all is an error.
 */
#include "weights/inspect.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "weights/component_impl.h"
#include "weights/inspect_impl.h"
#include "weights/lora.h"
#include "weights/quantised.h"

/* ---- collecting -------------------------------------------------------------------------------- */

void inspect_problem(struct inspect_report *r, const char *fmt, ...)
{
    if (r->n_problems == INSPECT_MAX_PROBLEMS) {
        r->more_problems++;
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(r->problems[r->n_problems++], INSPECT_PROBLEM_BYTES, fmt, ap);
    va_end(ap);
}

static void add_sizes(struct inspect_report *r)
{
    for (size_t i = 0; i < checkpoint_count(r->cp); i++) {
        const struct weights_tensor *t = checkpoint_at(r->cp, i);
        r->bytes += t->bytes;
        r->bytes_by_dtype[t->dtype] += t->bytes;
    }
}

/* The shape of a tensor's values, which need not be that of its stored bytes. */
static struct weights_tensor values_of(const struct inspect_report *r,
                                       const struct weights_tensor *t)
{
    struct quantised q;
    const struct component *c = r->component;
    if (c && quantised_read(c->cp, c->markers, c->prefix, t, &q, NULL) == ERR_OK)
        return q.values;
    return *t;
}

/* Values, not stored bytes, nor the scales and marks that make values of them. */
static void count_parameters(struct inspect_report *r)
{
    for (size_t i = 0; i < checkpoint_count(r->cp); i++) {
        const struct weights_tensor *t = checkpoint_at(r->cp, i);
        if (quantised_describes(r->cp, t->name))
            continue;
        struct weights_tensor v = values_of(r, t);
        uint64_t n = 1;
        for (int k = 0; k < v.n_dims; k++)
            n *= (uint64_t)v.dims[k];
        r->parameters += dtype_info(v.dtype)->is_float ? n : 0;
    }
}

/* Matrices that are multiplied; embeddings are read by rows from the file. */
static bool is_multiplied(const struct weights_view *v)
{
    return v->n_dims == 2 && !strstr(v->stored->name, "embed") &&
           !strstr(v->stored->name, "lm_head");
}

/* What each kind of device would hold in a wider type than it is stored in. */
static void add_widened(struct inspect_report *r)
{
    for (size_t i = 0; r->bytes >= WEIGHTS_EXACT_BELOW_BYTES && i < checkpoint_count(r->cp); i++) {
        const struct weights_tensor *t = checkpoint_at(r->cp, i);
        struct weights_view v;
        if (quantised_describes(r->cp, t->name) || !weights_is_narrow(t->dtype) ||
            component_stored(r->component, t, &v, NULL) != ERR_OK || !is_multiplied(&v))
            continue;
        for (int d = 0; d < WEIGHTS_DEVICES; d++) {
            uint64_t bytes;
            bool wide = weights_held(&v, (enum weights_device)d) == DTYPE_BF16;
            if (!wide || !dtype_bytes(DTYPE_BF16, (uint64_t)v.dims[0] * (uint64_t)v.dims[1],
                                      (uint64_t)v.dims[1], &bytes))
                continue;
            weights_add_form(r->widened[d].from, sizeof r->widened[d].from, weights_form_name(&v));
            r->widened[d].bytes += bytes - v.bytes;
        }
    }
}

/* Which component of which pipeline the network can serve as. */
static void add_serves(struct inspect_report *r)
{
    static const char *const places[COMPONENT_COUNT] = {
        [COMPONENT_FLUX2_TRANSFORMER] = "flux2-klein/transformer",
        [COMPONENT_FLUX2_VAE] = "flux2-klein/vae",
        [COMPONENT_QWEN3] = "flux2-klein/text_encoder",
        [COMPONENT_QWEN_IMAGE_TRANSFORMER] = "qwen-image-layered/transformer",
        [COMPONENT_QWEN_IMAGE_VAE] = "qwen-image-layered/vae",
        [COMPONENT_QWEN2_5_VL] = "qwen-image-layered/text_encoder",
        [COMPONENT_QWEN2_5_VL_VISION] = "qwen-image-layered/vision",
    };
    struct err why = {0};
    if (component_check(r->component, &why) == ERR_OK)
        r->serves = places[component_kind(r->component)];
    else
        inspect_problem(r, "%s", why.text);
}

/* What networks of the kind do not have. */
static void add_leftovers(struct inspect_report *r)
{
    enum { SHOWN = 4 };
    const char *names[SHOWN];
    size_t n = component_leftovers(r->component, names, SHOWN);
    for (size_t i = 0; i < n && i < SHOWN; i++)
        inspect_problem(r, "'%s' is not used: a %s has no such tensor", names[i],
                        component_kind_title(component_kind(r->component)));
    if (n > SHOWN)
        inspect_problem(r, "%zu more tensors are not used", n - SHOWN);
}

/* A file with several networks: the report is about the first. */
static void add_others(struct inspect_report *r)
{
    enum component_kind kinds[COMPONENT_COUNT];
    int n = component_kinds(r->cp, kinds);
    for (int i = 0; i < n; i++)
        if (kinds[i] != component_kind(r->component))
            r->also[r->n_also++] = component_kind_title(kinds[i]);
}

/* Names of repeated blocks, as any naming stores them. */
static const char *const block_prefixes[] = {
    "transformer_blocks.",
    "single_transformer_blocks.",
    "double_blocks.",
    "single_blocks.",
    "layers.",
    "visual.blocks.",
    "v.blk.",
    "blk.",
};

/* If name is "...PREFIX0.REST", the length of what stands before the 0; else 0. */
static size_t first_block_at(const char *name)
{
    for (size_t i = 0; i < sizeof block_prefixes / sizeof block_prefixes[0]; i++) {
        size_t n = strlen(block_prefixes[i]);
        const char *at = strstr(name, block_prefixes[i]);
        if (at && (at == name || at[-1] == '.') && at[n] == '0' && at[n + 1] == '.')
            return (size_t)(at - name) + n;
    }
    return 0;
}

/* Block k of a tensor of block 0, whose name is cut before the 0. */
static void check_block(struct inspect_report *r, const struct weights_tensor *t, size_t cut,
                        int64_t k)
{
    char name[CATALOGUE_MAX_NAME_BYTES + 32];
    (void)snprintf(name, sizeof name, "%.*s%" PRId64 "%s", (int)cut, t->name, k, t->name + cut + 1);
    const struct weights_tensor *u = checkpoint_find(r->cp, name);
    if (!u) {
        inspect_problem(r, "'%s' is missing", name);
        return;
    }
    struct weights_tensor a = values_of(r, t), b = values_of(r, u);
    if (a.n_dims != b.n_dims || memcmp(a.dims, b.dims, sizeof a.dims) != 0)
        inspect_problem(r, "'%s' is %s, '%s' is %s", name, catalogue_shape(b.dims, b.n_dims).z,
                        t->name, catalogue_shape(a.dims, a.n_dims).z);
}

/* Repeated blocks are all alike: what block 0 has, the others must have, in the same shape. Scales are each
 * block's own. */
static void check_blocks(struct inspect_report *r)
{
    char name[CATALOGUE_MAX_NAME_BYTES + 32];
    for (size_t i = 0; i < checkpoint_count(r->cp); i++) {
        const struct weights_tensor *t = checkpoint_at(r->cp, i);
        size_t n = first_block_at(t->name);
        if (n == 0 || quantised_describes(r->cp, t->name))
            continue;
        for (int64_t k = 1;; k++) {
            (void)snprintf(name, sizeof name, "%.*s%" PRId64 ".", (int)n, t->name, k);
            if (!component_any_begins(r->cp, name))
                break;
            check_block(r, t, n, k);
        }
    }
}

/* What changes a network is none, and no problem either. */
static void look_for_lora(const char *path, struct inspect_report *r)
{
    struct lora *l = NULL;
    struct lora_facts f;
    struct err why = {0};
    if (lora_open(path, &l, &why) != ERR_OK) {
        inspect_problem(r, "%s", why.text);
        return;
    }
    lora_facts(l, &f);
    lora_describe(&f, r->lora, sizeof r->lora);
    r->serves = "lora";
    lora_close(l);
}

static enum err_code collect(const char *path, struct inspect_report *r, struct err *e)
{
    struct err why = {0};
    TRY(checkpoint_open(path, &r->cp, e));
    add_sizes(r);
    enum err_code rc = component_open(path, COMPONENT_UNKNOWN, &r->component, &why);
    if (rc == ERR_NOMEM) {
        if (e)
            *e = why;
        return rc;
    }
    if (rc == ERR_OK) {
        add_serves(r);
        add_widened(r);
        add_leftovers(r);
        add_others(r);
    } else if (lora_is(r->cp)) {
        look_for_lora(path, r);
    } else {
        inspect_problem(r, "%s", why.text);
    }
    count_parameters(r);
    if (!r->lora[0])
        check_blocks(r);
    return ERR_OK;
}

static struct inspect_report *report_new(const char *path, struct err *e)
{
    struct inspect_report *r = mem_try_alloc(sizeof *r);
    if (!r)
        (void)err_set(e, ERR_NOMEM, "no memory to inspect '%s'", path);
    else
        r->path = path;
    return r;
}

static void report_free(struct inspect_report *r)
{
    if (!r)
        return;
    component_close(r->component);
    checkpoint_close(r->cp);
    mem_free(r);
}

/* ---- pipelines --------------------------------------------------------------------------------- */

/* Does a network stand in the folder of another? */
static void check_role(struct inspect_report *r)
{
    const char *slash = r->serves ? strrchr(r->serves, '/') : NULL;
    if (slash && strcmp(slash + 1, r->role) != 0)
        inspect_problem(r, "a %s stands where the %s should be",
                        component_kind_title(component_kind(r->component)), r->role);
}

static enum err_code inspect_part(const char *dir, yyjson_val *key, yyjson_val *v, bool as_json,
                                  size_t max_tensors, struct buf *out, struct err *e)
{
    char path[INSPECT_PATH_BYTES];
    struct err why = {0};
    const char *name = yyjson_get_str(key);
    enum err_code rc = file_join(path, sizeof path, dir, name, e);
    struct inspect_report *r = rc == ERR_OK ? report_new(path, e) : NULL;
    if (!r)
        return rc == ERR_OK ? ERR_NOMEM : rc;
    buf_add_z(out, as_json ? "" : "\n");
    r->role = name;
    r->class_name = yyjson_get_str(yyjson_arr_get(v, 1));
    rc = file_is_dir(path) ? collect(path, r, &why)
                           : err_set(&why, ERR_NOTFOUND, "the folder '%s' is missing", path);
    /* Schedulers and tokenizers have no weights, and need none. */
    bool has_weights =
        strstr(name, "encoder") || strstr(name, "transformer") || strstr(name, "vae");
    if (rc != ERR_OK && (has_weights || rc != ERR_NOTFOUND || !file_is_dir(path)))
        inspect_problem(r, "%s", why.text);
    check_role(r);
    if (as_json)
        inspect_json(r, max_tensors, out);
    else
        inspect_text(r, max_tensors, out);
    report_free(r);
    return rc == ERR_NOMEM ? err_set(e, ERR_NOMEM, "%s", why.text) : ERR_OK;
}

/* "transformer": ["diffusers", "Flux2Transformer2DModel"]; [null, null] is a part left out. */
static bool is_part(yyjson_val *key, yyjson_val *v)
{
    const char *name = yyjson_get_str(key);
    return yyjson_arr_size(v) == 2 && yyjson_is_str(yyjson_arr_get(v, 1)) && name[0] != '\0' &&
           name[0] != '.' && !strchr(name, '/') && strlen(name) == yyjson_get_len(key);
}

static enum err_code inspect_pipeline(const char *dir, const char *index, bool as_json,
                                      size_t max_tensors, struct buf *out, struct err *e)
{
    yyjson_doc *doc = NULL;
    struct str class_name = STR_LIT("?");
    enum err_code rc = json_read_file(index, (size_t)1 << 20, &doc, e);
    yyjson_val *root = yyjson_doc_get_root(doc), *key, *v;
    if (rc == ERR_OK)
        rc = json_get_str(root, "_class_name", &class_name, index, e);
    inspect_pipeline_begin(dir, class_name, as_json, out);
    size_t i, n;
    yyjson_obj_foreach(root, i, n, key, v)
    {
        if (rc != ERR_OK || !is_part(key, v))
            continue;
        rc = inspect_part(dir, key, v, as_json, max_tensors, out, e);
    }
    inspect_pipeline_end(as_json, out);
    yyjson_doc_free(doc);
    return rc;
}

enum err_code inspect_path(const char *path, bool as_json, size_t max_tensors, struct buf *out,
                           struct err *e)
{
    char index[INSPECT_PATH_BYTES];
    enum err_code rc = file_join(index, sizeof index, path, "model_index.json", e);
    if (rc != ERR_OK)
        return rc;
    if (file_exists(index)) {
        rc = inspect_pipeline(path, index, as_json, max_tensors, out, e);
    } else {
        struct inspect_report *r = report_new(path, e);
        rc = r ? collect(path, r, e) : ERR_NOMEM;
        if (rc == ERR_OK && as_json)
            inspect_json(r, max_tensors, out);
        else if (rc == ERR_OK)
            inspect_text(r, max_tensors, out);
        report_free(r);
    }
    if (rc == ERR_OK && buf_failed(out))
        return err_set(e, ERR_NOMEM, "no memory for the report on '%s'", path);
    return rc;
}
