/* cmd_list.c - `veetance-fetch list`: the catalogue for people, or as JSON. Opens no connection.
 *
 * A set's size is that of its default choices, and is shown only where the catalogue knows nearly all of it.
 */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "fetch/args.h"
#include "fetch/catalogue.h"
#include "fetch/paths.h"

enum { OPT_JSON = 1 };

static const struct arg_option options[] = {
    {OPT_JSON, "json", NULL, "one JSON object"},
    {0},
};

static bool has_gated(const struct catalogue_set *s)
{
    for (size_t c = 0; c < s->component_count; c++)
        for (size_t i = 0; i < s->components[c].choice_count; i++)
            if (s->components[c].choices[i].source->gated)
                return true;
    return false;
}

/* The licences of a set's sources, comma-separated, each once. */
static void print_licences(const struct catalogue_set *s)
{
    const struct catalogue_licence *seen[16];
    size_t n = 0;
    for (size_t c = 0; c < s->component_count; c++)
        for (size_t i = 0; i < s->components[c].choice_count; i++) {
            const struct catalogue_licence *l = s->components[c].choices[i].source->licence;
            bool known = false;
            for (size_t k = 0; k < n; k++)
                known = known || seen[k] == l;
            if (known || n == sizeof seen / sizeof seen[0])
                continue;
            printf("%s%s", n ? ", " : "", l->name);
            seen[n++] = l;
        }
}

static void print_set(const struct catalogue_set *s)
{
    uint64_t sum = 0;
    bool whole = true;
    char size[32];
    for (size_t c = 0; c < s->component_count; c++) {
        bool known;
        sum += catalogue_choice_bytes(&s->components[c].choices[0], &known);
        whole = whole && known;
    }
    printf("%s\n  %s\n  ", s->name, s->title);
    if (whole)
        printf("about %s; ", path_size_text(sum, size));
    print_licences(s);
    printf("%s\n", has_gated(s) ? "; gated: needs `veetance-fetch login`" : "");
    for (size_t c = 0; c < s->component_count; c++) {
        const struct catalogue_component *k = &s->components[c];
        if (k->choice_count < 2)
            continue;
        printf("  %s:", k->name);
        for (size_t i = 0; i < k->choice_count; i++) {
            bool known;
            uint64_t bytes = catalogue_choice_bytes(&k->choices[i], &known);
            printf("%s %s", i ? "," : "", k->choices[i].name);
            if (known && bytes > 1000000)
                printf(" (%s)", path_size_text(bytes, size));
        }
        putchar('\n');
    }
}

static void json_choice(struct buf *b, const struct catalogue_choice *h)
{
    bool known;
    uint64_t bytes = catalogue_choice_bytes(h, &known);
    json_object(b, NULL);
    json_put_z(b, "name", h->name);
    json_put_z(b, "repo", h->source->repo);
    json_put_z(b, "revision", h->source->revision);
    json_put_z(b, "licence", h->source->licence->id);
    json_put_bool(b, "gated", h->source->gated);
    json_put_uint(b, "files", h->file_count);
    if (known)
        json_put_uint(b, "bytes", bytes);
    else
        json_put_null(b, "bytes");
    json_end_object(b);
}

static void json_set(struct buf *b, const struct catalogue_set *s)
{
    json_object(b, NULL);
    json_put_z(b, "name", s->name);
    json_put_z(b, "title", s->title);
    json_put_bool(b, "gated", has_gated(s));
    json_array(b, "components");
    for (size_t c = 0; c < s->component_count; c++) {
        json_object(b, NULL);
        json_put_z(b, "name", s->components[c].name);
        json_array(b, "choices");
        for (size_t i = 0; i < s->components[c].choice_count; i++)
            json_choice(b, &s->components[c].choices[i]);
        json_end_array(b);
        json_end_object(b);
    }
    json_end_array(b);
    json_end_object(b);
}

static void print_all_json(const struct catalogue *c)
{
    struct buf b;
    buf_init(&b, 16u << 20);
    json_object(&b, NULL);
    json_array(&b, "sets");
    for (size_t i = 0; i < catalogue_count(c); i++)
        json_set(&b, catalogue_at(c, i));
    json_end_array(&b);
    json_end_object(&b);
    print_json(&b);
    buf_deinit(&b);
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args a = args_begin(self, argc, argv);
    struct catalogue *c;
    struct err e = {0};
    bool json = false;
    for (int id; (id = args_next(&a)) != ARG_END;) {
        if (id == ARG_HELP)
            return EXIT_DONE;
        if (id == ARG_ERROR)
            return EXIT_USAGE;
        if (id == ARG_POSITIONAL)
            return args_usage_error(self, "'%s' is one argument too many", a.value);
        json = true;
    }
    if (catalogue_open(NULL, &c, &e) != ERR_OK)
        return fail(&e, json);
    if (json)
        print_all_json(c);
    for (size_t i = 0; !json && i < catalogue_count(c); i++)
        print_set(catalogue_at(c, i));
    catalogue_free(c);
    return EXIT_DONE;
}

const struct command cmd_list = {
    .name = "list",
    .summary = "Shows what can be downloaded",
    .usage = "[--json]",
    .details =
        "Names, sizes, licences, and for each component the choices that --quant and\n"
        "--text-encoder take; the first is the default. Asks nobody: it reads the catalogue\n"
        "that is installed with the models.\n",
    .examples = "  veetance-fetch list\n  veetance-fetch list --json | jq -r '.sets[].name'\n",
    .options = options,
    .run = run,
};
