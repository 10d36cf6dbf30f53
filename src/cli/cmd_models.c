/* cmd_models.c - `veetance models`: the model store on the command line.
 *
 * Each verb is a row that says what it takes and whether it changes the store. Those that do load it under its lock,
 * change it in memory and save it whole; reading needs no lock. Embedded and downloaded models need no adding: they
 * are looked at anew for a list, and kept nowhere.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/model_arg.h"
#include "cli/models_advise.h"
#include "cli/suggest.h"
#include "library/models.h"
#include "pipeline/model_dir.h"

enum {
    MODELS_JSON = 1,
    MODELS_AS,
    MODELS_DISTILLED,
    MODELS_QUICK,
    MODELS_HASH,
    MODELS_QUIET,
    MODELS_BUDGET
};

static const struct cli_option options[] = {
    {MODELS_AS, 0, "as", "NAME", "add, link: what -m calls the model (default: from the path)"},
    {MODELS_DISTILLED, 0, "distilled", "yes|no",
     "add, link: a klein transformer file is a distilled or a base model (default: by its name)"},
    {MODELS_QUICK, 0, "quick", NULL, "add, link, verify: compare samples, not every byte"},
    {MODELS_HASH, 0, "hash", NULL, "scan: also the sha256 of every file, which reads all of them"},
    {MODELS_BUDGET, 0, "budget", "SIZE",
     "advise: the memory that may be used, e.g. 16G (default: what is free)"},
    {MODELS_JSON, 0, "json", NULL, "print JSON"},
    {MODELS_QUIET, 'q', "quiet", NULL, "say nothing but results and errors"},
    {0},
};

struct models_job {
    const struct cli_command *self;
    const char *verb, *target, *setting, *budget;
    bool json, quick, hash, quiet;
    bool line_open; /* a progress line that is redrawn */
    struct models_options o;
    struct models *m;
    struct models *others; /* models that need no adding: embedded, downloaded */
};

/* ---- reports --------------------------------------------------------------------------------------- */

static void report(const struct models_report *r, void *user)
{
    struct models_job *j = user;
    static const char *const words[] = {"model", "found",  "not used", "",     "moved",
                                        "sound", "BROKEN", "left out", "note", "waiting"};
    bool terminal = isatty(STDERR_FILENO) != 0;
    if (j->quiet)
        return;
    if (r->news == MODELS_HASHING) {
        if (terminal)
            fprintf(stderr, "\r  reading %s: %.1f of %.1f GiB", r->path,
                    (double)r->done / (1 << 30), (double)r->bytes / (1 << 30));
        j->line_open = terminal;
        return;
    }
    bool told = strstr(r->text, r->path) != NULL; /* errors name their file */
    fprintf(stderr, "%s  %-8s %s%s%s\n", j->line_open ? "\n" : "", words[r->news], r->text,
            told ? "" : ": ", told ? "" : r->path);
    j->line_open = false;
}

/* ---- models that need no adding -------------------------------------------------------------------- */

static const char layout_embedded[] = "embedded", layout_downloaded[] = "downloaded";

/* Looked at as those that are added are, but kept nowhere. One that the store has under its name is hidden by it. */
static void add_other(struct models_job *j, const char *name, const char *path, const char *layout)
{
    const struct models_options o = {.name = name, .distilled = -1};
    size_t before = j->others->n_models;
    if (!models_find(j->m, name) && !models_find(j->others, name) &&
        models_add(j->others, path, &o, NULL) == ERR_OK && j->others->n_models > before)
        j->others->models[before].layout = layout;
}

static void add_embedded(const char *name, void *user)
{
    char path[MODEL_PATH_BYTES];
    if (model_embedded_find(name, path))
        add_other(user, name, path, layout_embedded);
}

static void add_downloaded(struct models_job *j)
{
    char dir[MODELS_PATH_BYTES], path[MODELS_PATH_BYTES];
    if (file_join(dir, sizeof dir, j->m->dir, "models", NULL) != ERR_OK)
        return;
    DIR *d = opendir(dir);
    for (struct dirent *f = d ? readdir(d) : NULL; f; f = readdir(d))
        if (f->d_name[0] != '.' && file_join(path, sizeof path, dir, f->d_name, NULL) == ERR_OK)
            add_other(j, f->d_name, path, layout_downloaded);
    if (d)
        (void)closedir(d);
}

static int by_name(const void *a, const void *b)
{
    const struct models_model *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static void find_others(struct models_job *j)
{
    j->others = models_new();
    add_downloaded(j);
    model_embedded_each(add_embedded, j);
    if (j->others->n_models)
        qsort(j->others->models, j->others->n_models, sizeof j->others->models[0], by_name);
}

/* ---- list and show --------------------------------------------------------------------------------- */

static void json_component(struct buf *b, const char *key, const struct models *m,
                           const struct models_component *c)
{
    char path[MODELS_PATH_BYTES];
    enum models_state s = models_component_state(c, path);
    json_object(b, key);
    json_put_z(b, "id", c->id);
    if (models_is_lora(c)) {
        char name[MODELS_NAME_BYTES];
        models_lora_name(c, name);
        json_put_z(b, "name", name);
        json_put_z(b, "base", c->base);
        json_put_int(b, "rank", c->rank);
    }
    json_put_z(b, "kind", c->kind);
    json_put_z(b, "about", c->about);
    json_put_z(b, "state", models_state_name(s));
    json_put_uint(b, "bytes", models_component_bytes(c));
    json_put_uint(b, "users", models_users(m, c));
    json_put_z(b, "path", path[0] ? path : c->n_places ? c->places[0].path : "");
    json_array(b, "sha256");
    for (size_t i = 0; i < c->n_files; i++)
        json_put_z(b, NULL, c->files[i].sha256[0] ? c->files[i].sha256 : NULL);
    json_end_array(b);
    json_end_object(b);
}

static void json_model(struct buf *b, const struct models *m, const struct models_model *x)
{
    json_object(b, NULL);
    json_put_z(b, "name", x->name);
    json_put_z(b, "pipeline", x->pipeline);
    json_put_z(b, "layout", x->layout);
    json_put_z(b, "state", models_state_name(models_model_state(m, x, NULL)));
    json_put_uint(b, "bytes", models_model_bytes(m, x));
    json_put_z(b, "path", x->path);
    json_object(b, "parts");
    for (int r = 0; r < MODELS_ROLES; r++) {
        const struct models_component *c = models_component(m, x->parts[r]);
        if (c)
            json_component(b, models_role_name((enum models_role)r), m, c);
    }
    json_end_object(b);
    json_end_object(b);
}

static void json_all(struct buf *b, const struct models *m, const struct models *others)
{
    json_object(b, NULL);
    json_array(b, "models");
    for (size_t i = 0; i < m->n_models; i++)
        json_model(b, m, &m->models[i]);
    for (size_t i = 0; i < others->n_models; i++)
        json_model(b, others, &others->models[i]);
    json_end_array(b);
    json_array(b, "unused");
    for (size_t i = 0; i < m->n_components; i++)
        if (!models_users(m, &m->components[i]) && !models_is_lora(&m->components[i]))
            json_component(b, NULL, m, &m->components[i]);
    json_end_array(b);
    json_array(b, "loras");
    for (size_t i = 0; i < m->n_components; i++)
        if (models_is_lora(&m->components[i]))
            json_component(b, NULL, m, &m->components[i]);
    json_end_array(b);
    json_end_object(b);
}

struct size_text {
    char z[32];
};

static struct size_text size_of(uint64_t bytes)
{
    struct size_text t;
    if (bytes >= (uint64_t)1 << 30)
        (void)snprintf(t.z, sizeof t.z, "%.1f GiB", (double)bytes / (1 << 30));
    else if (bytes >= 1 << 20)
        (void)snprintf(t.z, sizeof t.z, "%.1f MiB", (double)bytes / (1 << 20));
    else
        (void)snprintf(t.z, sizeof t.z, "%.1f KiB", (double)bytes / (1 << 10));
    return t;
}

static bool is_own(const struct models_model *x)
{
    return x->layout != layout_embedded && x->layout != layout_downloaded;
}

/* Its folder; of a model that was put together the place of its transformer. */
static const char *place_of(const struct models *m, const struct models_model *x,
                            char path[MODELS_PATH_BYTES])
{
    const struct models_component *c = models_component(m, x->parts[MODELS_TRANSFORMER]);
    if (!is_own(x))
        return x->layout;
    if (x->path[0] || !c)
        return x->path;
    if (models_component_state(c, path) != MODELS_READY && c->n_places)
        return c->places[0].path;
    return path;
}

static void print_model_line(const struct models *m, const struct models_model *x, int width)
{
    char path[MODELS_PATH_BYTES];
    enum models_role fault = MODELS_TRANSFORMER;
    enum models_state s = models_model_state(m, x, &fault);
    printf("%-*s %-8s %10s  %s", width, x->name, x->pipeline, size_of(models_model_bytes(m, x)).z,
           models_state_name(s));
    if (s == MODELS_INCOMPLETE)
        printf(" (no %s)", models_role_name(fault));
    else if (s != MODELS_READY)
        printf(" (%s)", models_role_name(fault));
    printf("  %s\n", place_of(m, x, path));
}

static void print_component(const struct models *m, const struct models_component *c,
                            const char *label)
{
    char path[MODELS_PATH_BYTES];
    enum models_state s = models_component_state(c, path);
    size_t users = models_users(m, c);
    int indent = label[0] ? 16 : 4;
    printf("  %-*s%s%s, %s, %s", label[0] ? 13 : 0, label, label[0] ? " " : "", c->about,
           size_of(models_component_bytes(c)).z, models_state_name(s));
    if (users > 1)
        printf(", shared by %zu models", users);
    printf("\n%*s%s\n", indent, "",
           path[0]       ? path
           : c->n_places ? c->places[0].path
                         : "(no place is known)");
    if (c->n_files == 1 && c->files[0].sha256[0])
        printf("%*ssha256 %s\n", indent, "", c->files[0].sha256);
}

enum { NAME_COLUMN = 28, NAME_COLUMN_MOST = 48 };

/* A line of the list. */
struct row {
    const struct models_model *model;
};

static int by_name_of(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int r = strcasecmp(x->model->name, y->model->name);
    return r ? r : strcmp(x->model->name, y->model->name);
}

/* By name, the store's own before the others. */
static void print_models(const struct models *m, const struct models *others)
{
    struct row *own = mem_alloc((m->n_models + 1) * sizeof *own);
    size_t width = NAME_COLUMN;
    for (size_t i = 0; i < m->n_models; i++) {
        size_t n = strlen(m->models[i].name);
        width = n > width && n <= NAME_COLUMN_MOST ? n : width;
        own[i].model = &m->models[i];
    }
    qsort(own, m->n_models, sizeof *own, by_name_of);
    for (size_t i = 0; i < m->n_models; i++)
        print_model_line(m, own[i].model, (int)width);
    for (size_t i = 0; i < others->n_models; i++)
        print_model_line(others, &others->models[i], (int)width);
    mem_free(own);
}

static void print_loras(const struct models *m)
{
    bool first = true;
    for (size_t i = 0; i < m->n_components; i++) {
        char name[MODELS_NAME_BYTES];
        if (!models_is_lora(&m->components[i]))
            continue;
        if (first)
            printf("\nFor --lora:\n");
        first = false;
        models_lora_name(&m->components[i], name);
        printf("  %s\n", name);
        print_component(m, &m->components[i], "");
    }
}

static void print_list(const struct models *m, const struct models *others)
{
    bool first = true;
    print_models(m, others);
    if (m->n_models == 0)
        printf(
            "No models of your own yet: `veetance models add PATH`, `veetance models scan DIR`;\n"
            "`veetance-fetch list` names what can be downloaded.\n");
    print_loras(m);
    for (size_t i = 0; i < m->n_components; i++) {
        if (models_users(m, &m->components[i]) || models_is_lora(&m->components[i]))
            continue;
        if (first)
            printf("\nNot used by any model:\n");
        first = false;
        print_component(m, &m->components[i], "");
    }
}

static int unknown(struct models_job *j)
{
    struct err e = {0};
    struct cli_suggestion s = {.typed = j->target};
    for (size_t i = 0; i < j->m->n_models; i++)
        cli_suggest(&s, j->m->models[i].name);
    for (size_t i = 0; i < j->others->n_models; i++)
        cli_suggest(&s, j->others->models[i].name);
    (void)err_set(&e, ERR_NOTFOUND,
                  "the model store has no '%.100s'; `veetance models list` names what there is%s",
                  j->target, cli_suggest_text(&s));
    return cli_fail_err(&e);
}

static void print_head(const struct models *m, const struct models_model *x)
{
    char path[MODELS_PATH_BYTES];
    printf("%s: %s, %s, %s\n  %s\n", x->name, x->pipeline, size_of(models_model_bytes(m, x)).z,
           models_state_name(models_model_state(m, x, NULL)), place_of(m, x, path));
}

static int show_lora(struct models_job *j)
{
    struct err e = {0};
    struct models_component *c = NULL;
    if (models_find_lora(j->m, j->target, &c, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (!c)
        return unknown(j);
    if (j->json) {
        struct buf b;
        buf_init(&b, 1 << 20);
        json_component(&b, NULL, j->m, c);
        puts(buf_z(&b));
        buf_deinit(&b);
    } else {
        printf("%s\n", j->target);
        print_component(j->m, c, "");
    }
    return CLI_OK;
}

static int show(struct models_job *j)
{
    const struct models *m = j->m;
    const struct models_model *x = models_find(m, j->target);
    if (!x) {
        m = j->others;
        x = models_find(m, j->target);
    }
    if (!x)
        return show_lora(j);
    if (j->json) {
        struct buf b;
        buf_init(&b, 64u << 20);
        json_model(&b, m, x);
        puts(buf_z(&b));
        buf_deinit(&b);
        return CLI_OK;
    }
    print_head(m, x);
    for (int r = 0; r < MODELS_ROLES; r++) {
        const struct models_component *c = models_component(m, x->parts[r]);
        if (c)
            print_component(m, c, models_role_name((enum models_role)r));
        else if (models_role_is_needed(m, x, (enum models_role)r))
            printf("  %-13s none that fits is known\n", models_role_name((enum models_role)r));
    }
    return CLI_OK;
}

static int list(struct models_job *j)
{
    if (j->json) {
        struct buf b;
        buf_init(&b, 64u << 20);
        json_all(&b, j->m, j->others);
        puts(buf_z(&b));
        buf_deinit(&b);
    } else {
        print_list(j->m, j->others);
    }
    return CLI_OK;
}

/* ---- changes --------------------------------------------------------------------------------------- */

static int save_and_list(struct models_job *j)
{
    struct err e = {0};
    if (models_save(j->m, &e) != ERR_OK)
        return cli_fail_err(&e);
    return list(j);
}

static int add(struct models_job *j)
{
    struct err e = {0};
    j->o.hash = !j->quick;
    if (models_add(j->m, j->target, &j->o, &e) != ERR_OK)
        return cli_fail_err(&e);
    return save_and_list(j);
}

static int scan(struct models_job *j)
{
    struct err e = {0};
    j->o.hash = j->hash;
    if (models_scan(j->m, j->target, &j->o, &e) != ERR_OK)
        return cli_fail_err(&e);
    return save_and_list(j);
}

static int verify(struct models_job *j)
{
    struct err e = {0};
    j->o.hash = !j->quick;
    size_t broken = models_verify(j->m, &j->o);
    if (models_save(j->m, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (j->json) {
        struct buf b;
        buf_init(&b, 1 << 12);
        json_object(&b, NULL);
        json_put_uint(&b, "components", j->m->n_components);
        json_put_uint(&b, "broken", broken);
        json_end_object(&b);
        cli_print_json(&b);
    } else {
        printf("%zu components, %zu broken\n", j->m->n_components, broken);
    }
    return broken ? CLI_FAILED : CLI_OK;
}

/* Only what was added can be changed. CLI_OK, or an exit code after saying what is wrong. */
static int check_own(struct models_job *j, const char *what)
{
    struct err e = {0};
    if (models_find(j->m, j->target))
        return CLI_OK;
    const struct models_model *other = models_find(j->others, j->target);
    if (!other)
        return unknown(j);
    (void)err_set(&e, ERR_ARG, "'%.60s' is %s and was not added, so it cannot be %s", j->target,
                  other->layout, what);
    return cli_fail_err(&e);
}

static int forget(struct models_job *j)
{
    struct err e = {0};
    struct models_component *lora = NULL;
    if (!models_find(j->m, j->target) && models_find_lora(j->m, j->target, &lora, &e) != ERR_OK)
        return cli_fail_err(&e);
    int rc = lora ? CLI_OK : check_own(j, "removed");
    if (rc != CLI_OK)
        return rc;
    if (models_remove(j->m, j->target, &e) != ERR_OK)
        return cli_fail_err(&e);
    return save_and_list(j);
}

/* KEY=VALUE */
static int set(struct models_job *j)
{
    struct err e = {0};
    char key[64];
    const char *eq = j->setting ? strchr(j->setting, '=') : NULL;
    if (!eq || (size_t)(eq - j->setting) >= sizeof key)
        return cli_usage_error(j->self,
                               "set needs NAME and KEY=VALUE, such as reference_cache=yes");
    (void)snprintf(key, sizeof key, "%.*s", (int)(eq - j->setting), j->setting);
    int own = check_own(j, "changed");
    if (own != CLI_OK)
        return own;
    enum err_code rc = models_set(j->m, j->target, key, eq + 1, &e);
    if (rc == ERR_ARG)
        rc = cli_suggest_add(&e, key, "distilled reference_cache");
    if (rc == ERR_OK)
        rc = models_save(j->m, &e);
    return rc == ERR_OK ? show(j) : cli_fail_err(&e);
}

static int advise(struct models_job *j)
{
    return models_advise(j->m, j->budget, j->json);
}

/* ---- the command ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *target; /* what it wants; NULL: nothing */
    int (*run)(struct models_job *j);
    bool changes;
} verbs[] = {
    {"list", NULL, list, false},
    {"show", "a model's name", show, false},
    {"add", "a path", add, true},
    {"link", "a path", add, true},
    {"scan", "a folder", scan, true},
    {"verify", NULL, verify, true},
    {"advise", NULL, advise, false},
    {"set", "a model's name", set, true},
    {"remove", "a model's name", forget, true},
};

static int execute(struct models_job *j)
{
    struct err e = {0};
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(j->verb, verbs[i].name) != 0)
            continue;
        if (verbs[i].target && !j->target)
            return cli_usage_error(j->self, "%s needs %s", j->verb, verbs[i].target);
        if (!verbs[i].target && j->target)
            return cli_usage_error(j->self, "'%.60s' is not expected here", j->target);
        if (strcmp(j->verb, "link") == 0 && !j->o.name)
            return cli_usage_error(j->self, "link needs --as NAME");
        if ((verbs[i].changes ? models_load_to_change(NULL, &j->o, &j->m, &e)
                              : models_load(NULL, &j->m, &e)) != ERR_OK)
            return cli_fail_err(&e);
        find_others(j);
        int rc = verbs[i].run(j);
        models_free(j->others);
        models_free(j->m);
        return rc;
    }
    return cli_no_subcommand(j->self, j->verb);
}

static int set_distilled(struct models_job *j, const struct cli_args *a)
{
    return cli_choice(a, "no|yes", &j->o.distilled) ? CLI_OK : CLI_USAGE;
}

static int take(struct models_job *j, const struct cli_args *a, int id)
{
    switch (id) {
    case MODELS_JSON:
        j->json = true;
        return CLI_OK;
    case MODELS_QUICK:
        j->quick = true;
        return CLI_OK;
    case MODELS_HASH:
        j->hash = true;
        return CLI_OK;
    case MODELS_QUIET:
        j->quiet = true;
        return CLI_OK;
    case MODELS_BUDGET:
        j->budget = a->value;
        return CLI_OK;
    case MODELS_AS:
        j->o.name = a->value;
        return CLI_OK;
    case MODELS_DISTILLED:
        return set_distilled(j, a);
    case CLI_POSITIONAL:
        if (!j->verb)
            j->verb = a->value;
        else if (!j->target)
            j->target = a->value;
        else if (!j->setting && strcmp(j->verb, "set") == 0)
            j->setting = a->value;
        else
            return cli_usage_error(j->self, "'%.60s' is one argument too many", a->value);
        return CLI_OK;
    default:
        return CLI_USAGE;
    }
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    struct models_job j = {.self = self};
    int id;
    j.o.distilled = -1;
    j.o.reserved = cli_model_is_embedded;
    j.o.report = report;
    j.o.user = &j;
    while ((id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            return CLI_OK;
        int rc = take(&j, &a, id);
        if (rc != CLI_OK)
            return rc;
    }
    if (!j.verb)
        j.verb = "list";
    return execute(&j);
}

static const struct cli_subcommand subcommands[] = {
    {"list", NULL, "every model: pipeline, size, state, place", NULL},
    {"show", "NAME", "its parts, where each is, who shares it", NULL},
    {"add", "PATH", "one model folder, component folder or file", NULL},
    {"link", "PATH", "the same, under the name given with --as", NULL},
    {"scan", "DIR", "everything below a folder; finds what has moved", NULL},
    {"verify", NULL, "compare every file with its sha256", NULL},
    {"advise", NULL, "which of the models that are there suit this machine, by their plans", NULL},
    {"set", "NAME", "KEY=VALUE: distilled or reference_cache, yes or no", NULL},
    {"remove", "NAME", "forget the model; its files stay", NULL},
    {0},
};

const struct cli_command cli_cmd_models = {
    .name = "models",
    .summary = "Tell the program where models lie, and see how they are",
    .usage = "[SUBCOMMAND] [--json]",
    .examples = "  veetance models scan /mnt/big/ComfyUI/models\n"
                "  veetance models add "
                "~/.cache/huggingface/hub/models--black-forest-labs--FLUX.2-klein-4B\n"
                "  veetance models link /mnt/usb/flux-2-klein-4b-fp8.safetensors --as klein-fp8\n"
                "  veetance generate -m klein-fp8 -p \"a red star\"\n"
                "  veetance models verify\n",
    .options = options,
    .subcommands = subcommands,
    .run = run,
};
