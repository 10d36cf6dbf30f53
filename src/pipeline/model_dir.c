/* model_dir.c - a model's name to the files of its components; see model_dir.h.
 *
 * For each component the first source that names it wins: veetance.json, then the folder that it gives as base,
 * then the model's own subfolders. Only fields that are still empty are filled. A tokenizer that nobody named
 * comes from the text encoder's GGUF file, else from the program, unless the vocabulary is a miniature's. At the
 * end every file must exist, so that a missing one is reported before any weight is read. Settings (is it
 * distilled, the schedule) go the other way round: base, own folder, veetance.json, and the last one that says
 * something counts.
 */
#include "pipeline/model_dir.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "pipeline/tokenizer_gguf.h"
#include "text/builtin.h"
#include "weights/component.h"

enum { CONFIG_MAX_BYTES = 4 << 20 };

/* ---- where a model lies ---------------------------------------------------------------------------- */

static bool copy_path(char *out, const char *s)
{
    int n = snprintf(out, MODEL_PATH_BYTES, "%s", s);
    return n >= 0 && n < MODEL_PATH_BYTES;
}

/* DIR/NAME if that is a folder. */
static bool try_folder(const char *dir, const char *name, char *out)
{
    return file_join(out, MODEL_PATH_BYTES, dir, name, NULL) == ERR_OK && file_is_dir(out);
}

/* Embedded models lie in VEETANCE_MODELS, or beside the program: in the source tree's models/, or in
 * ../share/veetance/models. The i-th of these folders; false: there are no more. */
static bool embedded_place(size_t i, char *out)
{
    static const char *const places[] = {"../models", "../share/veetance/models", "../../models"};
    char exe[MODEL_PATH_BYTES];
    const char *own = getenv("VEETANCE_MODELS");
    if (i == 0)
        return copy_path(out, own && *own ? own : "");
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0 || i > sizeof places / sizeof places[0])
        return false;
    exe[n] = 0;
    char *slash = strrchr(exe, '/');
    if (slash)
        *slash = 0;
    return file_join(out, MODEL_PATH_BYTES, exe, places[i - 1], NULL) == ERR_OK;
}

bool model_embedded_find(const char *name, char out[MODEL_PATH_BYTES])
{
    char dir[MODEL_PATH_BYTES];
    if (!*name || strchr(name, '/') || name[0] == '.')
        return false;
    for (size_t i = 0; embedded_place(i, dir); i++)
        if (dir[0] && try_folder(dir, name, out))
            return true;
    return false;
}

/* Is it a model, and the one that its name finds (not hidden by a folder that goes before)? */
static bool is_embedded(const char *dir, const char *name)
{
    static const char *const signs[] = {"model_index.json", "veetance.json"};
    char path[MODEL_PATH_BYTES], found[MODEL_PATH_BYTES], file[MODEL_PATH_BYTES];
    bool model = false;
    if (name[0] == '.' || !try_folder(dir, name, path))
        return false;
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        model = model ||
                (file_join(file, sizeof file, path, signs[i], NULL) == ERR_OK && file_exists(file));
    return model && model_embedded_find(name, found) && strcmp(found, path) == 0;
}

void model_embedded_each(void (*visit)(const char *name, void *user), void *user)
{
    char dir[MODEL_PATH_BYTES];
    for (size_t i = 0; embedded_place(i, dir); i++) {
        DIR *d = dir[0] ? opendir(dir) : NULL;
        for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d))
            if (is_embedded(dir, f->d_name))
                visit(f->d_name, user);
        if (d)
            (void)closedir(d);
    }
}

static enum err_code locate(const char *model, char *out, struct err *e)
{
    char found[MODEL_PATH_BYTES];
    if (!model || !*model)
        return err_set(e, ERR_ARG, "no model is named; give one with -m, e.g. -m micro-klein");
    if (!file_is_dir(model)) {
        if (file_exists(model))
            return err_set(
                e, ERR_ARG,
                "'%s' is a file; a model is a folder (for a single-file transformer write a "
                "veetance.json that names it)",
                model);
        if (!model_embedded_find(model, found))
            return err_set(e, ERR_NOTFOUND,
                           "there is no model '%s': neither a folder nor an embedded model", model);
        model = found;
    }
    char real[PATH_MAX];
    if (!realpath(model, real) || !copy_path(out, real))
        return err_set(e, ERR_NOTFOUND, "the model's path '%s' cannot be resolved", model);
    return ERR_OK;
}

/* ---- veetance.json ---------------------------------------------------------------------------------- */

/* Absent or an object. */
static enum err_code check_object(yyjson_val *v, const char *what, struct err *e)
{
    if (!v || yyjson_is_null(v) || yyjson_is_obj(v))
        return ERR_OK;
    return err_set(e, ERR_FORMAT, "%s should be an object, found %s", what,
                   yyjson_get_type_desc(v));
}

/* A path in veetance.json is relative to the folder that it stands in. */
static enum err_code resolve(const char *dir, struct str s, char *out, struct err *e)
{
    char tmp[MODEL_PATH_BYTES], native[MODEL_PATH_BYTES];
    if (s.n == 0 || s.n >= sizeof tmp || memchr(s.p, 0, s.n))
        return err_set(e, ERR_FORMAT, "veetance.json: a path of %zu bytes is %s", s.n,
                       s.n == 0           ? "empty"
                       : s.n < sizeof tmp ? "broken by a zero byte"
                                          : "too long");
    memcpy(tmp, s.p, s.n);
    tmp[s.n] = 0;
    if (!file_native_path(tmp, native, sizeof native))
        return err_set(e, ERR_LIMIT, "path too long");
    if (native[0] == '/')
        return copy_path(out, native) ? ERR_OK : err_set(e, ERR_LIMIT, "path too long");
    return file_join(out, MODEL_PATH_BYTES, dir, native, e);
}

/* "DIR" or "FILE", or {"weights": ..., "config": ...}. A folder's own config.json counts; a file's config is
 * the one named, else the base folder's, else one beside it. */
static enum err_code read_part(yyjson_val *components, const char *key, const char *dir,
                               struct model_part *part, struct err *e)
{
    yyjson_val *v = yyjson_obj_get(components, key);
    struct str weights = {0}, config = {0};
    if (!v || yyjson_is_null(v))
        return ERR_OK;
    if (yyjson_is_str(v)) {
        weights = (struct str){yyjson_get_str(v), yyjson_get_len(v)};
    } else {
        if (yyjson_is_obj(v)) {
            TRY(json_get_str(v, "weights", &weights, "veetance.json", e));
            TRY(json_get_str(v, "config", &config, "veetance.json", e));
        } else {
            return err_set(e, ERR_FORMAT,
                           "veetance.json: component '%s' should be a path or an object", key);
        }
    }
    if (weights.n) {
        TRY(resolve(dir, weights, part->weights, e));
        char beside[MODEL_PATH_BYTES];
        if (file_is_dir(part->weights) &&
            file_join(beside, sizeof beside, part->weights, "config.json", NULL) == ERR_OK &&
            file_exists(beside))
            copy_path(part->config, beside);
    }
    if (config.n)
        TRY(resolve(dir, config, part->config, e));
    return ERR_OK;
}

static enum err_code read_path(yyjson_val *obj, const char *key, const char *dir, char *out,
                               struct err *e)
{
    struct str s = {0};
    TRY(json_get_str(obj, key, &s, "veetance.json", e));
    return s.n ? resolve(dir, s, out, e) : ERR_OK;
}

static enum err_code read_defaults(yyjson_val *d, struct model_defaults *out, struct err *e)
{
    static const char what[] = "veetance.json: defaults";
    const struct {
        const char *key;
        int64_t *out, max;
    } ints[] = {
        {"width", &out->width, 2048},
        {"height", &out->height, 2048},
        {"steps", &out->steps, 1000},
        {"max_tokens", &out->max_tokens, 4096},
        {"resolution", &out->resolution, 16384},
        {"layers", &out->layers, 10},
    };
    struct str prompt = {0};
    TRY(check_object(d, what, e));
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++)
        TRY(json_get_i64(d, ints[i].key, 1, ints[i].max, ints[i].out, what, e));
    TRY(json_get_double(d, "cfg", 0, 100, &out->guidance, what, e)); /* its other name */
    TRY(json_get_double(d, "guidance", 0, 100, &out->guidance, what, e));
    TRY(json_get_str(d, "prompt", &prompt, what, e));
    if (prompt.n >= sizeof out->prompt)
        return err_set(e, ERR_LIMIT, "%s: the prompt has %zu bytes", what, prompt.n);
    if (prompt.n)
        memcpy(out->prompt, prompt.p, prompt.n + 1);
    return ERR_OK;
}

static enum err_code pipeline_from_name(struct str s, struct model_dir *m, struct err *e)
{
    if (str_starts(s, STR_LIT("klein")) || str_starts(s, STR_LIT("Flux2Klein")))
        m->pipeline = MODEL_PIPELINE_KLEIN;
    else if (str_starts(s, STR_LIT("layered")) || str_eq_z(s, "QwenImageLayeredPipeline"))
        m->pipeline = MODEL_PIPELINE_LAYERED;
    else
        return err_set(e, ERR_FORMAT,
                       "this is a model for '%.*s'; klein and layered pipelines are supported",
                       STR_ARG(s));
    return ERR_OK;
}

/* ---- diffusers layout ------------------------------------------------------------------------------- */

static void part_from_folder(const char *dir, const char *name, struct model_part *part)
{
    char path[MODEL_PATH_BYTES];
    if (!part->weights[0] && try_folder(dir, name, path))
        copy_path(part->weights, path);
    if (!part->config[0] && file_join(path, sizeof path, dir, name, NULL) == ERR_OK &&
        file_join(part->config, sizeof part->config, path, "config.json", NULL) == ERR_OK &&
        !file_exists(part->config))
        part->config[0] = 0;
}

static void folder_or_nothing(const char *dir, const char *name, char *out)
{
    char path[MODEL_PATH_BYTES];
    if (!out[0] && try_folder(dir, name, path))
        copy_path(out, path);
}

static enum err_code read_index(const char *dir, struct model_dir *m, struct err *e)
{
    char path[MODEL_PATH_BYTES];
    struct str cls = {0};
    yyjson_doc *doc;
    enum err_code rc = file_join(path, sizeof path, dir, "model_index.json", e);
    if (rc != ERR_OK || !file_exists(path))
        return rc;
    rc = json_read_file(path, CONFIG_MAX_BYTES, &doc, e);
    if (rc != ERR_OK)
        return rc;
    yyjson_val *root = yyjson_doc_get_root(doc);
    TRY_GOTO(check_object(root, path, e), done);
    TRY_GOTO(json_get_str(root, "_class_name", &cls, path, e), done);
    if (cls.n)
        TRY_GOTO(pipeline_from_name(cls, m, e), done);
    if (str_eq_z(cls, "Flux2KleinKVPipeline"))
        m->reference_cache = m->is_distilled = true; /* that pipeline's own default */
    rc = json_get_bool(root, "is_distilled", &m->is_distilled, path, e);
done:
    yyjson_doc_free(doc);
    return rc;
}

static enum err_code read_scheduler(yyjson_val *o, const char *path, struct schedule_config *s,
                                    struct err *e)
{
    int64_t train = s->num_train_timesteps, base = s->base_image_seq_len,
            max = s->max_image_seq_len;
    struct str type = {0};
    enum err_code rc;
    TRY_GOTO(json_get_i64(o, "num_train_timesteps", 1, 1000000, &train, path, e), done);
    TRY_GOTO(json_get_i64(o, "base_image_seq_len", 1, 1 << 24, &base, path, e), done);
    TRY_GOTO(json_get_i64(o, "max_image_seq_len", 1, 1 << 24, &max, path, e), done);
    TRY_GOTO(json_get_double(o, "shift", 1e-6, 1e6, &s->shift, path, e), done);
    TRY_GOTO(json_get_double(o, "base_shift", -100, 100, &s->base_shift, path, e), done);
    TRY_GOTO(json_get_double(o, "max_shift", -100, 100, &s->max_shift, path, e), done);
    TRY_GOTO(json_get_double(o, "shift_terminal", 0, 1, &s->shift_terminal, path, e), done);
    TRY_GOTO(json_get_bool(o, "use_dynamic_shifting", &s->use_dynamic_shifting, path, e), done);
    TRY_GOTO(json_get_str(o, "time_shift_type", &type, path, e), done);
    if (type.n && !str_eq_z(type, "exponential") && !str_eq_z(type, "linear"))
        rc = err_set(e, ERR_FORMAT, "%s: time_shift_type '%.*s' is not known", path, STR_ARG(type));
done:
    if (str_eq_z(type, "linear"))
        s->time_shift_type = SCHEDULE_SHIFT_LINEAR;
    s->num_train_timesteps = (int)train;
    s->base_image_seq_len = (int)base;
    s->max_image_seq_len = (int)max;
    return rc;
}

static enum err_code read_scheduler_file(const char *dir, struct model_dir *m, struct err *e)
{
    char path[MODEL_PATH_BYTES];
    yyjson_doc *doc;
    enum err_code rc = file_join(path, sizeof path, dir, "scheduler/scheduler_config.json", e);
    if (rc != ERR_OK || !file_exists(path))
        return rc;
    TRY(json_read_file(path, CONFIG_MAX_BYTES, &doc, e));
    yyjson_val *o = yyjson_doc_get_root(doc);
    TRY_GOTO(check_object(o, path, e), done);
    static const char *const unsupported[] = {"use_karras_sigmas", "use_exponential_sigmas",
                                              "use_beta_sigmas", "invert_sigmas",
                                              "stochastic_sampling"};
    for (size_t i = 0; i < sizeof unsupported / sizeof unsupported[0]; i++) {
        bool on = false;
        TRY_GOTO(json_get_bool(o, unsupported[i], &on, path, e), done);
        if (on) {
            rc = err_set(e, ERR_FORMAT, "%s: %s is not supported", path, unsupported[i]);
            goto done;
        }
    }
    rc = read_scheduler(o, path, &m->schedule, e);
done:
    yyjson_doc_free(doc);
    return rc;
}

/* Everything that a diffusers folder has and that is not set yet. */
static enum err_code fill_from_folder(const char *dir, struct model_dir *m, struct err *e)
{
    part_from_folder(dir, "transformer", &m->transformer);
    part_from_folder(dir, "text_encoder", &m->text_encoder);
    part_from_folder(dir, "vae", &m->vae);
    folder_or_nothing(dir, "tokenizer", m->tokenizer);
    folder_or_nothing(dir, "processor", m->processor);
    TRY(read_index(dir, m, e));
    return read_scheduler_file(dir, m, e);
}

/* ---- opening ---------------------------------------------------------------------------------------- */

static enum err_code read_own(yyjson_val *o, struct model_dir *m, struct err *e)
{
    struct str name = {0}, pipeline = {0};
    char base[MODEL_PATH_BYTES] = "";
    yyjson_val *c = yyjson_obj_get(o, "components");
    TRY(check_object(o, "veetance.json", e));
    TRY(check_object(c, "veetance.json: components", e));
    TRY(read_part(c, "transformer", m->path, &m->transformer, e));
    TRY(read_part(c, "text_encoder", m->path, &m->text_encoder, e));
    TRY(read_part(c, "vae", m->path, &m->vae, e));
    TRY(read_part(c, "vision", m->path, &m->vision, e));
    TRY(read_path(c, "tokenizer", m->path, m->tokenizer, e));
    TRY(read_path(c, "processor", m->path, m->processor, e));
    TRY(read_path(o, "base", m->path, base, e));
    if (base[0] && !file_is_dir(base))
        return err_set(e, ERR_NOTFOUND, "veetance.json: the base '%s' is not a folder", base);
    if (base[0])
        TRY(fill_from_folder(base, m, e));
    TRY(fill_from_folder(m->path, m, e));
    TRY(json_get_str(o, "pipeline", &pipeline, "veetance.json", e));
    if (pipeline.n)
        TRY(pipeline_from_name(pipeline, m, e));
    TRY(json_get_bool(o, "is_distilled", &m->is_distilled, "veetance.json", e));
    TRY(json_get_bool(o, "reference_cache", &m->reference_cache, "veetance.json", e));
    TRY(json_get_str(o, "name", &name, "veetance.json", e));
    if (name.n)
        (void)snprintf(m->name, sizeof m->name, "%.*s", STR_ARG(name));
    return read_defaults(yyjson_obj_get(o, "defaults"), &m->defaults, e);
}

static enum err_code read_all(struct model_dir *m, struct err *e)
{
    char path[MODEL_PATH_BYTES];
    yyjson_doc *doc;
    enum err_code rc = file_join(path, sizeof path, m->path, "veetance.json", e);
    if (rc != ERR_OK)
        return rc;
    if (!file_exists(path))
        return fill_from_folder(m->path, m, e);
    rc = json_read_file(path, CONFIG_MAX_BYTES, &doc, e);
    if (rc != ERR_OK)
        return rc;
    rc = read_own(yyjson_doc_get_root(doc), m, e);
    yyjson_doc_free(doc);
    return rc;
}

/* Is it a miniature, with a vocabulary of its own? What cannot be opened is told about when it is used. */
static bool is_miniature(const char *weights, bool klein)
{
    struct checkpoint *cp = NULL;
    struct component *c = NULL;
    if (checkpoint_open(weights, &cp, NULL) != ERR_OK ||
        component_from_checkpoint(cp, klein ? COMPONENT_QWEN3 : COMPONENT_QWEN2_5_VL, &c, NULL) !=
            ERR_OK)
        return false;
    bool small = component_dim(c, "model.embed_tokens.weight", 0) < TOKENIZER_BUILTIN_WORDS;
    component_close(c);
    return small;
}

/* llama.cpp's text encoders carry their tokenizer; for others the program has one. */
static void tokenizer_from_encoder(struct model_dir *m)
{
    if (m->tokenizer[0] || !m->text_encoder.weights[0])
        return;
    if (tokenizer_is_gguf(m->text_encoder.weights))
        (void)copy_path(m->tokenizer, m->text_encoder.weights);
    else if (!is_miniature(m->text_encoder.weights, m->pipeline == MODEL_PIPELINE_KLEIN))
        (void)copy_path(m->tokenizer, tokenizer_builtin_name(m->pipeline == MODEL_PIPELINE_KLEIN));
}

static enum err_code check_complete(const struct model_dir *m, struct err *e)
{
    const struct {
        const char *name, *path;
    } needed[] = {
        {"transformer", m->transformer.weights},
        {"text_encoder", m->text_encoder.weights},
        {"vae", m->vae.weights},
        {"tokenizer", m->tokenizer},
    };
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (!needed[i].path[0])
            return err_set(
                e, ERR_NOTFOUND,
                "the model '%s' has no %s: neither a folder of that name nor an entry in "
                "veetance.json",
                m->path, needed[i].name);
        if (!file_exists(needed[i].path) && !tokenizer_is_builtin(needed[i].path))
            return err_set(e, ERR_NOTFOUND, "the model's %s '%s' is not there", needed[i].name,
                           needed[i].path);
    }
    return ERR_OK;
}

enum err_code model_dir_open(const char *model, struct model_dir *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    out->schedule = schedule_config_defaults();
    out->schedule.use_dynamic_shifting = true;
    out->defaults.guidance = -1;
    enum err_code rc = locate(model, out->path, e);
    if (rc != ERR_OK)
        return rc;
    const char *slash = strrchr(out->path, '/');
    (void)snprintf(out->name, sizeof out->name, "%.250s",
                   slash && slash[1] ? slash + 1 : out->path);
    rc = read_all(out, e);
    if (rc != ERR_OK)
        return err_note(e, "model '%s'", out->name);
    tokenizer_from_encoder(out);
    return check_complete(out, e);
}

enum err_code model_part_config(const struct model_part *part, yyjson_doc **out, struct err *e)
{
    *out = NULL;
    return part->config[0] ? json_read_file(part->config, CONFIG_MAX_BYTES, out, e) : ERR_OK;
}
