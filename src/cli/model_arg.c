/* model_arg.c - finds the model that a person means by a word.
 *
 * In this order: a name of the model store or of a downloaded set, a path that exists, an embedded model, a
 * repository in the hub's cache ("ORG/NAME"). What comes first wins, and a name that hides another is noted. When
 * nothing fits, the name that is nearest to it is told.
 */
#include "cli/model_arg.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/suggest.h"
#include "pipeline/model_dir.h"

static bool same_folder(const char *a, const char *b)
{
    char x[PATH_MAX], y[PATH_MAX];
    return realpath(a, x) && realpath(b, y) && strcmp(x, y) == 0;
}

/* ---- the hub's cache ------------------------------------------------------------------------------- */

/* The snapshot that the model store would take of a repository's folder. */
static enum err_code hub_snapshot(const char *repo, struct cli_model *out, struct err *e)
{
    struct models *m = models_new();
    const struct models_options o = {.distilled = -1};
    enum err_code rc;
    TRY_GOTO(models_add(m, repo, &o, e), done);
    if (m->n_models != 1 || !m->models[0].path[0]) {
        rc = err_set(e, ERR_NOTFOUND, "'%s' has no snapshot of a whole model", repo);
        goto done;
    }
    (void)snprintf(out->path, sizeof out->path, "%s", m->models[0].path);
done:
    models_free(m);
    return rc;
}

static bool is_repository(const char *path)
{
    char snapshots[MODELS_PATH_BYTES];
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    const char *base = path + n;
    while (base > path && base[-1] != '/')
        base--;
    return strncmp(base, "models--", 8) == 0 &&
           file_join(snapshots, sizeof snapshots, path, "snapshots", NULL) == ERR_OK &&
           file_is_dir(snapshots);
}

/* "models--ORG--NAME" for that or for "ORG/NAME"; false: it is neither. */
static bool repository_name(const char *name, char *out, size_t size)
{
    const char *slash = strchr(name, '/');
    int n = -1;
    if (strncmp(name, "models--", 8) == 0 && !slash)
        n = snprintf(out, size, "%s", name);
    else if (slash && slash != name && slash[1] && name[0] != '.' && name[0] != '~' &&
             !strchr(slash + 1, '/'))
        n = snprintf(out, size, "models--%.*s--%s", (int)(slash - name), name, slash + 1);
    return n > 0 && (size_t)n < size;
}

/* Where Hugging Face's own programs look, in their order. */
static bool find_in_cache(const char *name, char out[MODELS_PATH_BYTES])
{
    static const struct {
        const char *variable, *below;
    } places[] = {{"HF_HUB_CACHE", ""},
                  {"HUGGINGFACE_HUB_CACHE", ""},
                  {"HF_HOME", "/hub"},
                  {"XDG_CACHE_HOME", "/huggingface/hub"},
                  {"HOME", "/.cache/huggingface/hub"}};
    char repo[256];
    if (!repository_name(name, repo, sizeof repo))
        return false;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *root = getenv(places[i].variable);
        int n = root && *root
                    ? snprintf(out, MODELS_PATH_BYTES, "%s%s/%s", root, places[i].below, repo)
                    : -1;
        if (n > 0 && n < MODELS_PATH_BYTES && is_repository(out))
            return true;
    }
    return false;
}

/* ---- names ----------------------------------------------------------------------------------------- */

static void suggest_embedded(const char *name, void *user)
{
    cli_suggest(user, name);
}

static enum err_code not_found(const char *name, struct err *e)
{
    struct cli_suggestion s = {.typed = name};
    struct models *m = NULL;
    if (models_load(NULL, &m, NULL) == ERR_OK)
        for (size_t i = 0; i < m->n_models; i++)
            cli_suggest(&s, m->models[i].name);
    model_embedded_each(suggest_embedded, &s);
    enum err_code rc =
        err_set(e, ERR_NOTFOUND,
                "there is no model '%.150s': neither a name (`veetance models list`) "
                "nor a folder%s",
                name, cli_suggest_text(&s));
    models_free(m);
    return rc;
}

bool cli_model_is_embedded(const char *name, const char *path)
{
    char embedded[MODEL_PATH_BYTES];
    return model_embedded_find(name, embedded) && !same_folder(embedded, path);
}

/* A name that somebody also gave to a model of his own. */
static void note_shadow(const char *name, struct cli_model *out)
{
    if (cli_model_is_embedded(name, out->path))
        (void)snprintf(out->note, sizeof out->note,
                       "'%.60s' is your own model at %.150s, not the embedded one", name,
                       out->path);
}

/* A name of the store or of a downloaded set; *known tells whether it is one. */
static enum err_code find_named(const char *name, struct cli_model *out, bool *known, struct err *e)
{
    *known = false;
    if (strlen(name) >= MODELS_NAME_BYTES || strchr(name, '/'))
        return ERR_OK;
    enum err_code rc = models_resolve(name, out->path, e);
    *known = rc == ERR_OK && strcmp(out->path, name) != 0;
    return rc;
}

enum err_code cli_model_find(const char *name, struct cli_model *out, struct err *e)
{
    char repo[MODELS_PATH_BYTES];
    bool known;
    out->note[0] = 0;
    if (!*name)
        return err_set(e, ERR_ARG, "no model is named; give one with -m, e.g. -m micro-klein");
    TRY(find_named(name, out, &known, e));
    if (!known && !file_native_path(name, out->path, sizeof out->path))
        return not_found(name, e);
    if (known || file_exists(out->path)) {
        note_shadow(name, out);
        return is_repository(out->path) ? hub_snapshot(name, out, e) : ERR_OK;
    }
    if (model_embedded_find(name, out->path))
        return ERR_OK;
    return find_in_cache(name, repo) ? hub_snapshot(repo, out, e) : not_found(name, e);
}

enum err_code cli_model_take(const char **name, struct cli_model *out,
                             struct cli_progress *progress, struct err *e)
{
    TRY(cli_model_find(*name, out, e));
    if (out->note[0])
        cli_progress_note(progress, out->note);
    *name = out->path;
    return ERR_OK;
}

enum err_code cli_model_or_path(const char *name, struct cli_model *out, struct err *e)
{
    out->note[0] = 0;
    if (!file_native_path(name, out->path, sizeof out->path))
        return err_set(e, ERR_ARG, "the path is too long");
    return file_exists(out->path) && !is_repository(out->path) ? ERR_OK
                                                               : cli_model_find(name, out, e);
}
