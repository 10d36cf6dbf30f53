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
        int64_t n = 1;
        for (int k = 0; k < t->n_dims; k++)
            n *= t->dims[k];
        r->bytes += t->bytes;
        r->bytes_by_dtype[t->dtype] += t->bytes;
        if (dtype_info(t->dtype)->is_float && n > 1) /* single numbers are scales */
            r->parameters += (uint64_t)n;
    }
}

/* Which place in which pipeline the network can take. */
static void add_serves(struct inspect_report *r)
{
    const struct component *c = r->component;
    bool layered = component_has(c, "time_text_embed.addition_t_embedding.weight");
    bool rgba = component_dim(c, "decoder.conv_out.weight", 0) == 4;
    switch (component_kind(c)) {
    case COMPONENT_FLUX2_TRANSFORMER:
        r->serves = "flux2-klein/transformer";
        break;
    case COMPONENT_FLUX2_VAE:
        r->serves = "flux2-klein/vae";
        break;
    case COMPONENT_QWEN3:
        r->serves = "flux2-klein/text_encoder";
        break;
    case COMPONENT_QWEN_IMAGE_TRANSFORMER:
        r->serves = layered ? "qwen-image-layered/transformer" : NULL;
        if (!layered)
            inspect_problem(r, "this is plain Qwen-Image: the layered model has a "
                               "time_text_embed.addition_t_embedding");
        break;
    case COMPONENT_QWEN_IMAGE_VAE:
        r->serves = rgba ? "qwen-image-layered/vae" : NULL;
        if (!rgba)
            inspect_problem(
                r, "this VAE makes pictures of %" PRId64 " channels: the layered model's makes 4",
                component_dim(c, "decoder.conv_out.weight", 0));
        break;
    case COMPONENT_QWEN2_5_VL:
        r->serves = "qwen-image-layered/text_encoder";
        break;
    case COMPONENT_QWEN2_5_VL_VISION:
        r->serves = "qwen-image-layered/vision";
        break;
    default:
        break;
    }
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

/* Repeated blocks are all alike: what block 0 has, the others must have, in the same shape. */
static void check_blocks(struct inspect_report *r)
{
    char name[CATALOGUE_MAX_NAME_BYTES + 32];
    for (size_t i = 0; i < checkpoint_count(r->cp); i++) {
        const struct weights_tensor *t = checkpoint_at(r->cp, i);
        size_t n = first_block_at(t->name);
        if (n == 0)
            continue;
        for (int64_t k = 1;; k++) {
            (void)snprintf(name, sizeof name, "%.*s%" PRId64 ".", (int)n, t->name, k);
            if (!component_any_begins(r->cp, name))
                break;
            (void)snprintf(name, sizeof name, "%.*s%" PRId64 "%s", (int)n, t->name, k,
                           t->name + n + 1);
            const struct weights_tensor *u = checkpoint_find(r->cp, name);
            if (!u)
                inspect_problem(r, "'%s' is missing", name);
            else if (u->n_dims != t->n_dims || memcmp(u->dims, t->dims, sizeof u->dims) != 0)
                inspect_problem(r, "'%s' is %s, '%s' is %s", name,
                                catalogue_shape(u->dims, u->n_dims).z, t->name,
                                catalogue_shape(t->dims, t->n_dims).z);
        }
    }
}

static void check_dtypes(struct inspect_report *r)
{
    for (size_t i = 0; i < checkpoint_count(r->cp); i++) {
        const struct weights_tensor *t = checkpoint_at(r->cp, i);
        if (!dtype_info(t->dtype)->is_float && str_ends(str_from(t->name), STR_LIT(".weight")))
            inspect_problem(r, "'%s' is %s, which is no type for weights", t->name,
                            dtype_info(t->dtype)->name);
    }
}

static enum err_code collect(const char *path, struct inspect_report *r, struct err *e)
{
    struct err why = {0};
    enum err_code rc = checkpoint_open(path, &r->cp, e);
    if (rc != ERR_OK)
        return rc;
    add_sizes(r);
    rc = component_open(path, COMPONENT_UNKNOWN, &r->component, &why);
    if (rc == ERR_NOMEM) {
        if (e)
            *e = why;
        return rc;
    }
    if (rc == ERR_OK)
        add_serves(r);
    else
        inspect_problem(r, "%s", why.text);
    check_blocks(r);
    check_dtypes(r);
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
    /* Schedulers and tokenizers have no weights, which is no problem. */
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
    size_t i, n, parts = 0;
    yyjson_obj_foreach(root, i, n, key, v)
    {
        if (rc != ERR_OK || !is_part(key, v))
            continue;
        buf_add_z(out, as_json && parts++ ? ", " : "");
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
    if (rc == ERR_OK && as_json)
        buf_add_byte(out, '\n');
    if (rc == ERR_OK && buf_failed(out))
        return err_set(e, ERR_NOMEM, "no memory for the report on '%s'", path);
    return rc;
}
