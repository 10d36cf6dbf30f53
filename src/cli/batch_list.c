/* batch_list.c - from a file of rows, images and a grid to items.
 *
 * A row is a prompt, or a JSON object whose members are options as the command has them. Values become the words that a
 * person would have typed, and are left to the command to judge; here only their kind counts. What belongs to the
 * whole run (the device, --json) is no option of a row.
 */
#include "cli/batch_list.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/json_text.h"
#include "cli/batch.h"
#include "cli/engine_args.h"
#include "cli/suggest.h"

enum { ARENA_MAX_BYTES = 256 << 20, VALUES_MAX = 1000, NAME_BYTES = 64 };

void batch_list_init(struct batch_list *l, const struct cli_command *command)
{
    *l = (struct batch_list){.command = command};
    arena_init(&l->arena, ARENA_MAX_BYTES);
}

void batch_list_deinit(struct batch_list *l)
{
    arena_deinit(&l->arena);
}

static enum err_code too_large(struct err *e)
{
    return err_set(e, ERR_LIMIT, "the batch is too large for one");
}

enum err_code batch_args_add(struct batch_list *l, struct batch_args *to, struct batch_arg arg,
                             struct err *e)
{
    if (!to->p)
        to->p = arena_array(&l->arena, BATCH_ARGS_MAX, sizeof *to->p);
    if (!to->p)
        return too_large(e);
    if (to->n == BATCH_ARGS_MAX)
        return err_set(e, ERR_LIMIT, "more than %d options", BATCH_ARGS_MAX);
    to->p[to->n++] = arg;
    return ERR_OK;
}

static bool same_name(const char *option, struct str name)
{
    if (strlen(option) != name.n)
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (option[i] != (name.p[i] == '_' ? '-' : name.p[i]))
            return false;
    return true;
}

const struct cli_option *batch_option_find(const struct cli_command *c, struct str name)
{
    for (const struct cli_option *o = c->options; o->name; o++)
        if (same_name(o->name, name))
            return o;
    return NULL;
}

static const char *value_in(const struct batch_args *args, const char *option)
{
    for (size_t i = args->n; i > 0; i--)
        if (args->p[i - 1].option && strcmp(args->p[i - 1].option->name, option) == 0)
            return args->p[i - 1].value;
    return NULL;
}

const char *batch_value(const struct batch_list *l, const struct batch_item *item,
                        const char *option)
{
    const char *own = value_in(&item->args, option);
    return own ? own : value_in(&l->base, option);
}

void batch_where(const struct batch_list *l, size_t i, char *out, size_t size)
{
    const struct batch_item *item = &l->items[i];
    if (item->line)
        (void)snprintf(out, size, "%.200s:%d", l->file, item->line);
    else if (item->source)
        (void)snprintf(out, size, "%.200s", item->source);
    else
        (void)snprintf(out, size, "item %zu", i + 1);
}

void batch_fault(struct batch_list *l, const char *where, const char *text)
{
    char all[1024];
    l->faults++;
    if (strcmp(text, l->fault) == 0)
        return;
    (void)snprintf(l->fault, sizeof l->fault, "%s", text);
    (void)snprintf(all, sizeof all, "%.300s: %.700s", where, text);
    if (l->faults == 1)
        cli_error_json(VT_ERR_ARG, all);
    if (l->faults <= BATCH_FAULTS_TOLD)
        cli_say("%s", all);
    else if (l->faults == BATCH_FAULTS_TOLD + 1)
        cli_say("and more like these");
}

/* ---- rows --------------------------------------------------------------------------------------------- */

/* Options of the whole run. */
static bool is_of_all(const struct cli_option *o)
{
    static const char *const names[] = {"json",  "quiet",       "verbose", "force",
                                        "trace", "trace-level", "cache",   "preview"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], o->name) == 0)
            return true;
    return o->id >= ENGINE_DEVICE;
}

static enum err_code find_option(const struct batch_list *l, struct str name,
                                 const struct cli_option **out, struct err *e)
{
    char typed[NAME_BYTES];
    struct cli_suggestion s = {.typed = typed};
    (void)snprintf(typed, sizeof typed, "%.*s", (int)(name.n < 40 ? name.n : 40), name.p);
    *out = batch_option_find(l->command, name);
    if (*out && is_of_all(*out))
        return err_set(e, ERR_ARG, "--%s is for the whole batch, not for a row of it",
                       (*out)->name);
    if (*out)
        return ERR_OK;
    for (const struct cli_option *o = l->command->options; o->name; o++)
        if (!is_of_all(o))
            cli_suggest(&s, o->name);
    return err_set(e, ERR_ARG, "`veetance %s` has no option '%s'%s", l->command->name, typed,
                   cli_suggest_text(&s));
}

/* A number or a text as it would be typed; NULL: it is neither. */
static const char *as_typed(struct batch_list *l, yyjson_val *v)
{
    char number[64];
    if (yyjson_is_str(v))
        return strlen(yyjson_get_str(v)) == yyjson_get_len(v)
                   ? arena_strdup(&l->arena, (struct str){yyjson_get_str(v), yyjson_get_len(v)})
                   : NULL;
    if (yyjson_is_uint(v))
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)yyjson_get_uint(v));
    else if (yyjson_is_int(v))
        (void)snprintf(number, sizeof number, "%lld", (long long)yyjson_get_sint(v));
    else if (yyjson_is_real(v))
        (void)snprintf(number, sizeof number, "%.17g", yyjson_get_real(v));
    else
        return NULL;
    return arena_strdup(&l->arena, str_from(number));
}

static enum err_code add_value(struct batch_list *l, struct batch_item *item,
                               const struct cli_option *o, yyjson_val *v, struct err *e)
{
    if (yyjson_is_null(v))
        return ERR_OK;
    if (!o->value) {
        if (!yyjson_is_bool(v))
            return err_set(e, ERR_ARG, "'%s' is true or false", o->name);
        return yyjson_is_true(v)
                   ? batch_args_add(l, &item->args, (struct batch_arg){.option = o}, e)
                   : ERR_OK;
    }
    const char *text = as_typed(l, v);
    if (!text)
        return err_set(e, ERR_ARG, "'%s' takes a text or a number (%s)", o->name, o->value);
    return batch_args_add(l, &item->args, (struct batch_arg){.option = o, .value = text}, e);
}

/* A list gives the option several times. */
static enum err_code add_member(struct batch_list *l, struct batch_item *item, yyjson_val *key,
                                yyjson_val *value, struct err *e)
{
    const struct cli_option *o;
    size_t i, n;
    yyjson_val *each;
    TRY(find_option(l, (struct str){yyjson_get_str(key), yyjson_get_len(key)}, &o, e));
    if (!yyjson_is_arr(value))
        return add_value(l, item, o, value, e);
    yyjson_arr_foreach(value, i, n, each)
    {
        TRY(add_value(l, item, o, each, e));
    }
    return ERR_OK;
}

static enum err_code read_object(struct batch_list *l, struct batch_item *item, struct str line,
                                 struct err *e)
{
    yyjson_doc *doc;
    size_t i, n;
    yyjson_val *key, *value;
    TRY(json_parse(line, "the row", &doc, e));
    enum err_code rc = ERR_OK;
    if (!yyjson_is_obj(yyjson_doc_get_root(doc)))
        rc = err_set(e, ERR_ARG, "a row is an object, e.g. {\"prompt\": \"a red star\"}");
    else
        yyjson_obj_foreach(yyjson_doc_get_root(doc), i, n, key, value)
        {
            TRY_GOTO(add_member(l, item, key, value, e), done);
        }
done:
    yyjson_doc_free(doc);
    return rc;
}

static enum err_code read_prompt(struct batch_list *l, struct batch_item *item, struct str line,
                                 struct err *e)
{
    const struct cli_option *o = batch_option_find(l->command, STR_LIT("prompt"));
    if (memchr(line.p, 0, line.n))
        return err_set(e, ERR_ARG, "the prompt holds a zero byte");
    const char *text = arena_strdup(&l->arena, line);
    return text ? batch_args_add(l, &item->args, (struct batch_arg){.option = o, .value = text}, e)
                : too_large(e);
}

static struct str trimmed(struct str s)
{
    while (s.n > 0 && strchr(" \t\r", s.p[0]) && s.p[0])
        s = str_skip(s, 1);
    while (s.n > 0 && strchr(" \t\r", s.p[s.n - 1]) && s.p[s.n - 1])
        s.n--;
    return s;
}

static struct str next_line(struct str *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    struct str line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    *rest = str_skip(*rest, line.n + 1);
    return trimmed(line);
}

/* Those that are not empty. *json: the first of them begins an object. */
static size_t count_rows(struct str text, bool *json)
{
    size_t n = 0;
    *json = false;
    while (text.n > 0) {
        struct str line = next_line(&text);
        if (line.n > 0 && n++ == 0)
            *json = line.p[0] == '{';
    }
    return n;
}

enum err_code batch_list_rows(struct batch_list *l, struct str text, struct err *e)
{
    bool json;
    if (str_starts(text, STR_LIT("\xef\xbb\xbf")))
        text = str_skip(text, 3);
    size_t n = count_rows(text, &json);
    if (n == 0)
        return err_set(e, ERR_ARG, "'%s' has no rows; a row is a prompt, or a JSON object",
                       l->file);
    if (n > BATCH_MAX_ITEMS)
        return err_set(e, ERR_LIMIT, "'%s' has %zu rows; at most %d make a batch", l->file, n,
                       BATCH_MAX_ITEMS);
    l->items = arena_array(&l->arena, n, sizeof *l->items);
    if (!l->items)
        return too_large(e);
    for (int line = 1; text.n > 0; line++) {
        struct str row = next_line(&text);
        struct batch_item item = {.line = line};
        struct err why = {0};
        char where[300];
        if (row.n == 0)
            continue;
        enum err_code rc =
            json ? read_object(l, &item, row, &why) : read_prompt(l, &item, row, &why);
        if (rc == ERR_LIMIT)
            return err_set(e, ERR_LIMIT, "%s:%d: %s", l->file, line, why.text);
        l->items[l->n++] = item;
        batch_where(l, l->n - 1, where, sizeof where);
        if (rc != ERR_OK)
            batch_fault(l, where, why.text);
    }
    return ERR_OK;
}

/* ---- multiplying -------------------------------------------------------------------------------------- */

/* Every item n times, each copy with room for arguments of its own. */
static enum err_code multiply(struct batch_list *l, size_t n, struct err *e)
{
    size_t old = l->n ? l->n : 1;
    if (n > BATCH_MAX_ITEMS || old * n > BATCH_MAX_ITEMS)
        return err_set(e, ERR_LIMIT, "that is more than the %d runs that make a batch",
                       BATCH_MAX_ITEMS);
    struct batch_item *items = arena_array(&l->arena, old * n, sizeof *items);
    if (!items)
        return too_large(e);
    for (size_t i = 0; i < old * n; i++) {
        struct batch_item none = {0};
        const struct batch_item *from = l->n ? &l->items[i / n] : &none;
        items[i] = *from;
        items[i].args = (struct batch_args){0};
        for (size_t k = 0; k < from->args.n; k++)
            TRY(batch_args_add(l, &items[i].args, from->args.p[k], e));
    }
    l->items = items;
    l->n = old * n;
    return ERR_OK;
}

enum err_code batch_list_images(struct batch_list *l, const char *const *images, size_t n,
                                struct err *e)
{
    const struct cli_option *o = batch_option_find(l->command, STR_LIT("image"));
    TRY(multiply(l, n, e));
    for (size_t i = 0; i < l->n; i++) {
        l->items[i].source = images[i % n];
        TRY(batch_args_add(l, &l->items[i].args,
                           (struct batch_arg){.option = o, .value = images[i % n], .adds = true},
                           e));
    }
    return ERR_OK;
}

/* ---- grids -------------------------------------------------------------------------------------------- */

static enum err_code add_cell(struct batch_list *l, struct batch_axis *a, struct str text,
                              struct err *e)
{
    if (a->n == VALUES_MAX)
        return err_set(e, ERR_LIMIT, "--grid: at most %d values of --%s", VALUES_MAX,
                       a->option->name);
    a->values[a->n] = arena_strdup(&l->arena, text);
    return a->values[a->n++] ? ERR_OK : too_large(e);
}

/* "1..9" or "1..9..2". */
static enum err_code add_range(struct batch_list *l, struct batch_axis *a, struct str text,
                               size_t dots, struct err *e)
{
    int64_t from = 0, to = 0, by = 1;
    struct str rest = str_skip(text, dots + 2);
    const char *more = memmem(rest.p, rest.n, "..", 2);
    struct str end = {rest.p, more ? (size_t)(more - rest.p) : rest.n};
    bool good = str_to_i64((struct str){text.p, dots}, &from) && str_to_i64(end, &to) &&
                (!more || str_to_i64(str_skip(rest, end.n + 2), &by));
    if (!good || from > to || by < 1)
        return err_set(e, ERR_ARG,
                       "--grid: '%.*s' is no range; 1..4 is one, and 4..16..4 with steps of 4",
                       (int)(text.n < 60 ? text.n : 60), text.p);
    for (int64_t v = from;; v += by) {
        char number[32];
        (void)snprintf(number, sizeof number, "%lld", (long long)v);
        TRY(add_cell(l, a, str_from(number), e));
        if ((uint64_t)by > (uint64_t)to - (uint64_t)v)
            return ERR_OK;
    }
}

/* "seed=1..4" or "steps=4:8" */
static enum err_code read_axis(struct batch_list *l, struct str text, struct batch_axis *a,
                               struct err *e)
{
    const char *equals = memchr(text.p, '=', text.n);
    if (!equals)
        return err_set(e, ERR_ARG,
                       "--grid: '%.*s' names no option and its values, as seed=1..4 does",
                       (int)(text.n < 60 ? text.n : 60), text.p);
    size_t at = (size_t)(equals - text.p);
    struct err why = {0};
    if (find_option(l, (struct str){text.p, at}, &a->option, &why) != ERR_OK)
        return err_set(e, ERR_ARG, "--grid: %s", why.text);
    if (!a->option->value)
        return err_set(e, ERR_ARG, "--grid: --%s has no values", a->option->name);
    a->values = arena_array(&l->arena, VALUES_MAX, sizeof *a->values);
    if (!a->values)
        return too_large(e);
    for (struct str rest = str_skip(text, at + 1);;) {
        const char *colon = memchr(rest.p, ':', rest.n);
        struct str value = {rest.p, colon ? (size_t)(colon - rest.p) : rest.n};
        const char *dots = memmem(value.p, value.n, "..", 2);
        if (value.n == 0)
            return err_set(e, ERR_ARG, "--grid: a value of --%s is empty", a->option->name);
        TRY(dots ? add_range(l, a, value, (size_t)(dots - value.p), e) : add_cell(l, a, value, e));
        if (!colon)
            return ERR_OK;
        rest = str_skip(rest, value.n + 1);
    }
}

enum err_code batch_list_grid(struct batch_list *l, const char *grid, struct err *e)
{
    for (const char *p = grid;; p++) {
        size_t n = strcspn(p, ",");
        struct batch_axis *a = &l->axes[l->n_axes];
        if (l->n_axes == 2)
            return err_set(e, ERR_ARG, "--grid takes one option or two, with a comma between");
        TRY(read_axis(l, (struct str){p, n}, a, e));
        if (l->n_axes++ && a->option == l->axes[0].option)
            return err_set(e, ERR_ARG, "--grid: --%s is there twice", a->option->name);
        TRY(multiply(l, a->n, e));
        for (size_t i = 0; i < l->n; i++)
            TRY(batch_args_add(
                l, &l->items[i].args,
                (struct batch_arg){.option = a->option, .value = a->values[i % a->n]}, e));
        p += n;
        if (!*p)
            return ERR_OK;
    }
}

/* ---- several of one ----------------------------------------------------------------------------------- */

/* 1 where there is no count, or one that the command will refuse. */
static int64_t count_of(const struct batch_list *l, const struct batch_item *item)
{
    const char *text = batch_value(l, item, "count");
    int64_t n = 1;
    return text && str_to_i64(str_from(text), &n) && n >= 1 && n <= VALUES_MAX ? n : 1;
}

static enum err_code count_on(struct batch_list *l, struct batch_item *item, int64_t k,
                              struct err *e)
{
    const struct cli_option *count = batch_option_find(l->command, STR_LIT("count"));
    const struct cli_option *seed = batch_option_find(l->command, STR_LIT("seed"));
    const char *text = batch_value(l, item, "seed");
    char number[32];
    int64_t first;
    TRY(batch_args_add(l, &item->args, (struct batch_arg){.option = count, .value = "1"}, e));
    if (!text || !str_to_i64(str_from(text), &first) || first > INT64_MAX - k)
        return ERR_OK;
    first += k;
    (void)snprintf(number, sizeof number, "%lld", (long long)first);
    const char *own = arena_strdup(&l->arena, str_from(number));
    return own ? batch_args_add(l, &item->args, (struct batch_arg){.option = seed, .value = own}, e)
               : too_large(e);
}

enum err_code batch_list_count(struct batch_list *l, struct err *e)
{
    size_t all = 0, at = 0;
    for (size_t i = 0; i < l->n; i++)
        all += (size_t)count_of(l, &l->items[i]);
    if (all == l->n)
        return ERR_OK;
    if (all > BATCH_MAX_ITEMS)
        return err_set(e, ERR_LIMIT, "that is %zu runs; at most %d make a batch", all,
                       BATCH_MAX_ITEMS);
    struct batch_item *items = arena_array(&l->arena, all, sizeof *items);
    if (!items)
        return too_large(e);
    for (size_t i = 0; i < l->n; i++) {
        const struct batch_item *from = &l->items[i];
        int64_t n = count_of(l, from);
        for (int64_t k = 0; k < n; k++, at++) {
            items[at] = *from;
            items[at].args = (struct batch_args){0};
            items[at].counted = n > 1;
            for (size_t m = 0; m < from->args.n; m++)
                TRY(batch_args_add(l, &items[at].args, from->args.p[m], e));
            TRY(n > 1 ? count_on(l, &items[at], k, e) : ERR_OK);
        }
    }
    l->items = items;
    l->n = all;
    return ERR_OK;
}
