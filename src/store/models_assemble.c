/* models_assemble.c - the small folder that makes an assembled model one: linked/NAME/veetance.json, written from
 * where its components are at this moment, and only when that has changed. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/home.h"
#include "base/json.h"
#include "base/json_write.h"
#include "store/models_impl.h"

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
    enum err_code rc = file_join(linked, sizeof linked, m->dir, "linked", e);
    return rc == ERR_OK ? file_join(out, MODELS_PATH_BYTES, linked, name, e) : rc;
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
    enum err_code rc = home_make_parents(path, e);
    return rc == ERR_OK ? file_write_atomic(path, text.p, text.n, e) : rc;
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

/* What the model's own veetance.json says besides its parts goes along. */
static void add_own_words(const char *dir, yyjson_mut_doc *d, yyjson_mut_val *root)
{
    static const char *const keys[] = {"is_distilled", "reference_cache", "defaults"};
    char path[MODELS_PATH_BYTES];
    yyjson_doc *own;
    if (file_join(path, sizeof path, dir, "veetance.json", NULL) != ERR_OK ||
        json_read_file(path, TEXT_MAX_BYTES, &own, NULL) != ERR_OK)
        return;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        yyjson_val *v = yyjson_obj_get(yyjson_doc_get_root(own), keys[i]);
        if (v)
            (void)yyjson_mut_obj_add_val(d, root, keys[i], yyjson_val_mut_copy(d, v));
    }
    yyjson_doc_free(own);
}

static enum err_code make_text(const struct models *m, const struct models_model *x,
                               struct buf *out, struct err *e)
{
    yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    bool has_base = x->path[0] && file_is_dir(x->path);
    yyjson_mut_doc_set_root(d, root);
    (void)yyjson_mut_obj_add_str(d, root, "name", x->name);
    (void)yyjson_mut_obj_add_str(d, root, "pipeline", x->pipeline);
    if (has_base) {
        (void)yyjson_mut_obj_add_str(d, root, "base", x->path);
        add_own_words(x->path, d, root);
    } else if (strcmp(x->pipeline, "klein") == 0) {
        (void)yyjson_mut_obj_add_bool(d, root, "is_distilled", x->distilled);
    }
    add_components(m, x, d, root);
    enum err_code rc = json_write(d, out, e);
    yyjson_mut_doc_free(d);
    return rc;
}

enum err_code models_assemble(const struct models *m, const struct models_model *x,
                              char out[MODELS_PATH_BYTES], struct err *e)
{
    char path[MODELS_PATH_BYTES];
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    enum err_code rc = models_assembled_dir(m, x->name, out, e);
    if (rc == ERR_OK)
        rc = make_text(m, x, &text, e);
    if (rc == ERR_OK)
        rc = file_join(path, sizeof path, out, "veetance.json", e);
    if (rc == ERR_OK)
        rc = write_if_other(path, buf_str(&text), e);
    if (rc == ERR_OK && strcmp(x->pipeline, "layered") == 0 && !file_is_dir(x->path)) {
        rc = file_join(path, sizeof path, out, "scheduler/scheduler_config.json", e);
        if (rc == ERR_OK)
            rc = write_if_other(path, STR_LIT(layered_scheduler), e);
    }
    buf_deinit(&text);
    return rc == ERR_OK ? rc : err_note(e, "model '%s'", x->name);
}
