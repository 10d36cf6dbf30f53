#include <stdio.h>
#include <string.h>

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

static void json_choice(const struct catalogue_choice *h)
{
    bool known;
    uint64_t bytes = catalogue_choice_bytes(h, &known);
    printf("{\"name\":");
    print_json_string(h->name);
    printf(",\"repo\":");
    print_json_string(h->source->repo);
    printf(",\"revision\":");
    print_json_string(h->source->revision);
    printf(",\"licence\":");
    print_json_string(h->source->licence->id);
    printf(",\"gated\":%s,\"files\":%zu,\"bytes\":", h->source->gated ? "true" : "false",
           h->file_count);
    if (known)
        printf("%llu}", (unsigned long long)bytes);
    else
        printf("null}");
}

static void json_set(const struct catalogue_set *s)
{
    printf("{\"name\":");
    print_json_string(s->name);
    printf(",\"title\":");
    print_json_string(s->title);
    printf(",\"gated\":%s,\"components\":[", has_gated(s) ? "true" : "false");
    for (size_t c = 0; c < s->component_count; c++) {
        printf("%s{\"name\":", c ? "," : "");
        print_json_string(s->components[c].name);
        printf(",\"choices\":[");
        for (size_t i = 0; i < s->components[c].choice_count; i++) {
            if (i)
                putchar(',');
            json_choice(&s->components[c].choices[i]);
        }
        printf("]}");
    }
    printf("]}");
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
        printf("{\"sets\":[");
    for (size_t i = 0; i < catalogue_count(c); i++) {
        if (json && i)
            putchar(',');
        if (json)
            json_set(catalogue_at(c, i));
        else
            print_set(catalogue_at(c, i));
    }
    if (json)
        puts("]}");
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
