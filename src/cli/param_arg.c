#include "cli/param_arg.h"

#include <string.h>

#include "cli/suggest.h"
#include "pipeline/engine_inputs.h"

static bool same_name(const char *option, const char *member)
{
    for (; *option && *member; option++, member++)
        if (*option != *member && !(*option == '-' && *member == '_'))
            return false;
    return *option == *member;
}

const struct param *cli_param_of(const struct cli_args *a, int id, const struct param *table)
{
    const struct cli_option *o = a->command->options;
    while (o->name && o->id != id)
        o++;
    for (const struct param *p = table; o->name && p->name; p++)
        if (same_name(o->name, p->name))
            return p;
    return NULL;
}

/* As a double the bound of seeds is a little under what their type holds. */
static bool read_int(const struct cli_args *a, const struct param *p, int64_t *out)
{
    int64_t hi = p->hi >= PARAM_SEED_MAX ? INT64_MAX - VT_MAX_COUNT : (int64_t)p->hi;
    return cli_int(a, (int64_t)p->lo, hi, out);
}

int cli_param_choice(const struct cli_args *a, int id, const struct param *table, const char **out)
{
    const struct param *p = cli_param_of(a, id, table);
    if (!p || !cli_choice(a, p->values, NULL))
        return CLI_USAGE;
    *out = a->value;
    return CLI_OK;
}

int cli_param_set(const struct cli_args *a, int id, const struct param *table, void *request)
{
    const struct param *p = cli_param_of(a, id, table);
    int64_t v;
    struct matte matte;
    struct err e = {0};
    if (!p)
        return CLI_USAGE;
    void *at = (unsigned char *)request + p->offset;
    switch (p->type) {
    case PARAM_TEXT:
        *(const char **)at = a->value;
        return CLI_OK;
    case PARAM_INT:
        if (!read_int(a, p, &v))
            return CLI_USAGE;
        *(int *)at = (int)v;
        return CLI_OK;
    case PARAM_LONG:
        return read_int(a, p, at) ? CLI_OK : CLI_USAGE;
    case PARAM_SWITCH:
        *(int *)at = 1;
        return CLI_OK;
    case PARAM_NUMBER:
        return cli_double(a, p->lo, p->hi, at) ? CLI_OK : CLI_USAGE;
    case PARAM_MATTE:
        *(const char **)at = a->value;
        if (matte_parse(a->value, &matte, &e) == ERR_OK)
            return CLI_OK;
        (void)cli_suggest_add(&e, a->value, "white black grey none");
        return cli_usage_error(a->command, "%s", e.text);
    case PARAM_CHOICE:
        return cli_param_choice(a, id, table, at);
    default:
        return CLI_USAGE;
    }
}
