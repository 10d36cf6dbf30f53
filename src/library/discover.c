/* discover.c - adding what the user names; walk.c scans folders with it.
 *
 * Layouts, told by what is in them:
 *   model_index.json or veetance.json       a model folder; its parts are its subfolders or what the file names
 *   models--ORG--NAME/snapshots/REVISION    the hub's cache; refs/main names the revision
 *   *.safetensors.index.json                a component in shards
 *   tokenizer.json, preprocessor_config.json  a tokenizer, a processor
 *   a file that begins as GGUF or safetensors do   a component (ComfyUI's models/ tree, single downloads)
 * A transformer that belongs to no model becomes one, named after its file.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "library/discover.h"

enum { JSON_MAX_BYTES = 4 << 20 };

static bool inside(const char *dir, const char *name, char out[MODELS_PATH_BYTES])
{
    return file_join(out, MODELS_PATH_BYTES, dir, name, NULL) == ERR_OK && file_exists(out);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

/* Links in the folders are followed, a link that is the file itself is kept: the hub's names lie there. */
enum err_code models_canonical(const char *path, char out[MODELS_PATH_BYTES], struct err *e)
{
    char dir[MODELS_PATH_BYTES], real[PATH_MAX], native[MODELS_PATH_BYTES];
    if (!file_native_path(path, native, sizeof native))
        return err_set(e, ERR_LIMIT, "the path '%.80s...' is too long", path);
    path = native;
    if (file_is_dir(path)) {
        if (!realpath(path, real) || strlen(real) >= MODELS_PATH_BYTES)
            return err_set_sys(e, ERR_NOTFOUND, errno, "cannot resolve '%s'", path);
        memcpy(out, real, strlen(real) + 1);
        return ERR_OK;
    }
    if (!file_exists(path))
        return err_set(e, ERR_NOTFOUND, "there is no file or folder '%s'", path);
    const char *slash = strrchr(path, '/');
    int n = slash ? snprintf(dir, sizeof dir, "%.*s", (int)(slash - path + 1), path)
                  : snprintf(dir, sizeof dir, ".");
    if (n < 0 || (size_t)n >= sizeof dir || !realpath(dir, real))
        return err_set_sys(e, ERR_NOTFOUND, errno, "cannot resolve '%s'", path);
    return file_join(out, MODELS_PATH_BYTES, strcmp(real, "/") == 0 ? "" : real, base_name(path),
                     e);
}

/* ---- names ----------------------------------------------------------------------------------------- */

void models_make_name(const char *path, char out[MODELS_NAME_BYTES])
{
    static const char *const endings[] = {".safetensors", ".gguf", ".sft"};
    static const char part[] = "-00001-of-";
    const char *base = base_name(path), *repo = strstr(path, "/models--");
    size_t n = 0;
    if (repo) {
        base = repo + 1;
        for (const char *p = base; *p && *p != '/'; p++)
            if (p[0] == '-' && p[1] == '-' && p[2] && p[2] != '/')
                base = p + 2;
    }
    for (; base[n] && base[n] != '/' && n < MODELS_NAME_BYTES - 8; n++) {
        unsigned char ch = (unsigned char)base[n];
        out[n] = isalnum(ch) || strchr("._+-", ch) || ch >= 0x80 ? (char)ch : '-';
    }
    out[n] = 0;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t len = strlen(endings[i]);
        if (n > len && strcmp(out + n - len, endings[i]) == 0)
            out[n - len] = 0;
    }
    char *first = strstr(out, part);
    if (first && strspn(first + strlen(part), "0123456789") == strlen(first + strlen(part)))
        *first = 0;
    if (out[0] == '.' || out[0] == '-' || !out[0])
        memcpy(out, "model", 6);
}

static bool is_reserved(const struct models_scan *s, const char *name, const char *path)
{
    return s->o && s->o->reserved && s->o->reserved(name, path);
}

/* The name, or with a number behind it where another model has it already. */
static void make_free_name(const struct models_scan *s, const char *path,
                           char out[MODELS_NAME_BYTES])
{
    char base[MODELS_NAME_BYTES];
    models_make_name(path, base);
    memcpy(out, base, sizeof base);
    for (int k = 2; (models_find(s->m, out) || is_reserved(s, out, path)) && k <= MODELS_MAX + 1;
         k++)
        (void)snprintf(out, MODELS_NAME_BYTES, "%.118s-%d", base, k);
}

static enum err_code check_name(const char *name, struct err *e)
{
    if (name[0] && name[0] != '.' && name[0] != '-' && strlen(name) < MODELS_NAME_BYTES &&
        !strchr(name, '/') && str_is_utf8(str_from(name), NULL))
        return ERR_OK;
    return err_set(
        e, ERR_ARG,
        "'%.60s' is not a valid model name: at most %d bytes, no slash, and no dot or dash "
        "in front",
        name, MODELS_NAME_BYTES - 1);
}

/* A new entry under the name that was asked for or is made of the path; or the one that this already is. */
static enum err_code claim(struct models_scan *s, const char *path, struct models_model *same,
                           struct models_model **out, struct err *e)
{
    const char *asked = s->o ? s->o->name : NULL;
    char name[MODELS_NAME_BYTES];
    if (asked)
        TRY(check_name(asked, e));
    if (asked && models_find(s->m, asked) && models_find(s->m, asked) != same)
        return err_set(e, ERR_BUSY, "the name '%s' is taken; `veetance models remove %s` frees it",
                       asked, asked);
    if (asked && is_reserved(s, asked, path))
        return err_set(e, ERR_BUSY, "the name '%s' is that of an embedded model; choose another",
                       asked);
    *out = same;
    if (same && (!asked || strcmp(same->name, asked) == 0))
        return ERR_OK;
    if (asked)
        (void)snprintf(name, sizeof name, "%s", asked);
    else
        make_free_name(s, path, name);
    *out = models_more(s->m);
    if (!*out)
        return err_set(e, ERR_LIMIT, "the model store has %d models; that is the limit",
                       MODELS_MAX);
    (*out)->name = models_keep(s->m, name);
    return ERR_OK;
}

/* Is this the folder that the model had elsewhere? Its own is gone, and the parts are the same. */
static bool has_moved_here(const struct models_model *x, const char *const ids[MODELS_ROLES])
{
    if (!x->path[0] || models_is_folder(x->path))
        return false;
    for (int r = 0; r < MODELS_ROLES; r++)
        if ((x->parts[r] || ids[r]) &&
            (!x->parts[r] || !ids[r] || strcmp(x->parts[r], ids[r]) != 0))
            return false;
    return true;
}

/* The model of this folder under the name that is asked for, or under any; else the one that has moved here. */
static struct models_model *model_of_folder(const struct models_scan *s, const char *path,
                                            const char *const ids[MODELS_ROLES])
{
    struct models_model *x = NULL, *moved = NULL;
    const char *asked = s->o ? s->o->name : NULL;
    for (size_t i = 0; i < s->m->n_models; i++) {
        struct models_model *at = &s->m->models[i];
        bool named = asked && strcmp(at->name, asked) == 0;
        if (strcmp(at->path, path) == 0 && (!x || named))
            x = at;
        if (has_moved_here(at, ids) && (!moved || named))
            moved = at;
    }
    return x ? x : moved;
}

/* ---- model folders --------------------------------------------------------------------------------- */

struct folder {
    char dir[MODELS_PATH_BYTES];
    char parts[MODELS_ROLES][MODELS_PATH_BYTES]; /* "": none */
};

static void from_subfolders(const char *dir, struct folder *f)
{
    char path[MODELS_PATH_BYTES];
    for (int r = 0; r < MODELS_ROLES; r++)
        if (!f->parts[r][0] && r != MODELS_VISION &&
            inside(dir, models_role_name((enum models_role)r), path) && file_is_dir(path))
            memcpy(f->parts[r], path, sizeof path);
}

static void take_path(const char *dir, yyjson_val *v, char out[MODELS_PATH_BYTES])
{
    char path[MODELS_PATH_BYTES];
    const char *s = yyjson_get_str(yyjson_is_obj(v) ? yyjson_obj_get(v, "weights") : v);
    if (!s || !s[0])
        return;
    char native[MODELS_PATH_BYTES];
    if (!file_native_path(s, native, sizeof native))
        return;
    int n = native[0] == '/' ? snprintf(path, sizeof path, "%s", native)
                             : snprintf(path, sizeof path, "%s/%s", dir, native);
    if (n < 0 || (size_t)n >= sizeof path || models_canonical(path, out, NULL) != ERR_OK)
        out[0] = 0;
}

/* veetance.json's own parts and its base's; the pipeline reads it with full strictness when it is used. */
static enum err_code from_own_file(struct folder *f, struct err *e)
{
    char path[MODELS_PATH_BYTES], base[MODELS_PATH_BYTES] = "";
    yyjson_doc *doc;
    if (!inside(f->dir, "veetance.json", path))
        return ERR_OK;
    TRY(json_read_file(path, JSON_MAX_BYTES, &doc, e));
    yyjson_val *root = yyjson_doc_get_root(doc), *c = yyjson_obj_get(root, "components");
    for (int r = 0; r < MODELS_ROLES; r++)
        take_path(f->dir, yyjson_obj_get(c, models_role_name((enum models_role)r)), f->parts[r]);
    take_path(f->dir, yyjson_obj_get(root, "base"), base);
    yyjson_doc_free(doc);
    if (base[0])
        from_subfolders(base, f);
    return ERR_OK;
}

static enum err_code look_part(struct models_scan *s, int role, const char *path,
                               struct models_component **out, struct err *e)
{
    if (role == MODELS_TOKENIZER)
        return models_look_tokenizer(s->m, path, out, e);
    if (role == MODELS_PROCESSOR)
        return models_look_processor(s->m, path, out, e);
    return models_look(s->m, path, s->o, out, e);
}

/* NULL when the transformer is none that a pipeline here runs. */
static const char *pipeline_of(const struct models_component *transformer)
{
    if (strcmp(transformer->kind, "flux2_transformer") == 0)
        return "klein";
    if (strcmp(transformer->kind, "qwen_image_transformer") == 0 && transformer->layered)
        return "layered";
    return NULL;
}

static enum err_code look_parts(struct models_scan *s, const struct folder *f,
                                const char *ids[MODELS_ROLES], struct err *e)
{
    for (int r = 0; r < MODELS_ROLES; r++) {
        struct models_component *c;
        struct err why = {0};
        enum models_role role;
        ids[r] = NULL;
        if (!f->parts[r][0])
            continue;
        enum err_code rc = look_part(s, r, f->parts[r], &c, &why);
        if (rc == ERR_OK && models_role_of(c, &role) && (int)role == r)
            ids[r] = c->id;
        else if (r == MODELS_TRANSFORMER)
            return rc != ERR_OK ? err_set(e, rc, "%s", why.text)
                                : err_set(e, ERR_FORMAT, "'%s' is %s, no transformer", f->parts[r],
                                          c->about);
        else
            models_say(s->o, MODELS_REFUSED, f->parts[r],
                       rc != ERR_OK ? why.text : "it does not fit its role");
    }
    return ids[MODELS_TRANSFORMER] ? ERR_OK
                                   : err_set(e, ERR_FORMAT, "'%s' has no transformer", f->dir);
}

/* The folder is a copy of a model that lies elsewhere (and nobody asked for a name of its own): the one that is
 * whole is used. False where it is none, or the better one: then *same is the model that it is entered as. */
static bool is_copy(struct models_scan *s, const struct models_model *found,
                    struct models_model **same)
{
    char text[MODELS_PATH_BYTES + 200];
    struct models_model *twin = *same || (s->o && s->o->name) ? NULL : models_twin(s->m, found);
    if (!twin)
        return false;
    bool better = !models_folder_is_whole(s->m, twin) && models_folder_is_whole(s->m, found);
    (void)snprintf(text, sizeof text, "the same as '%s' in '%s', %s", twin->name, twin->path,
                   better ? "which is not whole: used from here"
                          : "which is used; this is not added");
    models_say(s->o, MODELS_NOTE, found->path, text);
    if (better)
        *same = twin;
    return !better;
}

static enum err_code enter_folder(struct models_scan *s, const struct models_model *found,
                                  struct models_model *same, struct err *e)
{
    struct models_model *x = NULL;
    TRY(claim(s, found->path, same, &x, e));
    bool moved = x->path && x->path[0] && strcmp(x->path, found->path) != 0;
    const char *name = x->name, *chosen = x->chosen;
    bool distilled = x->distilled;
    *x = *found;
    x->name = name;
    x->chosen = chosen;
    x->distilled = distilled;
    models_say(s->o, moved ? MODELS_MOVED : MODELS_FOUND_MODEL, x->path, x->name);
    return ERR_OK;
}

enum err_code models_add_folder(struct models_scan *s, const char *dir, struct err *e)
{
    char volume[MODELS_PATH_BYTES];
    const char *ids[MODELS_ROLES];
    struct models_model *x;
    struct folder *f = mem_try_alloc(sizeof *f);
    if (!f)
        return err_set(e, ERR_NOMEM, "no memory to look at '%s'", dir);
    memcpy(f->dir, dir, strlen(dir) + 1);
    enum err_code rc = from_own_file(f, e);
    from_subfolders(dir, f);
    if (rc == ERR_OK)
        rc = look_parts(s, f, ids, e);
    mem_free(f);
    if (rc != ERR_OK)
        return rc;
    const char *pipeline = pipeline_of(models_component(s->m, ids[MODELS_TRANSFORMER]));
    if (!pipeline)
        return err_set(e, ERR_FORMAT, "no pipeline of this program can run '%s'", dir);
    models_volume_of(dir, volume);
    struct models_model found = {
        .pipeline = pipeline,
        .layout = strstr(dir, "/snapshots/") && strstr(dir, "/models--") ? "hub" : "folder",
        .path = models_keep(s->m, dir),
        .volume = models_keep(s->m, volume),
        .settings = models_settings_of(s->m, dir)};
    memcpy(found.parts, ids, sizeof found.parts);
    x = model_of_folder(s, dir, ids);
    return is_copy(s, &found, &x) ? ERR_OK : enter_folder(s, &found, x, e);
}

static bool is_ready_at(const struct models_component *c, const char *path)
{
    for (size_t i = 0; i < c->n_places; i++)
        if (strcmp(c->places[i].path, path) == 0)
            return models_place_state(c, &c->places[i]) == MODELS_READY;
    return false;
}

bool models_folder_is_whole(const struct models *m, const struct models_model *x)
{
    struct folder *f = mem_try_alloc(sizeof *f);
    bool whole = f && file_is_dir(x->path) && strlen(x->path) < sizeof f->dir;
    if (whole) {
        memcpy(f->dir, x->path, strlen(x->path) + 1);
        whole = from_own_file(f, NULL) == ERR_OK;
        from_subfolders(f->dir, f);
    }
    for (int r = 0; whole && r < MODELS_ROLES; r++) {
        const struct models_component *c = models_component(m, x->parts[r]);
        if (f->parts[r][0])
            whole = c && is_ready_at(c, f->parts[r]);
        else
            whole = !models_role_is_needed(m, x, (enum models_role)r);
    }
    mem_free(f);
    return whole;
}

/* ---- single components ----------------------------------------------------------------------------- */

/* What the user says comes first; where nothing is known, distilled is assumed, as most are. */
static void guess_settings(struct models_scan *s, const char *path,
                           const struct models_component *c, struct models_model *x)
{
    enum models_klein is =
        strcmp(x->pipeline, "klein") == 0 ? models_klein_of(c, path) : KLEIN_UNKNOWN;
    x->distilled = is != KLEIN_BASE;
    if (s->o && s->o->distilled >= 0)
        x->distilled = s->o->distilled != 0;
    if (is == KLEIN_KV)
        x->chosen = x->distilled ? "{\"is_distilled\":true,\"reference_cache\":true}"
                                 : "{\"reference_cache\":true}";
}

/* The assembled model of this transformer under the name that is asked for, or any model of it. */
static struct models_model *model_of_transformer(const struct models_scan *s, const char *id)
{
    const char *asked = s->o ? s->o->name : NULL;
    for (size_t i = 0; i < s->m->n_models; i++) {
        struct models_model *x = &s->m->models[i];
        bool same = x->parts[MODELS_TRANSFORMER] && strcmp(x->parts[MODELS_TRANSFORMER], id) == 0;
        if (same && (!asked || (strcmp(x->name, asked) == 0 && !x->path[0])))
            return x;
    }
    return NULL;
}

static enum err_code add_transformer(struct models_scan *s, const char *path,
                                     const struct models_component *c, struct err *e)
{
    struct models_model *x = NULL, *same = model_of_transformer(s, c->id);
    const char *id = c->id, *pipeline = pipeline_of(c);
    bool asked = s->o && s->o->name;
    if (!pipeline || (!asked && same))
        return ERR_OK;
    TRY(claim(s, path, same, &x, e));
    x->pipeline = pipeline;
    x->layout = "assembled";
    x->path = x->volume = "";
    memset(x->parts, 0, sizeof x->parts);
    x->parts[MODELS_TRANSFORMER] = id;
    guess_settings(s, path, models_component(s->m, id), x);
    models_say(s->o, MODELS_FOUND_MODEL, path, x->name);
    return ERR_OK;
}

/* Begins as a GGUF or safetensors file does. */
bool models_seems_weights(const char *path)
{
    unsigned char head[9];
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t n = fread(head, 1, sizeof head, f);
    (void)fclose(f);
    if (n < sizeof head)
        return false;
    if (memcmp(head, "GGUF", 4) == 0)
        return true;
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | head[i];
    return head[8] == '{' && length >= 2 && length <= 100u << 20;
}

enum err_code models_add_file(struct models_scan *s, const char *path, struct err *e)
{
    struct models_component *c;
    TRY(models_look(s->m, path, s->o, &c, e));
    return !s->in_model ? add_transformer(s, path, c, e) : ERR_OK;
}

bool models_has_index(const char *dir)
{
    bool found = false;
    DIR *d = opendir(dir);
    if (!d)
        return false;
    for (struct dirent *ent = readdir(d); ent && !found; ent = readdir(d))
        found = str_ends(str_from(ent->d_name), STR_LIT(".safetensors.index.json"));
    (void)closedir(d);
    return found;
}

/* What a folder is besides the files in it. Counts what was found. */
size_t models_add_small_parts(struct models_scan *s, const char *dir)
{
    char path[MODELS_PATH_BYTES];
    struct models_component *c;
    struct err why = {0};
    size_t n = 0;
    if (inside(dir, "tokenizer.json", path) ||
        (inside(dir, "vocab.json", path) && inside(dir, "merges.txt", path))) {
        if (models_look_tokenizer(s->m, dir, &c, &why) == ERR_OK)
            n++;
        else
            models_say(s->o, MODELS_REFUSED, dir, why.text);
    }
    if (inside(dir, "preprocessor_config.json", path) &&
        models_look_processor(s->m, dir, &c, &why) == ERR_OK)
        n++;
    return n;
}

/* ---- walking --------------------------------------------------------------------------------------- */

bool models_is_folder(const char *dir)
{
    char path[MODELS_PATH_BYTES];
    return inside(dir, "model_index.json", path) || inside(dir, "veetance.json", path);
}

/* ---- the calls ------------------------------------------------------------------------------------- */

static enum err_code add_dir(struct models_scan *s, const char *dir, struct err *e)
{
    char snapshot[MODELS_PATH_BYTES];
    if (models_hub_snapshot(dir, s->o, snapshot))
        return add_dir(s, snapshot, e);
    if (models_is_folder(dir))
        return models_add_folder(s, dir, e);
    size_t small = models_add_small_parts(s, dir);
    enum err_code rc = models_add_file(s, dir, e);
    if (rc == ERR_OK || small == 0)
        return rc == ERR_OK ? rc
                            : err_note(e,
                                       "'%s' is no model folder (`veetance models scan` looks "
                                       "through what is below one)",
                                       dir);
    err_clear(e);
    return ERR_OK;
}

enum err_code models_add(struct models *m, const char *path, const struct models_options *o,
                         struct err *e)
{
    char at[MODELS_PATH_BYTES];
    struct models_scan s = {.m = m, .o = o};
    TRY(models_canonical(path, at, e));
    if (!str_is_utf8(str_from(at), NULL))
        return err_set(e, ERR_ARG, "the path is not UTF-8, which the store's file is");
    TRY(file_is_dir(at) ? add_dir(&s, at, e) : models_add_file(&s, at, e));
    models_complete_all(m, o);
    return ERR_OK;
}

enum err_code models_remove(struct models *m, const char *name, struct err *e)
{
    struct models_model *x = models_find(m, name);
    struct models_component *lora = NULL;
    if (!x)
        TRY(models_find_lora(m, name, &lora, e));
    if (lora)
        *lora = m->components[--m->n_components];
    if (!x)
        return lora ? ERR_OK : err_set(e, ERR_NOTFOUND, "the model store has no '%.100s'", name);
    const struct models_model gone = *x;
    models_disassemble(m, name);
    *x = m->models[--m->n_models];
    for (int r = 0; r < MODELS_ROLES; r++) {
        struct models_component *c = models_component(m, gone.parts[r]);
        if (c && models_users(m, c) == 0)
            *c = m->components[--m->n_components];
    }
    return ERR_OK;
}
