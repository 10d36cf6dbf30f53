/* settings.c - what a model's folder says about it besides its parts: is it distilled, its defaults, its
 * schedule. models.json keeps a copy, because nothing in the weights tells these, and the folder may be gone while
 * every part is still there. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "library/impl.h"

enum { FILE_MAX_BYTES = 1 << 20 };

/* NULL when there is no such file, or none that can be read: the pipeline says what is wrong with it. */
static yyjson_doc *read_in(const char *dir, const char *name)
{
    char path[MODELS_PATH_BYTES];
    yyjson_doc *doc = NULL;
    if (file_join(path, sizeof path, dir, name, NULL) != ERR_OK || !file_exists(path) ||
        json_read_file(path, FILE_MAX_BYTES, &doc, NULL) != ERR_OK)
        return NULL;
    return doc;
}

static void put(yyjson_mut_doc *d, yyjson_mut_val *root, const char *key, yyjson_val *v)
{
    if (v && !yyjson_is_null(v))
        (void)yyjson_mut_obj_put(root, yyjson_mut_strcpy(d, key), yyjson_val_mut_copy(d, v));
}

/* What the diffusers files of a folder say. */
static void from_diffusers(const char *dir, yyjson_mut_doc *d, yyjson_mut_val *root)
{
    yyjson_doc *doc = read_in(dir, "model_index.json");
    yyjson_val *index = yyjson_doc_get_root(doc);
    const char *class_name = yyjson_get_str(yyjson_obj_get(index, "_class_name"));
    if (class_name && strcmp(class_name, "Flux2KleinKVPipeline") == 0) {
        (void)yyjson_mut_obj_put(root, yyjson_mut_str(d, "is_distilled"), yyjson_mut_true(d));
        (void)yyjson_mut_obj_put(root, yyjson_mut_str(d, "reference_cache"), yyjson_mut_true(d));
    }
    put(d, root, "is_distilled", yyjson_obj_get(index, "is_distilled"));
    yyjson_doc_free(doc);
    doc = read_in(dir, "scheduler/scheduler_config.json");
    put(d, root, "scheduler", yyjson_doc_get_root(doc));
    yyjson_doc_free(doc);
}

/* In the order in which model_dir_open believes them: the base, the folder, its veetance.json. */
static void gather(const char *dir, yyjson_mut_doc *d, yyjson_mut_val *root)
{
    static const char *const keys[] = {"is_distilled", "reference_cache", "defaults"};
    char base[MODELS_PATH_BYTES];
    yyjson_doc *doc = read_in(dir, "veetance.json");
    yyjson_val *own = yyjson_doc_get_root(doc);
    const char *named = yyjson_get_str(yyjson_obj_get(own, "base"));
    if (named) {
        int n = snprintf(base, sizeof base, "%s%s%s", named[0] == '/' ? "" : dir,
                         named[0] == '/' ? "" : "/", named);
        if (n > 0 && (size_t)n < sizeof base)
            from_diffusers(base, d, root);
    }
    from_diffusers(dir, d, root);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        put(d, root, keys[i], yyjson_obj_get(own, keys[i]));
    yyjson_doc_free(doc);
}

static enum err_code read_choice(const char *key, const char *value, const char **out_key, bool *on,
                                 struct err *e)
{
    static const struct {
        const char *word, *key;
    } keys[] = {{"distilled", "is_distilled"},
                {"is_distilled", "is_distilled"},
                {"reference_cache", "reference_cache"}};
    *out_key = NULL;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(key, keys[i].word) == 0)
            *out_key = keys[i].key;
    if (!*out_key)
        return err_set(e, ERR_ARG, "'%.40s' cannot be set; distilled and reference_cache can", key);
    *on = strcmp(value, "yes") == 0 || strcmp(value, "true") == 0;
    if (*on || strcmp(value, "no") == 0 || strcmp(value, "false") == 0)
        return ERR_OK;
    return err_set(e, ERR_ARG, "%s is yes or no, not '%.40s'", key, value);
}

enum err_code models_set(struct models *m, const char *name, const char *key, const char *value,
                         struct err *e)
{
    struct models_model *x = models_find(m, name);
    const char *own;
    bool on;
    if (!x)
        return err_set(e, ERR_NOTFOUND, "the model store has no '%.100s'", name);
    TRY(read_choice(key, value, &own, &on, e));
    if (strcmp(x->pipeline, "klein") != 0)
        return err_set(e, ERR_ARG, "'%s' is not a klein model; '%s' applies only to those", name,
                       key);
    yyjson_doc *doc = NULL;
    if (x->chosen)
        TRY(json_parse(str_from(x->chosen), "chosen", &doc, e));
    yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root =
        doc ? yyjson_val_mut_copy(d, yyjson_doc_get_root(doc)) : yyjson_mut_obj(d);
    yyjson_mut_doc_set_root(d, root);
    (void)yyjson_mut_obj_put(root, yyjson_mut_str(d, own), yyjson_mut_bool(d, on));
    struct buf text;
    buf_init(&text, MODELS_SETTINGS_BYTES);
    enum err_code rc;
    TRY_GOTO(json_write(d, &text, e), done);
    x->chosen = models_keep(m, buf_z(&text));
done:
    buf_deinit(&text);
    yyjson_mut_doc_free(d);
    yyjson_doc_free(doc);
    return rc;
}

const char *models_settings_of(struct models *m, const char *dir)
{
    yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    yyjson_mut_doc_set_root(d, root);
    gather(dir, d, root);
    struct buf text;
    buf_init(&text, MODELS_SETTINGS_BYTES);
    const char *kept = json_write(d, &text, NULL) == ERR_OK ? models_keep(m, buf_z(&text)) : NULL;
    buf_deinit(&text);
    yyjson_mut_doc_free(d);
    return kept;
}
