/* lora_alpha.c - what diffusers and peft say about a LoRA beside its tensors: alpha for the modules without one.
 *
 * diffusers writes it into the file's header (lora_adapter_metadata, its keys begin with "transformer."), peft into
 * adapter_config.json beside the file. Both name the rank as well, which the tensors tell better. */
#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "base/json.h"
#include "weights/lora_impl.h"

/* Each of the patterns is compared with each of the modules. */
enum { CONFIG_MAX_BYTES = 1 << 20, PATH_BYTES = 4096, MAX_PATTERNS = 4096 };

static const char what_header[] = "lora_adapter_metadata";
static const char config_name[] = "adapter_config.json";

struct settings {
    const char *what, *prefix;
    yyjson_val *root;
    double alpha; /* NaN: not said */
    bool by_root; /* scale by the square root of the rank */
};

/* The value of a key, after the prefix. */
static yyjson_val *get(const struct settings *s, const char *key)
{
    char name[80];
    (void)snprintf(name, sizeof name, "%s%s", s->prefix, key);
    return yyjson_obj_get(s->root, name);
}

static bool is_true(const struct settings *s, const char *key)
{
    return yyjson_is_true(get(s, key));
}

static bool is_plain_name(const char *s)
{
    return s[strcspn(s, "^$*+?[](){}|\\")] == '\0';
}

/* Does the module end with the name, at a dot? */
static bool is_called(const char *module, const char *name)
{
    size_t n = strlen(module), k = strlen(name);
    return n >= k && strcmp(module + n - k, name) == 0 && (n == k || module[n - k - 1] == '.');
}

/* alpha_pattern: alphas of some modules. peft reads the names as expressions; only names as such are understood. */
static enum err_code check_pattern(const struct settings *s, struct err *e)
{
    yyjson_val *pattern = get(s, "alpha_pattern"), *k, *v;
    size_t i, n;
    if (!yyjson_is_obj(pattern))
        return ERR_OK;
    if (yyjson_obj_size(pattern) > MAX_PATTERNS)
        return err_set(e, ERR_FORMAT, "%s: alpha_pattern has %zu entries, at most %d are read",
                       s->what, yyjson_obj_size(pattern), MAX_PATTERNS);
    yyjson_obj_foreach(pattern, i, n, k, v)
    {
        if (!is_plain_name(yyjson_get_str(k)) || !yyjson_is_num(v))
            return err_set(e, ERR_FORMAT, "%s: the alpha_pattern '%.100s' is not understood",
                           s->what, yyjson_get_str(k));
    }
    return ERR_OK;
}

static double alpha_of(const struct settings *s, const char *module)
{
    yyjson_val *pattern = get(s, "alpha_pattern"), *k, *v;
    size_t i, n;
    if (yyjson_is_obj(pattern)) {
        yyjson_obj_foreach(pattern, i, n, k, v)
        {
            if (is_called(module, yyjson_get_str(k)))
                return yyjson_get_num(v);
        }
    }
    return s->alpha;
}

static enum err_code apply(struct lora *l, struct settings *s, struct err *e)
{
    yyjson_val *alpha = get(s, "lora_alpha");
    if (is_true(s, "use_dora"))
        return err_set(e, ERR_FORMAT, "%s says that it is a DoRA, which is not supported", s->what);
    s->alpha = yyjson_is_num(alpha) ? yyjson_get_num(alpha) : (double)NAN;
    s->by_root = is_true(s, "use_rslora");
    TRY(check_pattern(s, e));
    for (size_t i = 0; i < l->n_modules; i++) {
        struct lora_module *m = &l->modules[i];
        double own = alpha_of(s, m->name);
        if (m->parts[PART_ALPHA] || m->form != FORM_LOW_RANK || !isfinite(own))
            continue;
        double rank = (double)m->rank;
        m->scale = (float)(own / (s->by_root ? sqrt(rank) : rank));
        if (!isfinite(m->scale))
            return err_set(e, ERR_FORMAT, "%s: the alpha %g makes no sense", s->what, own);
    }
    return ERR_OK;
}

static enum err_code from_header(struct lora *l, bool *there, struct err *e)
{
    struct settings s = {.what = what_header, .prefix = "transformer."};
    struct str text;
    yyjson_doc *doc;
    *there = checkpoint_meta_str(l->cp, what_header, &text);
    if (!*there)
        return ERR_OK;
    TRY(json_parse(text, what_header, &doc, e));
    s.root = yyjson_doc_get_root(doc);
    enum err_code rc = apply(l, &s, e);
    yyjson_doc_free(doc);
    return rc;
}

static enum err_code from_config(struct lora *l, struct err *e)
{
    struct settings s = {.what = config_name, .prefix = ""};
    char path[PATH_BYTES];
    yyjson_doc *doc;
    const char *file = checkpoint_file_path(l->cp, 0), *slash = file ? strrchr(file, '/') : NULL;
    int n =
        slash ? snprintf(path, sizeof path, "%.*s/%s", (int)(slash - file), file, config_name) : -1;
    if (n < 0 || (size_t)n >= sizeof path || !file_exists(path))
        return ERR_OK;
    TRY(json_read_file(path, CONFIG_MAX_BYTES, &doc, e));
    s.root = yyjson_doc_get_root(doc);
    enum err_code rc = apply(l, &s, e);
    yyjson_doc_free(doc);
    return rc;
}

/* peft's file lies in a folder of its own, and alone has names that begin so. */
static bool is_of_peft(const struct lora *l)
{
    return l->n_modules > 0 && strncmp(l->modules[0].name, "base_model.model.", 17) == 0;
}

enum err_code lora_read_settings(struct lora *l, struct err *e)
{
    bool there;
    TRY(from_header(l, &there, e));
    return !there && is_of_peft(l) ? from_config(l, e) : ERR_OK;
}
