#include "cli/batch_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "pipeline/engine.h"

/* A path taken apart: what has no tokens in it, the name with them, its ending. */
struct pattern {
    char dir[CLI_PATH_BYTES], name[256], ending[16];
    struct cli_output out; /* borrows them */
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Where the folders end that hold no token. */
static size_t folders_of(const char *path)
{
    size_t tokens = strcspn(path, "{"), at = 0;
    for (size_t i = 0; path[i]; i++)
        if (path[i] == '/' && i < tokens)
            at = i + 1;
    return at;
}

static enum err_code take_apart(const char *path, struct pattern *p, struct err *e)
{
    size_t at = folders_of(path);
    const char *name = path + at, *dot = strrchr(base_name(name), '.');
    size_t stem = dot && dot != base_name(name) ? (size_t)(dot - name) : strlen(name);
    if (at >= sizeof p->dir - 512 || stem >= sizeof p->name ||
        strlen(name + stem) >= sizeof p->ending)
        return err_set(e, ERR_ARG, "the name '%.60s...' behind -o is too long", path);
    (void)snprintf(p->dir, sizeof p->dir, "%.*s", (int)at, path);
    (void)snprintf(p->name, sizeof p->name, "%.*s", (int)stem, name);
    (void)snprintf(p->ending, sizeof p->ending, "%s", name + stem);
    p->out.into = at ? p->dir : NULL;
    p->out.name = p->name;
    p->out.ending = p->ending;
    return cli_output_check_name(p->name, e);
}

/* Where nobody gave a name. */
static const char *usual_name(const struct batch_names *names, const struct batch_list *l,
                              const struct batch_item *item)
{
    const char *prompt = batch_value(l, item, "prompt");
    if (names->settings->of[SETTING_NAME].source != SETTING_BUILT_IN)
        return cli_setting(names->settings, SETTING_NAME);
    if (item->source)
        return "{n}-{source}";
    return prompt && *prompt ? "{n}-{prompt}" : "{n}";
}

static enum err_code read_pattern(const struct batch_names *names, const struct batch_list *l,
                                  const struct batch_item *item, struct pattern *p, struct err *e)
{
    const char *path = batch_value(l, item, "output");
    p->out = (struct cli_output){.count = 1};
    if (path && !*path)
        return err_set(e, ERR_ARG, "-o names nothing");
    if (path && !cli_output_is_folder(path) && !cli_output_is_stream(path))
        return take_apart(path, p, e);
    if (path && cli_output_is_stream(path))
        return err_set(e, ERR_ARG, "a batch writes files, and '%.60s' is none", path);
    (void)snprintf(p->name, sizeof p->name, "%s", usual_name(names, l, item));
    p->out.name = p->name;
    p->out.ending = names->ending;
    p->out.into = path;
    p->out.folder = cli_setting(names->settings, SETTING_OUTPUT_FOLDER);
    return ERR_OK;
}

static bool has(const struct pattern *p, const char *token)
{
    return strstr(p->name, token) != NULL;
}

/* The seed that the name tells. */
static enum err_code find_seed(const struct batch_names *names, struct batch_list *l,
                               struct batch_item *item, int64_t *out, struct err *e)
{
    char number[32];
    const char *text = batch_value(l, item, "seed");
    if (text) {
        (void)str_to_i64(str_from(text), out); /* the command judges it */
        return ERR_OK;
    }
    if (names->again || batch_value(l, item, "from"))
        return err_set(e, ERR_ARG,
                       "{seed} in a name needs a seed with --resume and --from; give one with "
                       "--seed");
    *out = engine_random_seed();
    (void)snprintf(number, sizeof number, "%lld", (long long)*out);
    struct batch_arg arg = {batch_option_find(l->command, STR_LIT("seed")),
                            arena_strdup(&l->arena, str_from(number)), false};
    return arg.value ? batch_args_add(l, &item->args, arg, e)
                     : err_set(e, ERR_LIMIT, "the batch is too large for one");
}

static const char *image_of(const struct batch_args *args)
{
    for (size_t i = 0; i < args->n; i++)
        if (args->p[i].option && strcmp(args->p[i].option->name, "image") == 0)
            return args->p[i].value;
    return NULL;
}

/* The first image, without folders and ending. */
static void source_of(const struct batch_list *l, const struct batch_item *item, char *out,
                      size_t size)
{
    const char *path = image_of(&item->args);
    if (!path)
        path = image_of(&l->base);
    const char *name = path ? base_name(path) : "", *dot = strrchr(name, '.');
    size_t n = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    (void)snprintf(out, size, "%.*s", (int)n, name);
}

static enum err_code name_item(struct batch_names *names, struct batch_list *l, size_t i,
                               int digits, struct err *e)
{
    struct pattern p = {0};
    struct batch_item *item = &l->items[i];
    char path[CLI_PATH_BYTES], number[16], source[256];
    const char *prompt = batch_value(l, item, "prompt"), *model = batch_value(l, item, "model");
    struct cli_output_words words = {.prompt = prompt ? prompt : "", .model = model ? model : ""};
    TRY(read_pattern(names, l, item, &p, e));
    if (has(&p, "{seed}"))
        TRY(find_seed(names, l, item, &words.seed, e));
    if (names->again && (has(&p, "{date}") || has(&p, "{time}")))
        return err_set(e, ERR_ARG, "names with {date} or {time} are others when --resume looks");
    (void)snprintf(number, sizeof number, "%0*zu", digits, i + 1);
    source_of(l, item, source, sizeof source);
    p.out.number = number;
    p.out.source = source;
    TRY(output_name_own(&p.out, &words, path, e));
    names->of[i] = arena_strdup(&l->arena, str_from(path));
    return names->of[i] ? ERR_OK : err_set(e, ERR_LIMIT, "the batch is too large for one");
}

/* ---- two of one name ---------------------------------------------------------------------------------- */

struct named {
    const char *path;
    size_t item;
};

static int by_path(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    int order = strcmp(x->path, y->path);
    return order ? order : (x->item > y->item) - (x->item < y->item);
}

static enum err_code check_shared(const struct batch_names *names, struct batch_list *l,
                                  struct err *e)
{
    char where[300], first[300], text[CLI_PATH_BYTES];
    struct named *all = arena_array(&l->arena, l->n, sizeof *all);
    if (!all)
        return err_set(e, ERR_LIMIT, "the batch is too large for one");
    for (size_t i = 0; i < l->n; i++)
        all[i] = (struct named){names->of[i], i};
    qsort(all, l->n, sizeof *all, by_path);
    for (size_t i = 1; i < l->n; i++) {
        if (strcmp(all[i - 1].path, all[i].path) != 0)
            continue;
        batch_where(l, all[i - 1].item, first, sizeof first);
        batch_where(l, all[i].item, where, sizeof where);
        (void)snprintf(text, sizeof text,
                       "'%.300s' is the name of the result of %s, too; put {n}, {seed}, {prompt} "
                       "or {source} into -o, or name a folder",
                       all[i].path, first);
        batch_fault(l, where, text);
    }
    return ERR_OK;
}

enum err_code batch_names_make(struct batch_names *names, struct batch_list *l, struct err *e)
{
    int digits = 1;
    for (size_t n = l->n; n >= 10; n /= 10)
        digits++;
    names->of = arena_array(&l->arena, l->n, sizeof *names->of);
    if (!names->of)
        return err_set(e, ERR_LIMIT, "the batch is too large for one");
    for (size_t i = 0; i < l->n; i++) {
        char where[300];
        struct err why = {0};
        batch_where(l, i, where, sizeof where);
        enum err_code rc = name_item(names, l, i, digits, &why);
        if (rc == ERR_LIMIT)
            return err_set(e, ERR_LIMIT, "%s", why.text);
        if (rc != ERR_OK)
            batch_fault(l, where, why.text);
    }
    return l->faults ? ERR_OK : check_shared(names, l, e);
}
