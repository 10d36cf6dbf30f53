/* catalogue.c - models/catalogue.json into structs, with every value checked; see catalogue.h.
 *
 * Licences are read first, then sources, which refer to them, then sets, which refer to sources: each reference is
 * a pointer to what is there already. Strings are those of the JSON document, which lives as long as the
 * catalogue; arrays are the arena's. Names that become part of an address or a path are checked here, so nobody
 * later has to.
 */
#include "fetch/catalogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/mem.h"
#include "fetch/paths.h"

enum {
    MAX_BYTES = 4 << 20,
    MAX_SETS = 200,
    MAX_COMPONENTS = 16,
    MAX_CHOICES = 32,
    MAX_FILES = 256,
    MAX_SOURCES = 500,
    MAX_LICENCES = 50,
};

struct catalogue {
    struct arena arena;
    yyjson_doc *doc;
    const char *what, *hub;
    struct catalogue_licence *licences;
    struct catalogue_source *sources;
    struct catalogue_set *sets;
    size_t licence_count, source_count, set_count;
};

/* ---- helpers: one message for each kind of mistake ---------------------------------- */

static enum err_code need_str(struct catalogue *c, yyjson_val *o, const char *key, const char **out,
                              struct err *e)
{
    struct str s = {0};
    TRY(json_get_str(o, key, &s, c->what, e));
    if (s.n == 0 || s.n > 1000 || memchr(s.p, 0, s.n) || strchr(s.p, '\n'))
        return err_set(e, ERR_FORMAT, "%s: \"%s\" is missing or no plain text", c->what, key);
    *out = s.p;
    return ERR_OK;
}

static enum err_code maybe_str(struct catalogue *c, yyjson_val *o, const char *key,
                               const char **out, struct err *e)
{
    yyjson_val *v = yyjson_obj_get(o, key);
    return !v || yyjson_is_null(v) ? ERR_OK : need_str(c, o, key, out, e);
}

/* An array or object of 1..most items, as room for that many structs. */
static enum err_code room_for(struct catalogue *c, yyjson_val *v, const char *key, bool object,
                              size_t most, size_t item_bytes, void **out, size_t *count,
                              struct err *e)
{
    size_t n = object ? yyjson_obj_size(v) : yyjson_arr_size(v);
    if (object ? !yyjson_is_obj(v) : !yyjson_is_arr(v))
        return err_set(e, ERR_FORMAT, "%s: \"%s\" should be %s", c->what, key,
                       object ? "an object" : "an array");
    if (n < 1 || n > most)
        return err_set(e, ERR_FORMAT, "%s: \"%s\" has %zu items, not 1 to %zu", c->what, key, n,
                       most);
    *out = arena_array(&c->arena, n, item_bytes);
    if (!*out)
        return err_set(e, ERR_NOMEM, "%s: no memory for %zu items", c->what, n);
    *count = n;
    return ERR_OK;
}

static enum err_code need_obj(struct catalogue *c, yyjson_val *v, const char *key, struct err *e)
{
    return yyjson_is_obj(v)
               ? ERR_OK
               : err_set(e, ERR_FORMAT, "%s: an entry of \"%s\" is not an object", c->what, key);
}

/* ---- licences and sources ------------------------------------------------------------------------------ */

static enum err_code read_licences(struct catalogue *c, yyjson_val *v, struct err *e)
{
    void *room;
    enum err_code rc = room_for(c, v, "licences", true, MAX_LICENCES, sizeof *c->licences, &room,
                                &c->licence_count, e);
    if (rc != ERR_OK)
        return rc;
    c->licences = room;
    size_t i, n;
    yyjson_val *key, *o;
    yyjson_obj_foreach(v, i, n, key, o)
    {
        struct catalogue_licence *l = &c->licences[i];
        l->id = yyjson_get_str(key);
        l->note = "";
        if ((rc = need_obj(c, o, "licences", e)) != ERR_OK ||
            (rc = need_str(c, o, "name", &l->name, e)) != ERR_OK ||
            (rc = need_str(c, o, "url", &l->url, e)) != ERR_OK ||
            (rc = maybe_str(c, o, "note", &l->note, e)) != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code licence_of(struct catalogue *c, yyjson_val *o,
                                const struct catalogue_licence **out, struct err *e)
{
    const char *id = NULL;
    TRY(need_str(c, o, "licence", &id, e));
    for (size_t i = 0; i < c->licence_count; i++) {
        if (strcmp(c->licences[i].id, id) == 0) {
            *out = &c->licences[i];
            return ERR_OK;
        }
    }
    return err_set(e, ERR_FORMAT, "%s: there is no licence '%s'", c->what, id);
}

/* "owner/name" and "main" or a commit: they become parts of an address. */
static bool is_repo(const char *s)
{
    const char *slash = strchr(s, '/');
    char owner[128];
    if (!slash || (size_t)(slash - s) >= sizeof owner)
        return false;
    memcpy(owner, s, (size_t)(slash - s));
    owner[slash - s] = 0;
    return path_is_plain_name(owner) && path_is_plain_name(slash + 1);
}

static enum err_code read_sources(struct catalogue *c, yyjson_val *v, struct err *e)
{
    void *room;
    enum err_code rc = room_for(c, v, "sources", true, MAX_SOURCES, sizeof *c->sources, &room,
                                &c->source_count, e);
    if (rc != ERR_OK)
        return rc;
    c->sources = room;
    size_t i, n;
    yyjson_val *key, *o;
    yyjson_obj_foreach(v, i, n, key, o)
    {
        struct catalogue_source *s = &c->sources[i];
        s->id = yyjson_get_str(key);
        s->revision = "main";
        if ((rc = need_obj(c, o, "sources", e)) != ERR_OK ||
            (rc = need_str(c, o, "repo", &s->repo, e)) != ERR_OK ||
            (rc = maybe_str(c, o, "revision", &s->revision, e)) != ERR_OK ||
            (rc = maybe_str(c, o, "page", &s->page, e)) != ERR_OK ||
            (rc = licence_of(c, o, &s->licence, e)) != ERR_OK ||
            (rc = json_get_bool(o, "gated", &s->gated, c->what, e)) != ERR_OK)
            return rc;
        if (!is_repo(s->repo) || !path_is_plain_name(s->revision))
            return err_set(e, ERR_FORMAT, "%s: source '%s' has no valid \"repo\" or \"revision\"",
                           c->what, s->id);
    }
    return ERR_OK;
}

static enum err_code source_of(struct catalogue *c, yyjson_val *o,
                               const struct catalogue_source **out, struct err *e)
{
    const char *id = NULL;
    TRY(need_str(c, o, "source", &id, e));
    for (size_t i = 0; i < c->source_count; i++) {
        if (strcmp(c->sources[i].id, id) == 0) {
            *out = &c->sources[i];
            return ERR_OK;
        }
    }
    return err_set(e, ERR_FORMAT, "%s: there is no source '%s'", c->what, id);
}

/* ---- sets ----------------------------------------------------------------------------------------------- */

static bool is_sha256(const char *s)
{
    return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

static enum err_code read_file(struct catalogue *c, yyjson_val *o, struct catalogue_file *f,
                               struct err *e)
{
    enum err_code rc;
    f->size = -1;
    if (yyjson_is_str(o)) { /* short for {"path": ...} */
        f->path = f->to = yyjson_get_str(o);
        if (yyjson_get_len(o) != strlen(f->path))
            return err_set(e, ERR_FORMAT, "%s: a file name holds a zero byte", c->what);
        return path_check(str_from(f->path), c->what, e);
    }
    if ((rc = need_obj(c, o, "files", e)) != ERR_OK ||
        (rc = need_str(c, o, "path", &f->path, e)) != ERR_OK)
        return rc;
    f->to = f->path;
    if ((rc = maybe_str(c, o, "to", &f->to, e)) != ERR_OK ||
        (rc = maybe_str(c, o, "sha256", &f->sha256, e)) != ERR_OK ||
        (rc = json_get_i64(o, "size", 0, INT64_C(1) << 50, &f->size, c->what, e)) != ERR_OK ||
        (rc = json_get_bool(o, "optional", &f->optional, c->what, e)) != ERR_OK ||
        (rc = json_get_bool(o, "shards", &f->shards, c->what, e)) != ERR_OK ||
        (rc = path_check(str_from(f->path), c->what, e)) != ERR_OK ||
        (rc = path_check(str_from(f->to), c->what, e)) != ERR_OK)
        return rc;
    if (f->sha256 && !is_sha256(f->sha256))
        return err_set(e, ERR_FORMAT, "%s: '%s' has a sha256 that is not 64 digits", c->what,
                       f->path);
    return ERR_OK;
}

static enum err_code read_choice(struct catalogue *c, yyjson_val *o, struct catalogue_choice *ch,
                                 struct err *e)
{
    void *room;
    enum err_code rc;
    if ((rc = need_obj(c, o, "choices", e)) != ERR_OK ||
        (rc = need_str(c, o, "name", &ch->name, e)) != ERR_OK ||
        (rc = source_of(c, o, &ch->source, e)) != ERR_OK ||
        (rc = maybe_str(c, o, "weights", &ch->weights, e)) != ERR_OK ||
        (ch->weights && (rc = path_check(str_from(ch->weights), c->what, e)) != ERR_OK) ||
        (rc = maybe_str(c, o, "vision", &ch->vision, e)) != ERR_OK ||
        (ch->vision && (rc = path_check(str_from(ch->vision), c->what, e)) != ERR_OK))
        return rc;
    yyjson_val *files = yyjson_obj_get(o, "files");
    struct catalogue_file *out;
    rc = room_for(c, files, "files", false, MAX_FILES, sizeof *out, &room, &ch->file_count, e);
    if (rc != ERR_OK)
        return rc;
    ch->files = out = room;
    size_t i, n;
    yyjson_val *f;
    yyjson_arr_foreach(files, i, n, f)
    {
        if ((rc = read_file(c, f, &out[i], e)) != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code read_component(struct catalogue *c, yyjson_val *o,
                                    struct catalogue_component *k, struct err *e)
{
    void *room;
    enum err_code rc;
    if ((rc = need_obj(c, o, "components", e)) != ERR_OK ||
        (rc = need_str(c, o, "name", &k->name, e)) != ERR_OK)
        return rc;
    yyjson_val *choices = yyjson_obj_get(o, "choices");
    struct catalogue_choice *out;
    rc = room_for(c, choices, "choices", false, MAX_CHOICES, sizeof *out, &room, &k->choice_count,
                  e);
    if (rc != ERR_OK)
        return rc;
    k->choices = out = room;
    size_t i, n;
    yyjson_val *ch;
    yyjson_arr_foreach(choices, i, n, ch)
    {
        if ((rc = read_choice(c, ch, &out[i], e)) != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

static enum err_code read_set(struct catalogue *c, yyjson_val *o, struct catalogue_set *s,
                              struct err *e)
{
    void *room;
    enum err_code rc;
    if ((rc = need_obj(c, o, "sets", e)) != ERR_OK ||
        (rc = need_str(c, o, "name", &s->name, e)) != ERR_OK ||
        (rc = need_str(c, o, "title", &s->title, e)) != ERR_OK)
        return rc;
    if (!path_is_plain_name(s->name))
        return err_set(e, ERR_FORMAT, "%s: '%s' cannot be a set's name", c->what, s->name);
    s->settings = yyjson_obj_get(o, "settings");
    if (s->settings && !yyjson_is_obj(s->settings))
        return err_set(e, ERR_FORMAT, "%s: \"settings\" of '%s' should be an object", c->what,
                       s->name);
    yyjson_val *components = yyjson_obj_get(o, "components");
    struct catalogue_component *out;
    rc = room_for(c, components, "components", false, MAX_COMPONENTS, sizeof *out, &room,
                  &s->component_count, e);
    if (rc != ERR_OK)
        return rc;
    s->components = out = room;
    size_t i, n;
    yyjson_val *k;
    yyjson_arr_foreach(components, i, n, k)
    {
        if (read_component(c, k, &out[i], e) != ERR_OK)
            return err_note(e, "set '%s'", s->name);
    }
    return ERR_OK;
}

static enum err_code read_sets(struct catalogue *c, yyjson_val *v, struct err *e)
{
    void *room;
    enum err_code rc =
        room_for(c, v, "sets", false, MAX_SETS, sizeof *c->sets, &room, &c->set_count, e);
    if (rc != ERR_OK)
        return rc;
    c->sets = room;
    size_t i, n;
    yyjson_val *o;
    yyjson_arr_foreach(v, i, n, o)
    {
        if ((rc = read_set(c, o, &c->sets[i], e)) != ERR_OK)
            return rc;
        for (size_t j = 0; j < i; j++)
            if (strcmp(c->sets[i].name, c->sets[j].name) == 0)
                return err_set(e, ERR_FORMAT, "%s: two sets are called '%s'", c->what,
                               c->sets[i].name);
    }
    return ERR_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static enum err_code read_all(struct catalogue *c, yyjson_val *root, struct err *e)
{
    int64_t format = 0;
    TRY(json_get_i64(root, "format", 0, 1000000, &format, c->what, e));
    if (format != 1)
        return err_set(e, ERR_FORMAT,
                       "%s: its \"format\" is not 1; is this program too old for it?", c->what);
    TRY(need_str(c, root, "hub", &c->hub, e));
    TRY(read_licences(c, yyjson_obj_get(root, "licences"), e));
    TRY(read_sources(c, yyjson_obj_get(root, "sources"), e));
    return read_sets(c, yyjson_obj_get(root, "sets"), e);
}

enum err_code catalogue_parse(struct str text, const char *what, struct catalogue **out,
                              struct err *e)
{
    *out = NULL;
    struct catalogue *c = mem_alloc(sizeof *c);
    arena_init(&c->arena, 16 << 20);
    c->what = arena_strdup(&c->arena, str_from(what));
    enum err_code rc = c->what ? json_parse(text, what, &c->doc, e)
                               : err_set(e, ERR_NOMEM, "no memory for the catalogue");
    if (rc == ERR_OK)
        rc = read_all(c, yyjson_doc_get_root(c->doc), e);
    if (rc != ERR_OK) {
        catalogue_free(c);
        return rc;
    }
    *out = c;
    return ERR_OK;
}

/* Beside the program, where the embedded models lie. */
static bool find_beside_program(char out[FETCH_PATH_BYTES])
{
    static const char *const places[] = {"../models/catalogue.json",
                                         "../share/veetance/models/catalogue.json",
                                         "../../models/catalogue.json"};
    char exe[FETCH_PATH_BYTES];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        return false;
    exe[n] = 0;
    char *slash = strrchr(exe, '/');
    if (slash)
        *slash = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (file_join(out, FETCH_PATH_BYTES, exe, places[i], NULL) == ERR_OK && file_exists(out))
            return true;
    return false;
}

static enum err_code find_catalogue(char out[FETCH_PATH_BYTES], struct err *e)
{
    const char *own = getenv("VEETANCE_CATALOGUE"), *models = getenv("VEETANCE_MODELS");
    if (own && *own) {
        int n = snprintf(out, FETCH_PATH_BYTES, "%s", own);
        return n > 0 && n < FETCH_PATH_BYTES
                   ? ERR_OK
                   : err_set(e, ERR_LIMIT, "VEETANCE_CATALOGUE is too long");
    }
    if (models && *models &&
        file_join(out, FETCH_PATH_BYTES, models, "catalogue.json", NULL) == ERR_OK &&
        file_exists(out))
        return ERR_OK;
    if (find_beside_program(out))
        return ERR_OK;
    return err_set(e, ERR_NOTFOUND,
                   "catalogue.json is not where the models are installed; name it with "
                   "VEETANCE_CATALOGUE");
}

enum err_code catalogue_open(const char *path, struct catalogue **out, struct err *e)
{
    char found[FETCH_PATH_BYTES];
    struct buf text;
    *out = NULL;
    enum err_code rc = path ? ERR_OK : find_catalogue(found, e);
    if (rc != ERR_OK)
        return rc;
    if (!path)
        path = found;
    if ((rc = file_read(path, MAX_BYTES, &text, e)) != ERR_OK)
        return rc;
    rc = catalogue_parse(buf_str(&text), path, out, e);
    buf_deinit(&text);
    return rc;
}

void catalogue_free(struct catalogue *c)
{
    if (!c)
        return;
    yyjson_doc_free(c->doc);
    arena_deinit(&c->arena);
    mem_free(c);
}

/* ---- asking -------------------------------------------------------------------------------------------- */

const char *catalogue_hub(const struct catalogue *c)
{
    return c->hub;
}

size_t catalogue_count(const struct catalogue *c)
{
    return c->set_count;
}

const struct catalogue_set *catalogue_at(const struct catalogue *c, size_t i)
{
    return &c->sets[i];
}

enum err_code catalogue_find(const struct catalogue *c, const char *name,
                             const struct catalogue_set **out, struct err *e)
{
    struct buf names;
    buf_init(&names, 300);
    for (size_t i = 0; i < c->set_count; i++) {
        if (strcmp(c->sets[i].name, name) == 0) {
            *out = &c->sets[i];
            buf_deinit(&names);
            return ERR_OK;
        }
        buf_printf(&names, "%s%s", i ? ", " : "", c->sets[i].name);
    }
    enum err_code rc = err_set(e, ERR_NOTFOUND, "there is no model set '%.60s'; there are: %s",
                               name, buf_z(&names));
    buf_deinit(&names);
    return rc;
}

const struct catalogue_component *catalogue_component_find(const struct catalogue_set *s,
                                                           const char *name)
{
    for (size_t i = 0; i < s->component_count; i++)
        if (strcmp(s->components[i].name, name) == 0)
            return &s->components[i];
    return NULL;
}

enum err_code catalogue_choice_find(const struct catalogue_component *c, const char *name,
                                    const struct catalogue_choice **out, struct err *e)
{
    struct buf names;
    if (!name) {
        *out = &c->choices[0];
        return ERR_OK;
    }
    buf_init(&names, 300);
    for (size_t i = 0; i < c->choice_count; i++) {
        if (strcasecmp(c->choices[i].name, name) == 0) {
            *out = &c->choices[i];
            buf_deinit(&names);
            return ERR_OK;
        }
        buf_printf(&names, "%s%s", i ? ", " : "", c->choices[i].name);
    }
    enum err_code rc = err_set(e, ERR_ARG, "there is no %s '%.60s' in this set; there is: %s",
                               c->name, name, buf_z(&names));
    buf_deinit(&names);
    return rc;
}

uint64_t catalogue_choice_bytes(const struct catalogue_choice *c, bool *whole)
{
    uint64_t sum = 0;
    *whole = true;
    for (size_t i = 0; i < c->file_count; i++) {
        if (c->files[i].size >= 0)
            sum += (uint64_t)c->files[i].size;
        /* An index of unknown shards hides nearly everything; small files do not matter. */
        else if (c->files[i].shards ||
                 str_ends(str_from(c->files[i].path), STR_LIT(".safetensors")) ||
                 str_ends(str_from(c->files[i].path), STR_LIT(".gguf")))
            *whole = false;
    }
    return sum;
}
