/* manifest.c - models.json in memory: its tables, reading, locking and writing; the format is
 * docs/formats/models-manifest.md.
 *
 * A file that somebody edited by hand is read with as much suspicion as any other: every text is bounded, every
 * reference is checked. Components are read before models, which refer to them by id. All texts live in the
 * store's arena until models_free. Changing takes a lock of its own (models.lock) before the file is read, and
 * keeps it until models_free, so that no other process's change is lost in between; the file is then replaced as a
 * whole.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/mem.h"
#include "library/impl.h"

enum { MANIFEST_MAX_BYTES = 32 << 20, ARENA_MAX_BYTES = 256 << 20, TEXT_MAX_BYTES = 4095 };

static const char what[] = "models.json";

static const char *const role_names[MODELS_ROLES] = {
    "transformer", "text_encoder", "vae", "vision", "tokenizer", "processor",
};

const char *models_role_name(enum models_role r)
{
    return role_names[r];
}

const char *models_state_name(enum models_state s)
{
    static const char *const names[] = {"ready", "away", "missing", "changed", "incomplete"};
    return names[s];
}

/* ---- memory ---------------------------------------------------------------------------------------- */

struct models *models_new(void)
{
    struct models *m = mem_alloc(sizeof *m);
    arena_init(&m->arena, ARENA_MAX_BYTES);
    m->lock_fd = -1;
    return m;
}

void models_free(struct models *m)
{
    if (!m)
        return;
    arena_deinit(&m->arena);
    mem_free(m->models);
    mem_free(m->components);
    file_unlock(m->lock_fd);
    mem_free(m);
}

const char *models_keep(struct models *m, const char *z)
{
    const char *copy = z ? arena_strdup(&m->arena, str_from(z)) : NULL;
    return z && !copy ? "" : copy;
}

void *models_grow(struct models *m, void *old, size_t n, size_t size)
{
    void *p = arena_array(&m->arena, n + 1, size);
    if (p && n)
        memcpy(p, old, n * size);
    return p;
}

/* A table that grows by doubling; the new entry is zeroed. */
static void *one_more(void *table, size_t *n, size_t *cap, size_t max, size_t size, void **moved)
{
    if (*n >= max)
        return NULL;
    *moved = table;
    if (*n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        *moved = mem_try_realloc(table, more * size);
        if (!*moved) {
            *moved = table;
            return NULL;
        }
        *cap = more;
    }
    unsigned char *at = (unsigned char *)*moved + *n * size;
    memset(at, 0, size);
    (*n)++;
    return at;
}

struct models_model *models_more(struct models *m)
{
    void *moved = m->models;
    void *at =
        one_more(m->models, &m->n_models, &m->cap_models, MODELS_MAX, sizeof *m->models, &moved);
    m->models = moved;
    return at;
}

struct models_component *models_more_components(struct models *m)
{
    void *moved = m->components;
    void *at = one_more(m->components, &m->n_components, &m->cap_components, MODELS_MAX_COMPONENTS,
                        sizeof *m->components, &moved);
    m->components = moved;
    return at;
}

struct models_model *models_find(const struct models *m, const char *name)
{
    for (size_t i = 0; i < m->n_models; i++)
        if (strcmp(m->models[i].name, name) == 0)
            return &m->models[i];
    return NULL;
}

struct models_component *models_component(const struct models *m, const char *id)
{
    for (size_t i = 0; id && i < m->n_components; i++)
        if (strcmp(m->components[i].id, id) == 0)
            return &m->components[i];
    return NULL;
}

/* ---- reading --------------------------------------------------------------------------------------- */

/* A text into the arena; "" when the key is absent. */
static enum err_code read_text(struct models *m, yyjson_val *o, const char *key, const char **out,
                               struct err *e)
{
    struct str s = {"", 0};
    TRY(json_get_str(o, key, &s, what, e));
    if (s.n > TEXT_MAX_BYTES || memchr(s.p, 0, s.n))
        return err_set(e, ERR_FORMAT, "%s: '%s' has %zu bytes or a zero byte", what, key, s.n);
    *out = arena_strdup(&m->arena, s);
    return *out ? ERR_OK : err_set(e, ERR_NOMEM, "%s is too large", what);
}

static enum err_code read_path(struct models *m, yyjson_val *o, const char *key, const char **out,
                               struct err *e)
{
    TRY(read_text(m, o, key, out, e));
    if ((*out)[0] && (*out)[0] != '/')
        return err_set(e, ERR_FORMAT, "%s: the path '%.100s' is not absolute", what, *out);
    return ERR_OK;
}

static bool is_hex(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!strchr("0123456789abcdef", s.p[i]))
            return false;
    return s.n == SHA256_HEX_SIZE - 1;
}

static enum err_code read_hash(yyjson_val *o, const char *key, char out[SHA256_HEX_SIZE],
                               struct err *e)
{
    struct str s = {"", 0};
    TRY(json_get_str(o, key, &s, what, e));
    if (s.n == 0)
        return ERR_OK;
    if (!is_hex(s))
        return err_set(e, ERR_FORMAT, "%s: '%s' is not 64 hexadecimal digits", what, key);
    memcpy(out, s.p, s.n);
    return ERR_OK;
}

/* An array of objects, bounded; *n is 0 when the key is absent. */
static enum err_code get_array(yyjson_val *o, const char *key, size_t max, yyjson_val **out,
                               size_t *n, struct err *e)
{
    yyjson_val *a = yyjson_obj_get(o, key);
    *out = NULL;
    *n = 0;
    if (!a || yyjson_is_null(a))
        return ERR_OK;
    if (!yyjson_is_arr(a) || yyjson_arr_size(a) > max)
        return err_set(e, ERR_FORMAT, "%s: '%s' should be an array of at most %zu", what, key, max);
    *out = a;
    *n = yyjson_arr_size(a);
    return ERR_OK;
}

static enum err_code read_files(struct models *m, yyjson_val *o, struct models_component *c,
                                struct err *e)
{
    yyjson_val *a, *v;
    size_t i, n;
    TRY(get_array(o, "files", MODELS_MAX_FILES, &a, &c->n_files, e));
    if (c->n_files == 0)
        return err_set(e, ERR_FORMAT, "%s: the component '%.60s' has no files", what, c->id);
    c->files = arena_array(&m->arena, c->n_files, sizeof *c->files);
    if (!c->files)
        return err_set(e, ERR_NOMEM, "%s is too large", what);
    yyjson_arr_foreach(a, i, n, v)
    {
        int64_t bytes = -1;
        TRY(json_get_i64(v, "bytes", 0, INT64_MAX, &bytes, what, e));
        if (bytes < 0)
            return err_set(e, ERR_FORMAT, "%s: a file of '%.60s' has no size", what, c->id);
        TRY(read_hash(v, "quick", c->files[i].quick, e));
        TRY(read_hash(v, "sha256", c->files[i].sha256, e));
        c->files[i].bytes = (uint64_t)bytes;
    }
    return ERR_OK;
}

static enum err_code read_names(struct models *m, yyjson_val *o, const struct models_component *c,
                                struct models_place *p, struct err *e)
{
    yyjson_val *a, *v;
    size_t i, n, count;
    TRY(get_array(o, "names", MODELS_MAX_FILES, &a, &count, e));
    if (count == 0)
        return ERR_OK;
    if (count != c->n_files)
        return err_set(e, ERR_FORMAT, "%s: '%.60s' has %zu files, but %zu names", what, c->id,
                       c->n_files, count);
    p->names = arena_array(&m->arena, count, sizeof *p->names);
    if (!p->names)
        return err_set(e, ERR_NOMEM, "%s is too large", what);
    yyjson_arr_foreach(a, i, n, v)
    {
        struct str s = {yyjson_get_str(v), yyjson_get_len(v)};
        if (!yyjson_is_str(v) || s.n == 0 || s.n > 255 || memchr(s.p, '/', s.n) ||
            memchr(s.p, 0, s.n))
            return err_set(e, ERR_FORMAT, "%s: '%.60s' has a bad file name", what, c->id);
        p->names[i] = arena_strdup(&m->arena, s);
        if (!p->names[i])
            return err_set(e, ERR_NOMEM, "%s is too large", what);
    }
    return ERR_OK;
}

static enum err_code read_places(struct models *m, yyjson_val *o, struct models_component *c,
                                 struct err *e)
{
    yyjson_val *a, *v;
    size_t i, n;
    enum err_code rc = get_array(o, "places", MODELS_MAX_FILES, &a, &c->n_places, e);
    if (rc != ERR_OK || c->n_places == 0)
        return rc;
    c->places = arena_array(&m->arena, c->n_places, sizeof *c->places);
    if (!c->places)
        return err_set(e, ERR_NOMEM, "%s is too large", what);
    yyjson_arr_foreach(a, i, n, v)
    {
        struct models_place *p = &c->places[i];
        TRY(read_path(m, v, "path", &p->path, e));
        TRY(read_path(m, v, "volume", &p->volume, e));
        TRY(read_names(m, v, c, p, e));
        if (!p->path[0] || (!p->names && c->n_files != 1))
            return err_set(e, ERR_FORMAT, "%s: a place of '%.60s' names no files", what, c->id);
    }
    return ERR_OK;
}

static enum err_code read_component(struct models *m, yyjson_val *o, struct err *e)
{
    struct models_component *c = models_more_components(m);
    if (!c)
        return err_set(e, ERR_LIMIT, "%s has too many components", what);
    TRY(read_text(m, o, "id", &c->id, e));
    TRY(read_text(m, o, "kind", &c->kind, e));
    TRY(read_text(m, o, "about", &c->about, e));
    c->base = "";
    TRY(read_text(m, o, "base", &c->base, e));
    const struct {
        const char *key;
        int64_t *out;
    } numbers[] = {{"text", &c->text},
                   {"latent", &c->latent},
                   {"channels", &c->channels},
                   {"rows", &c->rows},
                   {"rank", &c->rank}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        TRY(json_get_i64(o, numbers[i].key, 0, INT32_MAX, numbers[i].out, what, e));
    TRY(json_get_i64(o, "own_bytes", 0, INT64_MAX, &c->own_bytes, what, e));
    TRY(json_get_bool(o, "layered", &c->layered, what, e));
    TRY(json_get_bool(o, "vision", &c->vision, what, e));
    TRY(json_get_bool(o, "tokens", &c->tokens, what, e));
    TRY(read_files(m, o, c, e));
    TRY(read_places(m, o, c, e));
    if (!c->id[0] || !c->kind[0])
        return err_set(e, ERR_FORMAT, "%s: a component has no id or no kind", what);
    return ERR_OK;
}

/* A name is a word for -m and a folder's name: no slash, no leading dot. */
static bool is_name(const char *name)
{
    return name[0] && name[0] != '.' && name[0] != '-' && strlen(name) < MODELS_NAME_BYTES &&
           !strchr(name, '/');
}

static enum err_code read_settings(struct models *m, yyjson_val *v, const struct models_model *x,
                                   const char **out, struct err *e)
{
    struct buf text;
    if (!v)
        return ERR_OK;
    if (!yyjson_is_obj(v))
        return err_set(e, ERR_FORMAT, "%s: the settings of '%.60s' should be an object", what,
                       x->name);
    yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(d, yyjson_val_mut_copy(d, v));
    buf_init(&text, MODELS_SETTINGS_BYTES);
    enum err_code rc;
    TRY_GOTO(json_write(d, &text, e), done);
    *out = models_keep(m, buf_z(&text));
done:
    buf_deinit(&text);
    yyjson_mut_doc_free(d);
    return rc;
}

static enum err_code read_model(struct models *m, yyjson_val *o, struct err *e)
{
    struct models_model *x = models_more(m);
    if (!x)
        return err_set(e, ERR_LIMIT, "%s has too many models", what);
    TRY(read_text(m, o, "name", &x->name, e));
    if (!is_name(x->name))
        return err_set(e, ERR_FORMAT, "%s: '%.60s' is not a valid model name", what, x->name);
    TRY(read_text(m, o, "pipeline", &x->pipeline, e));
    if (strcmp(x->pipeline, "klein") != 0 && strcmp(x->pipeline, "layered") != 0)
        return err_set(e, ERR_FORMAT, "%s: '%.60s' is not a pipeline", what, x->pipeline);
    TRY(read_text(m, o, "layout", &x->layout, e));
    TRY(read_path(m, o, "path", &x->path, e));
    TRY(read_path(m, o, "volume", &x->volume, e));
    TRY(json_get_bool(o, "distilled", &x->distilled, what, e));
    TRY(read_settings(m, yyjson_obj_get(o, "settings"), x, &x->settings, e));
    TRY(read_settings(m, yyjson_obj_get(o, "chosen"), x, &x->chosen, e));
    yyjson_val *parts = yyjson_obj_get(o, "parts");
    for (int r = 0; r < MODELS_ROLES; r++) {
        const char *id = "";
        TRY(read_text(m, parts, role_names[r], &id, e));
        x->parts[r] = id[0] ? id : NULL;
        if (id[0] && !models_component(m, id))
            return err_set(e, ERR_FORMAT, "%s: '%.60s' has a part '%.60s' that is not listed", what,
                           x->name, id);
    }
    return ERR_OK;
}

enum err_code models_parse(struct models *m, struct str text, struct err *e)
{
    yyjson_doc *doc;
    yyjson_val *a = NULL, *v;
    size_t i, n, count = 0;
    int64_t version = 0;
    TRY(json_parse(text, what, &doc, e));
    yyjson_val *root = yyjson_doc_get_root(doc);
    enum err_code rc = ERR_OK;
    if (!yyjson_is_obj(root)) {
        rc = err_set(e, ERR_FORMAT, "%s should be an object", what);
        goto done;
    }
    TRY_GOTO(json_get_i64(root, "veetance_models", 0, INT64_MAX, &version, what, e), done);
    if (version != 1) {
        rc = err_set(e, ERR_FORMAT, "%s is of version %lld; this program reads 1", what,
                     (long long)version);
        goto done;
    }
    TRY_GOTO(get_array(root, "components", MODELS_MAX_COMPONENTS, &a, &count, e), done);
    if (count) {
        yyjson_arr_foreach(a, i, n, v)
        {
            TRY_GOTO(read_component(m, v, e), done);
        }
    }
    TRY_GOTO(get_array(root, "models", MODELS_MAX, &a, &count, e), done);
    if (count) {
        yyjson_arr_foreach(a, i, n, v)
        {
            TRY_GOTO(read_model(m, v, e), done);
        }
    }
done:
    yyjson_doc_free(doc);
    return rc;
}

static enum err_code find_dir(struct models *m, const char *dir, struct err *e)
{
    if (!dir)
        return home_path(HOME_DATA, NULL, m->dir, sizeof m->dir, e);
    if ((size_t)snprintf(m->dir, sizeof m->dir, "%s", dir) >= sizeof m->dir)
        return err_set(e, ERR_LIMIT, "the model store's path is too long");
    return ERR_OK;
}

static enum err_code read_manifest(struct models *m, struct err *e)
{
    char path[MODELS_PATH_BYTES];
    struct buf text;
    enum err_code rc = file_join(path, sizeof path, m->dir, what, e);
    if (rc != ERR_OK)
        return rc;
    buf_init(&text, MANIFEST_MAX_BYTES);
    if (file_exists(path)) {
        rc = file_read(path, MANIFEST_MAX_BYTES, &text, e);
        if (rc == ERR_OK)
            rc = models_parse(m, buf_str(&text), e);
        if (rc != ERR_OK)
            rc = err_note(e, "%s", path);
    }
    buf_deinit(&text);
    return rc;
}

/* A file of its own: models.json is replaced by every save, and a lock on it would go with the old one. */
static enum err_code lock(struct models *m, const struct models_options *o, struct err *e)
{
    char path[MODELS_PATH_BYTES];
    TRY(folder_make(m->dir, 0700, e));
    TRY(file_join(path, sizeof path, m->dir, "models.lock", e));
    enum err_code rc = file_lock(AT_FDCWD, path, 0600, false, &m->lock_fd, e);
    if (rc != ERR_BUSY)
        return rc;
    models_say(o, MODELS_WAITING, path, "another process is changing the model store");
    return file_lock(AT_FDCWD, path, 0600, true, &m->lock_fd, e);
}

static enum err_code load(const char *dir, bool to_change, const struct models_options *o,
                          struct models **out, struct err *e)
{
    struct models *m = models_new();
    *out = NULL;
    enum err_code rc;
    TRY_GOTO(find_dir(m, dir, e), done);
    if (to_change)
        TRY_GOTO(lock(m, o, e), done);
    rc = read_manifest(m, e);
done:
    if (rc == ERR_OK)
        *out = m;
    else
        models_free(m);
    return rc;
}

enum err_code models_load(const char *dir, struct models **out, struct err *e)
{
    return load(dir, false, NULL, out, e);
}

enum err_code models_load_to_change(const char *dir, const struct models_options *o,
                                    struct models **out, struct err *e)
{
    return load(dir, true, o, out, e);
}

/* ---- writing --------------------------------------------------------------------------------------- */

static void put_text(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, const char *z)
{
    if (z && z[0])
        (void)yyjson_mut_obj_add_str(d, o, key, z);
}

static void put_number(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key, int64_t v)
{
    if (v)
        (void)yyjson_mut_obj_add_sint(d, o, key, v);
}

static yyjson_mut_val *place_json(yyjson_mut_doc *d, const struct models_component *c,
                                  const struct models_place *p)
{
    yyjson_mut_val *o = yyjson_mut_obj(d);
    put_text(d, o, "path", p->path);
    put_text(d, o, "volume", p->volume);
    if (p->names) {
        yyjson_mut_val *names = yyjson_mut_obj_add_arr(d, o, "names");
        for (size_t i = 0; i < c->n_files; i++)
            (void)yyjson_mut_arr_add_str(d, names, p->names[i]);
    }
    return o;
}

static yyjson_mut_val *component_json(yyjson_mut_doc *d, const struct models_component *c)
{
    yyjson_mut_val *o = yyjson_mut_obj(d);
    put_text(d, o, "id", c->id);
    put_text(d, o, "kind", c->kind);
    put_text(d, o, "about", c->about);
    put_number(d, o, "text", c->text);
    put_number(d, o, "latent", c->latent);
    put_number(d, o, "channels", c->channels);
    put_number(d, o, "rows", c->rows);
    put_number(d, o, "own_bytes", c->own_bytes);
    put_number(d, o, "rank", c->rank);
    put_text(d, o, "base", c->base);
    if (c->layered)
        (void)yyjson_mut_obj_add_bool(d, o, "layered", true);
    if (c->vision)
        (void)yyjson_mut_obj_add_bool(d, o, "vision", true);
    if (c->tokens)
        (void)yyjson_mut_obj_add_bool(d, o, "tokens", true);
    yyjson_mut_val *files = yyjson_mut_obj_add_arr(d, o, "files");
    for (size_t i = 0; i < c->n_files; i++) {
        yyjson_mut_val *f = yyjson_mut_arr_add_obj(d, files);
        (void)yyjson_mut_obj_add_uint(d, f, "bytes", c->files[i].bytes);
        put_text(d, f, "quick", c->files[i].quick);
        put_text(d, f, "sha256", c->files[i].sha256);
    }
    yyjson_mut_val *places = yyjson_mut_obj_add_arr(d, o, "places");
    for (size_t i = 0; i < c->n_places; i++)
        (void)yyjson_mut_arr_add_val(places, place_json(d, c, &c->places[i]));
    return o;
}

static void put_settings(yyjson_mut_doc *d, yyjson_mut_val *o, const char *key,
                         const char *settings)
{
    yyjson_doc *doc;
    if (!settings || json_parse(str_from(settings), what, &doc, NULL) != ERR_OK)
        return;
    (void)yyjson_mut_obj_add_val(d, o, key, yyjson_val_mut_copy(d, yyjson_doc_get_root(doc)));
    yyjson_doc_free(doc);
}

static yyjson_mut_val *model_json(yyjson_mut_doc *d, const struct models_model *x)
{
    yyjson_mut_val *o = yyjson_mut_obj(d);
    put_text(d, o, "name", x->name);
    put_text(d, o, "pipeline", x->pipeline);
    put_text(d, o, "layout", x->layout);
    put_text(d, o, "path", x->path);
    put_text(d, o, "volume", x->volume);
    if (x->distilled)
        (void)yyjson_mut_obj_add_bool(d, o, "distilled", true);
    put_settings(d, o, "settings", x->settings);
    put_settings(d, o, "chosen", x->chosen);
    yyjson_mut_val *parts = yyjson_mut_obj_add_obj(d, o, "parts");
    for (int r = 0; r < MODELS_ROLES; r++)
        put_text(d, parts, role_names[r], x->parts[r]);
    return o;
}

enum err_code models_save(const struct models *m, struct err *e)
{
    char path[MODELS_PATH_BYTES];
    TRY(file_join(path, sizeof path, m->dir, what, e));
    if (m->lock_fd < 0)
        return err_set(e, ERR_INTERNAL, "the model store was not loaded to be changed");
    yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(d);
    yyjson_mut_doc_set_root(d, root);
    (void)yyjson_mut_obj_add_int(d, root, "veetance_models", 1);
    yyjson_mut_val *models = yyjson_mut_obj_add_arr(d, root, "models");
    for (size_t i = 0; i < m->n_models; i++)
        (void)yyjson_mut_arr_add_val(models, model_json(d, &m->models[i]));
    yyjson_mut_val *components = yyjson_mut_obj_add_arr(d, root, "components");
    for (size_t i = 0; i < m->n_components; i++)
        (void)yyjson_mut_arr_add_val(components, component_json(d, &m->components[i]));
    enum err_code rc = json_write_file(d, path, e);
    yyjson_mut_doc_free(d);
    return rc == ERR_OK ? rc : err_note(e, "%s", path);
}
