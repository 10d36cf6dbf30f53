/* assemble.c - the small folder that makes an assembled model one: linked/NAME/veetance.json, written from
 * where its components are at this moment, and only when that has changed. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "library/impl.h"

/* Qwen-Image-Layered's published scheduler; klein's is the program's default. */
static const char layered_scheduler[] = "{\n"
                                        "  \"_class_name\": \"FlowMatchEulerDiscreteScheduler\",\n"
                                        "  \"base_image_seq_len\": 256,\n"
                                        "  \"base_shift\": 0.5,\n"
                                        "  \"max_image_seq_len\": 8192,\n"
                                        "  \"max_shift\": 0.9,\n"
                                        "  \"num_train_timesteps\": 1000,\n"
                                        "  \"shift\": 1.0,\n"
                                        "  \"shift_terminal\": 0.02,\n"
                                        "  \"time_shift_type\": \"exponential\",\n"
                                        "  \"use_dynamic_shifting\": true\n"
                                        "}\n";

enum { TEXT_MAX_BYTES = 1 << 20 };

enum err_code models_assembled_dir(const struct models *m, const char *name,
                                   char out[MODELS_PATH_BYTES], struct err *e)
{
    char linked[MODELS_PATH_BYTES];
    TRY(file_join(linked, sizeof linked, m->dir, "linked", e));
    return file_join(out, MODELS_PATH_BYTES, linked, name, e);
}

void models_disassemble(const struct models *m, const char *name)
{
    static const char *const parts[] = {"veetance.json", "scheduler/scheduler_config.json",
                                        "scheduler"};
    char dir[MODELS_PATH_BYTES], path[MODELS_PATH_BYTES];
    if (models_assembled_dir(m, name, dir, NULL) != ERR_OK)
        return;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (file_join(path, sizeof path, dir, parts[i], NULL) == ERR_OK)
            (void)remove(path);
    (void)rmdir(dir);
}

/* Leaves a file alone that is right already, so that a read-only home does. */
static enum err_code write_if_other(const char *path, struct str text, struct err *e)
{
    struct buf have;
    buf_init(&have, TEXT_MAX_BYTES);
    bool same = file_exists(path) && file_read(path, TEXT_MAX_BYTES, &have, NULL) == ERR_OK &&
                str_eq(buf_str(&have), text);
    buf_deinit(&have);
    if (same)
        return ERR_OK;
    TRY(folder_make_parents(path, 0700, e));
    return file_write_atomic(path, text.p, text.n, e);
}

static void add_components(const struct models *m, const struct models_model *x, yyjson_mut_doc *d,
                           yyjson_mut_val *root)
{
    yyjson_mut_val *parts = yyjson_mut_obj_add_obj(d, root, "components");
    for (int r = 0; r < MODELS_ROLES; r++) {
        char path[MODELS_PATH_BYTES];
        const struct models_component *c = models_component(m, x->parts[r]);
        if (c && models_component_state(c, path) == MODELS_READY)
            (void)yyjson_mut_obj_add_strcpy(d, parts, models_role_name((enum models_role)r), path);
    }
}

/* The model's folder: where it was, else the one around the place where its transformer is now. */
static bool find_base(const struct models *m, const struct models_model *x,
                      char out[MODELS_PATH_BYTES])
{
    const struct models_component *c = models_component(m, x->parts[MODELS_TRANSFORMER]);
    if (!x->path[0])
        return false;
    if (models_is_folder(x->path)) {
        memcpy(out, x->path, strlen(x->path) + 1);
        return true;
    }
    if (!c || models_component_state(c, out) != MODELS_READY)
        return false;
    char *slash = strrchr(out, '/');
    if (!slash || slash == out)
        return false;
    *slash = 0;
    return models_is_folder(out);
}

/* What the folder says now, else what it said when it was last seen. Of single files nothing is to be known; of a
 * folder it must be: whether a klein model is distilled is not in its weights. */
static enum err_code find_settings(struct models *m, const struct models_model *x, const char *base,
                                   yyjson_doc **out, struct err *e)
{
    const char *text = base[0] ? models_settings_of(m, base) : NULL;
    if (!text)
        text = x->settings;
    *out = NULL;
    if (text)
        return json_parse(str_from(text), "settings", out, e);
    if (!x->path[0])
        return ERR_OK;
    return err_set(e, ERR_NOTFOUND,
                   "its folder '%s' is gone, and what that said (is it distilled?) is not known; "
                   "`veetance models add PATH` where the folder is now",
                   x->path);
}

static enum err_code make_text(const struct models *m, const struct models_model *x,
                               const char *base, yyjson_val *settings, struct buf *out,
                               struct err *e)
{
    static const char *const keys[] = {"is_distilled", "reference_cache", "defaults"};
    yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    yyjson_mut_doc_set_root(d, root);
    yyjson_doc *chosen = NULL;
    if (x->chosen && json_parse(str_from(x->chosen), "chosen", &chosen, e) != ERR_OK) {
        yyjson_mut_doc_free(d);
        return ERR_FORMAT;
    }
    (void)yyjson_mut_obj_add_str(d, root, "name", x->name);
    (void)yyjson_mut_obj_add_str(d, root, "pipeline", x->pipeline);
    if (base[0])
        (void)yyjson_mut_obj_add_str(d, root, "base", base);
    if (!settings && strcmp(x->pipeline, "klein") == 0)
        (void)yyjson_mut_obj_add_bool(d, root, keys[0], x->distilled);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        yyjson_val *v = yyjson_obj_get(yyjson_doc_get_root(chosen), keys[i]);
        if (v)
            (void)yyjson_mut_obj_remove_key(root, keys[i]);
        else
            v = yyjson_obj_get(settings, keys[i]);
        if (v)
            (void)yyjson_mut_obj_add_val(d, root, keys[i], yyjson_val_mut_copy(d, v));
    }
    add_components(m, x, d, root);
    enum err_code rc = json_write(d, out, e);
    yyjson_mut_doc_free(d);
    yyjson_doc_free(chosen);
    return rc;
}

/* The folder's schedule; without one the published one of Qwen-Image-Layered. klein's is built in. */
static enum err_code write_scheduler(const struct models_model *x, const char *dir,
                                     yyjson_val *settings, struct err *e)
{
    char path[MODELS_PATH_BYTES];
    struct buf text;
    yyjson_val *own = yyjson_obj_get(settings, "scheduler");
    if (!own && strcmp(x->pipeline, "layered") != 0)
        return ERR_OK;
    buf_init(&text, TEXT_MAX_BYTES);
    enum err_code rc = file_join(path, sizeof path, dir, "scheduler/scheduler_config.json", e);
    if (rc == ERR_OK && own) {
        yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
        yyjson_mut_doc_set_root(d, yyjson_val_mut_copy(d, own));
        rc = json_write(d, &text, e);
        yyjson_mut_doc_free(d);
    }
    if (rc == ERR_OK)
        rc = write_if_other(path, own ? buf_str(&text) : STR_LIT(layered_scheduler), e);
    buf_deinit(&text);
    return rc;
}

enum err_code models_assemble(struct models *m, const struct models_model *x,
                              char out[MODELS_PATH_BYTES], struct err *e)
{
    char path[MODELS_PATH_BYTES], base[MODELS_PATH_BYTES];
    yyjson_doc *settings = NULL;
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    if (!find_base(m, x, base))
        base[0] = 0;
    enum err_code rc;
    TRY_GOTO(find_settings(m, x, base, &settings, e), done);
    TRY_GOTO(models_assembled_dir(m, x->name, out, e), done);
    TRY_GOTO(make_text(m, x, base, yyjson_doc_get_root(settings), &text, e), done);
    TRY_GOTO(file_join(path, sizeof path, out, "veetance.json", e), done);
    TRY_GOTO(write_if_other(path, buf_str(&text), e), done);
    rc = write_scheduler(x, out, yyjson_doc_get_root(settings), e);
done:
    yyjson_doc_free(settings);
    buf_deinit(&text);
    return rc == ERR_OK ? rc : err_note(e, "model '%s'", x->name);
}
