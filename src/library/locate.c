/* locate.c - where a component's files are at this moment: in their place, on a drive that is offline, on one
 * that is mounted elsewhere, or gone.
 *
 * A place remembers the mount point that it was seen under. When its path is not there, the rest of the path is
 * tried under every other mount point (a drive that got another name). When nothing is mounted where it was,
 * the drive is offline (state "away"); otherwise the file is missing. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "library/impl.h"

enum { MOUNTS_MAX_BYTES = 4 << 20, MOUNTS_MAX = 4096 };

/* ---- mount points ---------------------------------------------------------------------------------- */

/* "\040" and its like in mountinfo are the bytes that would break its lines. */
static void unescape(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
            s[3] >= '0' && s[3] <= '7') {
            *to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
            s += 3;
        } else {
            *to++ = *s;
        }
    }
    *to = 0;
}

/* Calls fn with every mount point until it says true. The root always is one; that of a chroot has no line. */
static bool each_mount(bool (*fn)(const char *mount, void *user), void *user)
{
    char line[2 * MODELS_PATH_BYTES];
    bool stop = fn("/", user);
    FILE *f = fopen("/proc/self/mountinfo", "re");
    if (!f)
        return stop;
    for (int i = 0; !stop && i < MOUNTS_MAX && fgets(line, sizeof line, f); i++) {
        char *rest = line;
        const char *field[5];
        for (int k = 0; k < 5; k++)
            field[k] = strsep(&rest, " ");
        if (!field[4])
            continue;
        unescape((char *)(uintptr_t)field[4]);
        stop = fn(field[4], user);
    }
    (void)fclose(f);
    return stop;
}

/* Does the path lie on or below the folder? */
static bool is_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    if (n == 1 && dir[0] == '/')
        return true;
    return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == 0);
}

struct longest {
    const char *path;
    char *out;
};

static bool take_longer(const char *mount, void *user)
{
    struct longest *l = user;
    if (is_below(l->path, mount) && strlen(mount) > strlen(l->out) &&
        strlen(mount) < MODELS_PATH_BYTES)
        memcpy(l->out, mount, strlen(mount) + 1);
    return false;
}

void models_volume_of(const char *path, char out[MODELS_PATH_BYTES])
{
    struct longest l = {path, out};
    out[0] = 0;
    (void)each_mount(take_longer, &l);
    if (!out[0])
        memcpy(out, "/", 2);
}

static bool is_same(const char *mount, void *user)
{
    return strcmp(mount, user) == 0;
}

static bool is_mounted(const char *volume)
{
    return each_mount(is_same, (void *)(uintptr_t)volume);
}

/* ---- places ---------------------------------------------------------------------------------------- */

bool models_file_path(const struct models_place *p, size_t i, char out[MODELS_PATH_BYTES])
{
    if (p->names)
        return file_join(out, MODELS_PATH_BYTES, p->path, p->names[i], NULL) == ERR_OK;
    int n = snprintf(out, MODELS_PATH_BYTES, "%s", p->path);
    return n > 0 && n < MODELS_PATH_BYTES;
}

/* Are all files there, of the sizes that were recorded? */
static enum models_state files_state(const struct models_component *c, const struct models_place *p)
{
    char path[MODELS_PATH_BYTES];
    struct stat st;
    for (size_t i = 0; i < c->n_files; i++) {
        if (!models_file_path(p, i, path) || stat(path, &st) != 0)
            return MODELS_MISSING;
        if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != c->files[i].bytes)
            return MODELS_CHANGED;
    }
    return MODELS_READY;
}

enum models_state models_place_state(const struct models_component *c, const struct models_place *p)
{
    enum models_state s = files_state(c, p);
    if (s == MODELS_MISSING && p->volume[0] && !is_mounted(p->volume))
        return MODELS_AWAY;
    return s;
}

/* ---- a drive under another name -------------------------------------------------------------------- */

struct elsewhere {
    const struct models_component *c;
    const struct models_place *old;
    char *out;
};

/* The bytes decide: a file of that size on another drive need not be the same. */
static bool is_the_same(const struct models_component *c, const struct models_place *p)
{
    char path[MODELS_PATH_BYTES];
    for (size_t i = 0; i < c->n_files; i++) {
        struct models_file f = {0};
        if (!models_file_path(p, i, path) || models_quick(path, &f, NULL) != ERR_OK ||
            strcmp(f.quick, c->files[i].quick) != 0)
            return false;
    }
    return true;
}

static bool try_mount(const char *mount, void *user)
{
    struct elsewhere *x = user;
    size_t skip = strcmp(x->old->volume, "/") == 0 ? 0 : strlen(x->old->volume);
    const char *rest = x->old->path + skip;
    int n = snprintf(x->out, MODELS_PATH_BYTES, "%s%s", strcmp(mount, "/") == 0 ? "" : mount, rest);
    struct models_place p = {.path = x->out, .volume = mount, .names = x->old->names};
    return n > 0 && n < MODELS_PATH_BYTES && strcmp(x->out, x->old->path) != 0 &&
           files_state(x->c, &p) == MODELS_READY && is_the_same(x->c, &p);
}

static bool find_elsewhere(const struct models_component *c, const struct models_place *p,
                           char out[MODELS_PATH_BYTES])
{
    struct elsewhere x = {c, p, out};
    return p->volume[0] && is_below(p->path, p->volume) && each_mount(try_mount, &x);
}

/* A folder with a config.json says more than a file alone, whose shapes must do. */
static bool has_config(const struct models_place *p)
{
    char path[MODELS_PATH_BYTES];
    return p->names && file_join(path, sizeof path, p->path, "config.json", NULL) == ERR_OK &&
           file_exists(path);
}

enum models_state models_component_state(const struct models_component *c,
                                         char path[MODELS_PATH_BYTES])
{
    enum models_state best = MODELS_MISSING;
    bool configured = false;
    path[0] = 0;
    for (size_t i = 0; i < c->n_places; i++) {
        const struct models_place *p = &c->places[i];
        enum models_state s = models_place_state(c, p);
        if (s == MODELS_READY && strlen(p->path) < MODELS_PATH_BYTES && !configured) {
            configured = has_config(p);
            if (!path[0] || configured)
                memcpy(path, p->path, strlen(p->path) + 1);
        }
        if (i == 0 || s < best)
            best = s;
    }
    if (path[0])
        return MODELS_READY;
    for (size_t i = 0; i < c->n_places; i++)
        if (find_elsewhere(c, &c->places[i], path))
            return MODELS_READY;
    path[0] = 0;
    return best;
}

uint64_t models_component_bytes(const struct models_component *c)
{
    uint64_t sum = 0;
    for (size_t i = 0; c->own_bytes == 0 && i < c->n_files; i++)
        sum += c->files[i].bytes;
    return sum + (uint64_t)c->own_bytes;
}

size_t models_users(const struct models *m, const struct models_component *c)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n_models; i++)
        for (int r = 0; r < MODELS_ROLES; r++)
            n += m->models[i].parts[r] && strcmp(m->models[i].parts[r], c->id) == 0;
    return n;
}

/* ---- models ---------------------------------------------------------------------------------------- */

bool models_role_is_needed(const struct models *m, const struct models_model *x, enum models_role r)
{
    const struct models_component *encoder = models_component(m, x->parts[MODELS_TEXT_ENCODER]);
    /* A GGUF encoder brings its own, and for those of the published size the program has one. */
    bool has_tokenizer =
        encoder && (encoder->tokens || encoder->rows >= MODELS_PUBLISHED_VOCABULARY);
    return r != MODELS_VISION && r != MODELS_PROCESSOR && !(r == MODELS_TOKENIZER && has_tokenizer);
}

enum models_state models_model_state(const struct models *m, const struct models_model *model,
                                     enum models_role *fault)
{
    char path[MODELS_PATH_BYTES];
    enum models_state worst = MODELS_READY;
    for (int r = 0; r < MODELS_ROLES; r++) {
        const struct models_component *c = models_component(m, model->parts[r]);
        enum models_state s = c ? models_component_state(c, path) : MODELS_INCOMPLETE;
        if (!c && !models_role_is_needed(m, model, (enum models_role)r))
            continue;
        if (s > worst) {
            worst = s;
            if (fault)
                *fault = (enum models_role)r;
        }
    }
    return worst;
}

/* ---- resolving ------------------------------------------------------------------------------------- */

static enum err_code refuse(const struct models *m, const struct models_model *x, struct err *e)
{
    enum models_role r = MODELS_TRANSFORMER;
    enum models_state s = models_model_state(m, x, &r);
    const struct models_component *c = models_component(m, x->parts[r]);
    const char *where = c && c->n_places ? c->places[0].path : "";
    if (s == MODELS_AWAY)
        return err_set(e, ERR_NOTFOUND,
                       "the model '%s' is offline: nothing is mounted at '%s', where its %s is; "
                       "connect the drive",
                       x->name, c && c->n_places ? c->places[0].volume : "", models_role_name(r));
    if (s == MODELS_INCOMPLETE)
        return err_set(
            e, ERR_NOTFOUND,
            "the model '%s' has no %s; add one that fits with `veetance models add PATH`", x->name,
            models_role_name(r));
    return err_set(e, ERR_NOTFOUND,
                   "the model '%s' cannot be used: its %s '%s' is %s; `veetance models scan DIR` "
                   "finds what has moved",
                   x->name, models_role_name(r), where, models_state_name(s));
}

enum err_code models_resolve_in(struct models *m, const char *name, char out[MODELS_PATH_BYTES],
                                struct err *e)
{
    const struct models_model *x = models_find(m, name);
    if (!x)
        return err_set(
            e, ERR_NOTFOUND,
            "the model store has no '%.100s'; `veetance models list` names what there is", name);
    /* The hub's folders are called by a hash: a generated veetance.json gives the name. */
    bool as_it_lies = strcmp(x->layout, "folder") == 0 && !x->chosen;
    if (as_it_lies && models_is_folder(x->path) && models_folder_is_whole(m, x)) {
        memcpy(out, x->path, strlen(x->path) + 1);
        return ERR_OK;
    }
    if (models_model_state(m, x, NULL) != MODELS_READY)
        return refuse(m, x, e);
    return models_assemble(m, x, out, e);
}

/* What was downloaded lies in models/NAME of the data folder and need not be added. */
static bool is_downloaded(const struct models *m, const char *name, char out[MODELS_PATH_BYTES])
{
    char dir[MODELS_PATH_BYTES], index[MODELS_PATH_BYTES];
    return name[0] && name[0] != '.' && !strchr(name, '/') &&
           file_join(dir, sizeof dir, m->dir, "models", NULL) == ERR_OK &&
           file_join(out, MODELS_PATH_BYTES, dir, name, NULL) == ERR_OK &&
           ((file_join(index, sizeof index, out, "model_index.json", NULL) == ERR_OK &&
             file_exists(index)) ||
            (file_join(index, sizeof index, out, "veetance.json", NULL) == ERR_OK &&
             file_exists(index)));
}

enum err_code models_resolve(const char *name, char out[MODELS_PATH_BYTES], struct err *e)
{
    struct models *m = NULL;
    struct err why = {0};
    if (!file_native_path(name, out, MODELS_PATH_BYTES))
        return err_set(e, ERR_ARG, "the model's path is too long");
    if (strchr(out, '/') || !name[0])
        return ERR_OK;
    enum err_code rc = models_load(NULL, &m, &why);
    if (rc == ERR_OK && models_find(m, name))
        rc = models_resolve_in(m, name, out, e);
    else if (rc == ERR_OK && !is_downloaded(m, name, out))
        memcpy(out, name, strlen(name) + 1);
    else if (rc == ERR_NOTFOUND)
        rc = ERR_OK; /* no home, so no store */
    else if (rc != ERR_OK)
        (void)err_set(e, rc, "%s", why.text);
    models_free(m);
    return rc;
}
