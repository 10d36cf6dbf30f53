/* batch.c - the loop over the items: all are named and checked before the first runs, then they run in their order.
 *
 * Whatever is wrong with the rows is told with their places before any work, and nothing runs. Once it runs, an item
 * that fails is told and the others go on; Ctrl-C stops the one that runs, and what was written stays. The engine is
 * opened by the first item and kept for the others.
 */
#include "cli/batch.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "cli/batch_list.h"
#include "cli/batch_name.h"
#include "cli/batch_sheet.h"
#include "cli/image_in.h"
#include "cli/item.h"
#include "cli/result_out.h"
#include "cli/settings.h"
#include "pipeline/result_json.h"

enum { ROWS_MAX_BYTES = 64 << 20, LINE_MAX_BYTES = 64 << 10 };

struct batch {
    const struct cli_command *self;
    const struct batch_task *task;
    const char *prompts, *grid, *sheet;
    const char **images; /* --each */
    size_t n_images;
    bool resume, stop, force, json, quiet;
    struct cli_settings settings;
    struct batch_list list;
    struct batch_names names;
    struct cli_run run;
    struct cli_item item;
    size_t made, skipped, failed;
    bool doubtful;
    int64_t since_ns; /* the start of the first run */
};

/* ---- the command line --------------------------------------------------------------------------------- */

static bool is_asked(int argc, char **argv)
{
    static const char *const names[] = {"--prompts", "--each",   "--grid",
                                        "--sheet",   "--resume", "--stop-on-error"};
    for (int i = 1; i < argc; i++)
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            size_t n = strlen(names[k]);
            if (strncmp(argv[i], names[k], n) == 0 && (!argv[i][n] || argv[i][n] == '='))
                return true;
        }
    return false;
}

/* The command's row for an option that was read, by its name, or for short ones by its id. */
static const struct cli_option *option_of(const struct cli_command *c, const char *name, int id)
{
    const struct cli_option *found = batch_option_find(c, str_from(name));
    for (const struct cli_option *o = c->options; !found && o->name; o++)
        found = o->id == id ? o : NULL;
    return found;
}

static enum err_code keep(struct batch *b, const struct cli_args *a, int id, struct err *e)
{
    struct batch_arg arg = {.value = a->value};
    const char *name = a->name + strspn(a->name, "-");
    if (id != CLI_POSITIONAL)
        arg.option = option_of(b->self, name, id);
    if (arg.option) {
        b->json = b->json || strcmp(arg.option->name, "json") == 0;
        b->quiet = b->quiet || strcmp(arg.option->name, "quiet") == 0;
        b->force = b->force || strcmp(arg.option->name, "force") == 0;
    }
    return batch_args_add(&b->list, &b->list.base, arg, e);
}

/* One option, or a word; *each: the last option was --each, so that words are images. */
static enum err_code take(struct batch *b, const struct cli_args *a, int id, bool *each,
                          struct err *e)
{
    if (id == BATCH_EACH || (id == CLI_POSITIONAL && *each)) {
        *each = true;
        b->images[b->n_images++] = a->value;
        return ERR_OK;
    }
    *each = false;
    if (id == BATCH_PROMPTS)
        b->prompts = a->value;
    else if (id == BATCH_GRID)
        b->grid = a->value;
    else if (id == BATCH_SHEET)
        b->sheet = a->value;
    else if (id == BATCH_RESUME)
        b->resume = true;
    else if (id == BATCH_STOP)
        b->stop = true;
    else
        return keep(b, a, id, e);
    return ERR_OK;
}

static int split(struct batch *b, int argc, char **argv, bool *helped)
{
    struct cli_args a = cli_args_begin(b->self, argc, argv);
    struct err e = {0};
    bool each = false;
    int id;
    b->images = arena_array(&b->list.arena, (size_t)argc, sizeof *b->images);
    if (!b->images)
        return cli_usage_error(b->self, "there are too many arguments");
    while ((id = cli_args_next(&a)) != CLI_END) {
        *helped = id == CLI_HELP;
        if (*helped || id == CLI_ERROR)
            return *helped ? CLI_OK : CLI_USAGE;
        if (take(b, &a, id, &each, &e) != ERR_OK)
            return cli_usage_error(b->self, "%s", e.text);
    }
    return CLI_OK;
}

/* ---- items -------------------------------------------------------------------------------------------- */

static enum err_code read_rows(struct batch *b, struct err *e)
{
    struct buf text;
    b->list.file = cli_input_name(b->prompts);
    TRY(cli_read_input(b->prompts, ROWS_MAX_BYTES, &text, e));
    enum err_code rc = batch_list_rows(&b->list, buf_str(&text), e);
    buf_deinit(&text);
    return rc;
}

static enum err_code make_list(struct batch *b, struct err *e)
{
    struct batch_list *l = &b->list;
    const struct batch_item none = {0};
    const char *prompt = batch_value(l, &none, "prompt");
    if (!b->prompts && !b->n_images && !b->grid)
        return err_set(e, ERR_ARG,
                       "--resume, --sheet and --stop-on-error are for several runs: with "
                       "--prompts, --grid or, where images go in, --each");
    if (prompt && strcmp(prompt, "-") == 0)
        return err_set(e, ERR_ARG,
                       "-p - would be read once; --prompts - takes a prompt from each line");
    if (b->prompts)
        TRY(read_rows(b, e));
    if (b->n_images)
        TRY(batch_list_images(l, b->images, b->n_images, e));
    if (b->grid)
        TRY(batch_list_grid(l, b->grid, e));
    TRY(batch_list_count(l, e));
    return b->sheet ? batch_sheet_check(l, b->sheet, e) : ERR_OK;
}

/* ---- one item as a command line ----------------------------------------------------------------------- */

static bool replaces(const struct batch_item *item, const struct cli_option *o)
{
    for (size_t i = 0; i < item->args.n; i++)
        if (item->args.p[i].option->id == o->id && !item->args.p[i].adds)
            return true;
    return false;
}

static bool is_named(const struct cli_option *o, const char *name)
{
    return strcmp(o->name, name) == 0;
}

/* "--name=value"; NULL when memory is out. */
static char *word(struct arena *a, const char *name, const char *value)
{
    size_t n = strlen(name) + (value ? strlen(value) : 0) + 4;
    char *out = arena_alloc(a, n);
    if (out)
        (void)snprintf(out, n, "--%s%s%s", name, value ? "=" : "", value ? value : "");
    return out;
}

/* -f, because the batch has looked at what is there. A plan is of no file, and its folder may be missing. */
static char **build(const struct batch *b, size_t i, struct arena *a, int *argc)
{
    const struct batch_item *item = &b->list.items[i];
    const struct batch_args *base = &b->list.base;
    char **argv = arena_array(a, item->args.n + base->n + 5, sizeof *argv);
    int n = 0;
    if (!argv)
        return NULL;
    argv[n++] = (char *)(uintptr_t)b->self->name;
    for (size_t k = 0; k < item->args.n; k++)
        if (!is_named(item->args.p[k].option, "output"))
            argv[n++] = word(a, item->args.p[k].option->name, item->args.p[k].value);
    for (size_t k = 0; k < base->n; k++) {
        const struct cli_option *o = base->p[k].option;
        if (o && !is_named(o, "output") && !replaces(item, o))
            argv[n++] = word(a, o->name, base->p[k].value);
    }
    if (b->run.way != CLI_PLAN)
        argv[n++] = word(a, "output", b->names.of[i]);
    argv[n++] = word(a, "force", NULL);
    argv[n++] = arena_strdup(a, STR_LIT("--"));
    for (size_t k = 0; k < base->n; k++)
        if (!base->p[k].option)
            argv[n++] = arena_strdup(a, str_from(base->p[k].value));
    *argc = n;
    for (int k = 0; k < n; k++)
        if (!argv[k])
            return NULL;
    return argv;
}

/* What went wrong is in b->item. */
static int run_item(struct batch *b, size_t i, enum cli_way way)
{
    struct arena a;
    int argc = 0, rc = CLI_FAILED;
    b->item.n = i + 1;
    b->item.count = b->list.n;
    b->item.line = b->list.items[i].line;
    b->item.error = (struct vt_error){0};
    b->run.way = way;
    arena_init(&a, ROWS_MAX_BYTES);
    char **argv = build(b, i, &a, &argc);
    cli_item_set(&b->item);
    if (argv)
        rc = b->task->one(b->self, argc, argv, &b->run);
    else
        (void)cli_item_keep_error(VT_ERR_NOMEM, "there is no memory for the item");
    cli_item_set(NULL);
    arena_deinit(&a);
    return rc;
}

/* ---- before the first ---------------------------------------------------------------------------------- */

/* Result folders are made, so that a name that cannot be written is told now. */
static enum err_code make_folder(const struct batch *b, size_t i, struct err *e)
{
    return strchr(b->names.of[i], '/') ? folder_make_parents(b->names.of[i], 0777, e) : ERR_OK;
}

static int check_all(struct batch *b)
{
    char where[300];
    for (size_t i = 0; i < b->list.n; i++) {
        struct err e = {0};
        if (atomic_load(cli_stop_flag()))
            return CLI_INTERRUPTED;
        if (make_folder(b, i, &e) != ERR_OK)
            return cli_fail_err(&e);
        if (run_item(b, i, CLI_CHECK) == CLI_OK)
            continue;
        batch_where(&b->list, i, where, sizeof where);
        batch_fault(&b->list, where, b->item.error.text);
    }
    return b->list.faults ? CLI_USAGE : CLI_OK;
}

/* The sheet of a batch that goes on is made anew. */
static int check_sheet(const struct batch *b)
{
    struct err e = {0};
    if (!b->sheet || b->resume || b->force || !file_exists(b->sheet))
        return CLI_OK;
    (void)err_set(&e, ERR_IO, "'%.300s' is there already; --force replaces it", b->sheet);
    return cli_fail_err(&e);
}

/* Without --resume and --force nothing that is there is touched, and that is told before the work. */
static int check_there(struct batch *b)
{
    size_t n = 0, first = 0;
    for (size_t i = b->list.n; i > 0 && !b->resume && !b->force; i--)
        if (file_exists(b->names.of[i - 1])) {
            first = i - 1;
            n++;
        }
    if (n == 0)
        return check_sheet(b);
    struct err e = {0};
    (void)err_set(&e, ERR_IO,
                  "'%.300s' is there already (%zu of %zu results are); --resume keeps what is "
                  "whole, --force replaces",
                  b->names.of[first], n, b->list.n);
    return cli_fail_err(&e);
}

/* ---- running ------------------------------------------------------------------------------------------ */

static void print_line(struct batch *b, const char *status, size_t i)
{
    struct buf line;
    if (!b->json)
        return;
    buf_init(&line, LINE_MAX_BYTES);
    cli_item_set(&b->item);
    json_object(&line, NULL);
    cli_item_json(&line, status);
    cli_item_set(NULL);
    json_put_z(&line, "path", b->names.of[i]);
    if (b->item.error.status != VT_OK) {
        json_object(&line, "error");
        json_put_z(&line, "code", vt_status_name(b->item.error.status));
        json_put_z(&line, "message", b->item.error.text);
        json_end_object(&line);
    }
    json_end_object(&line);
    cli_print_json(&line);
    (void)fflush(stdout);
}

static void tell_failed(struct batch *b, size_t i)
{
    char where[300];
    b->failed++;
    batch_where(&b->list, i, where, sizeof where);
    if (strstr(b->item.error.text, where))
        cli_say("%s", b->item.error.text);
    else
        cli_say("%s: %s", where, b->item.error.text);
    print_line(b, "failed", i);
}

/* True: there is nothing to do for it any more. */
static bool is_done(struct batch *b, size_t i)
{
    const char *path = b->names.of[i];
    if (!b->resume || !file_exists(path))
        return false;
    b->run.path = path;
    b->run.made = CLI_MADE_BROKEN;
    int rc = run_item(b, i, CLI_CHECK);
    b->run.path = NULL;
    if (rc == CLI_OK && b->run.made == CLI_MADE_WHOLE) {
        b->skipped++;
        print_line(b, "skipped", i);
        return true;
    }
    if (rc != CLI_OK || b->force || b->run.made == CLI_MADE_BROKEN)
        return false;
    b->item.error.status = VT_ERR_IO;
    (void)snprintf(b->item.error.text, sizeof b->item.error.text,
                   "'%.300s' is there, and was made otherwise; with --force it is made anew", path);
    tell_failed(b, i);
    return true;
}

static double seconds_left(const struct batch *b, size_t i)
{
    size_t done = b->made;
    double taken = (double)(clock_ns() - b->since_ns) * 1e-9;
    return done ? taken / (double)done * (double)(b->list.n - i) : -1;
}

static void summarise(const struct batch *b, bool stopped)
{
    size_t all = b->list.n, rest = all - b->made - b->skipped - b->failed;
    char text[160];
    int n = snprintf(text, sizeof text, "%zu of %zu made", b->made, all);
    if (b->skipped)
        n += snprintf(text + n, sizeof text - (size_t)n, ", %zu there already", b->skipped);
    if (b->failed)
        n += snprintf(text + n, sizeof text - (size_t)n, ", %zu failed", b->failed);
    if (rest)
        (void)snprintf(text + n, sizeof text - (size_t)n, ", %zu left%s", rest,
                       stopped ? "; --resume goes on" : "");
    if (!b->quiet)
        cli_say("%s", text);
}

static int write_sheet(const struct batch *b)
{
    struct err e = {0};
    if (batch_sheet_write(&b->list, b->names.of, b->sheet, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (!b->quiet)
        cli_say("the sheet is '%.300s'", b->sheet);
    return CLI_OK;
}

static int run_all(struct batch *b)
{
    int rc = CLI_OK;
    b->since_ns = clock_ns();
    for (size_t i = 0; i < b->list.n && rc != CLI_INTERRUPTED; i++) {
        if (b->stop && b->failed)
            break;
        if (atomic_load(cli_stop_flag())) {
            rc = CLI_INTERRUPTED;
            break;
        }
        if (is_done(b, i))
            continue;
        b->item.seconds_left = seconds_left(b, i);
        rc = run_item(b, i, CLI_RUN);
        b->doubtful = b->doubtful || rc == CLI_DOUBTFUL;
        if (rc == CLI_OK || rc == CLI_DOUBTFUL)
            b->made++;
        else if (rc != CLI_INTERRUPTED)
            tell_failed(b, i);
    }
    summarise(b, rc == CLI_INTERRUPTED);
    if (b->sheet && rc != CLI_INTERRUPTED && b->made + b->skipped > 0 && write_sheet(b) != CLI_OK)
        return CLI_FAILED;
    if (rc == CLI_INTERRUPTED)
        return rc;
    if (b->failed)
        return CLI_FAILED;
    return b->doubtful ? CLI_DOUBTFUL : CLI_OK;
}

/* ---- planning ------------------------------------------------------------------------------------------ */

/* What a plan may depend on: all options but those that change neither sizes nor weights. */
static uint64_t shape_of(const struct batch *b, size_t i)
{
    static const char *const free_ones[] = {"prompt", "seed", "output"};
    const struct batch_item *item = &b->list.items[i];
    uint64_t h = 0;
    for (size_t k = 0; k < item->args.n; k++) {
        const struct batch_arg *a = &item->args.p[k];
        bool counts = true;
        for (size_t m = 0; m < sizeof free_ones / sizeof free_ones[0]; m++)
            counts = counts && !is_named(a->option, free_ones[m]);
        if (counts)
            h = h * 31 + (str_hash(str_from(a->option->name)) ^
                          str_hash(str_from(a->value ? a->value : "")) * 3);
    }
    return h;
}

/* The largest plan of all items; those of one shape are planned once. */
static int plan_items(struct batch *b, struct vt_plan *most, size_t *item)
{
    struct vt_plan *plan = mem_alloc(sizeof *plan);
    uint64_t *seen = arena_array(&b->list.arena, b->list.n, sizeof *seen);
    size_t n_seen = 0;
    int rc = seen ? CLI_OK : CLI_FAILED;
    b->run.plan = plan;
    for (size_t i = 0; rc == CLI_OK && i < b->list.n; i++) {
        uint64_t shape = shape_of(b, i);
        size_t k = 0;
        while (k < n_seen && seen[k] != shape)
            k++;
        if (k < n_seen)
            continue;
        seen[n_seen++] = shape;
        rc = run_item(b, i, CLI_PLAN);
        if (rc == CLI_OK && (n_seen == 1 || plan->peak_bytes > most->peak_bytes ||
                             (plan->verdict == VT_REFUSED && most->verdict != VT_REFUSED))) {
            *most = *plan;
            *item = i;
        }
        if (rc != CLI_OK)
            tell_failed(b, i);
    }
    mem_free(plan);
    return rc;
}

static int plan_all(struct batch *b)
{
    struct buf out;
    struct vt_plan *most = mem_alloc(sizeof *most);
    size_t item = 0;
    int rc = plan_items(b, most, &item);
    if (rc == CLI_OK && b->json) {
        buf_init(&out, 1u << 20);
        json_object(&out, NULL);
        json_put_uint(&out, "items", b->list.n);
        json_put_uint(&out, "largest", item + 1);
        json_key(&out, STR_LIT("plan"));
        result_json_plan(&out, most);
        json_end_object(&out);
        cli_print_json(&out);
        rc = most->verdict == VT_REFUSED ? CLI_FAILED : CLI_OK;
    } else if (rc == CLI_OK) {
        printf("%zu runs, one after the other; number %zu takes most:\n", b->list.n, item + 1);
        rc = plan_out_print(most, false);
    }
    mem_free(most);
    return rc;
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static int execute(struct batch *b, enum cli_way way)
{
    struct err e = {0};
    cli_cancel_on_signal(NULL);
    b->names = (struct batch_names){
        .settings = &b->settings, .ending = b->task->ending, .again = b->resume};
    enum err_code bad = cli_settings_load(&b->settings, &e);
    if (bad == ERR_OK)
        bad = make_list(b, &e);
    if (bad == ERR_ARG)
        return cli_usage_error(b->self, "%s", e.text);
    if (bad == ERR_OK && !b->list.faults)
        bad = batch_names_make(&b->names, &b->list, &e);
    if (bad != ERR_OK)
        return cli_fail_err(&e);
    if (b->list.faults)
        return CLI_USAGE;
    if (way == CLI_PLAN)
        return plan_all(b);
    int rc = check_there(b);
    if (rc == CLI_OK)
        rc = check_all(b);
    return rc == CLI_OK ? run_all(b) : rc;
}

static int run_batch(const struct cli_command *self, int argc, char **argv,
                     const struct batch_task *task, enum cli_way way)
{
    struct batch b = {.self = self, .task = task, .run = {.keeps_engine = true}};
    bool helped = false;
    batch_list_init(&b.list, self);
    int rc = split(&b, argc, argv, &helped);
    if (rc == CLI_OK && !helped)
        rc = execute(&b, way);
    vt_engine_close(b.run.engine);
    batch_list_deinit(&b.list);
    return rc;
}

int batch_or_one(const struct cli_command *self, int argc, char **argv,
                 const struct batch_task *task, enum cli_way way)
{
    struct cli_run alone = {.way = way};
    return is_asked(argc, argv) ? run_batch(self, argc, argv, task, way)
                                : task->one(self, argc, argv, &alone);
}
