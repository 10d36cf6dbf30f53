#include "cli/output_name.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PROMPT_IN_NAME = 48, OWN_NAME_BYTES = 512 };

static const char *const tokens[] = {"{prompt}", "{model}", "{seed}", "{date}", "{time}"};

static const char *token_at(const char *p)
{
    for (size_t i = 0; i < sizeof tokens / sizeof tokens[0]; i++)
        if (strncmp(p, tokens[i], strlen(tokens[i])) == 0)
            return tokens[i];
    return NULL;
}

enum err_code cli_output_check_name(const char *name, struct err *e)
{
    if (!*name || name[0] == '/' || strstr(name, "..") || strlen(name) > 255)
        return err_set(e, ERR_ARG, "'%.60s' is no name below the output folder", name);
    for (const char *p = name; *p; p++)
        if (*p == '{' && !token_at(p))
            return err_set(e, ERR_ARG, "'%.20s' is none of {prompt} {model} {seed} {date} {time}",
                           p);
    return ERR_OK;
}

/* Letters and digits of any script stay; what a shell or a file system trips over becomes one '-'. */
static void add_slug(char *out, size_t size, size_t *at, const char *text)
{
    size_t start = *at;
    for (; *text && *at + 2 < size && *at - start < PROMPT_IN_NAME; text++) {
        unsigned char c = (unsigned char)*text;
        if (isalnum(c) || c >= 0x80 || c == '_')
            out[(*at)++] = (char)c;
        else if (*at > start && out[*at - 1] != '-')
            out[(*at)++] = '-';
    }
    /* Not half a character, and no '-' at the end. */
    while (*at > start && ((unsigned char)*text & 0xc0) == 0x80 &&
           ((unsigned char)out[*at - 1] & 0x80)) {
        (*at)--;
        if (((unsigned char)out[*at] & 0xc0) == 0xc0)
            break;
    }
    while (*at > start && out[*at - 1] == '-')
        (*at)--;
    out[*at] = 0;
}

static void add_text(char *out, size_t size, size_t *at, const char *text)
{
    int n = snprintf(out + *at, size - *at, "%s", text);
    *at = n > 0 && *at + (size_t)n < size ? *at + (size_t)n : size - 1;
}

static void add_token(char *out, size_t size, size_t *at, const char *token,
                      const struct cli_output_words *w)
{
    char text[32];
    time_t now = time(NULL);
    struct tm tm;
    if (strcmp(token, "{prompt}") == 0) {
        add_slug(out, size, at, w->prompt);
    } else if (strcmp(token, "{model}") == 0) {
        add_slug(out, size, at, w->model);
    } else if (strcmp(token, "{seed}") == 0) {
        (void)snprintf(text, sizeof text, "%lld", (long long)w->seed);
        add_text(out, size, at, text);
    } else if (localtime_r(&now, &tm) &&
               strftime(text, sizeof text, strcmp(token, "{date}") == 0 ? "%Y-%m-%d" : "%H%M%S",
                        &tm) > 0) {
        add_text(out, size, at, text);
    }
}

static bool has_seed(const struct cli_output *o)
{
    return !o->named && o->name && strstr(o->name, "{seed}");
}

/* A part that came out empty, or begins with a dash, is no name for a file. */
static void mend_part(char *out, size_t *at, size_t part)
{
    size_t dashes = strspn(out + part, "-");
    memmove(out + part, out + part + dashes, *at - part - dashes + 1);
    *at -= dashes;
    if (*at == part && part + 3 < OWN_NAME_BYTES) {
        memcpy(out + part, "out", 4);
        *at += 3;
    }
}

static void fill_template(const struct cli_output *o, const struct cli_output_words *w,
                          char out[OWN_NAME_BYTES])
{
    size_t at = 0, part = 0;
    out[0] = 0;
    for (const char *p = o->name ? o->name : "out"; *p && at + 1 < OWN_NAME_BYTES;) {
        const char *token = token_at(p);
        if (token) {
            add_token(out, OWN_NAME_BYTES, &at, token, w);
            p += strlen(token);
            continue;
        }
        if (*p == '/')
            mend_part(out, &at, part);
        out[at++] = *p;
        out[at] = 0;
        part = *p++ == '/' ? at : part;
    }
    mend_part(out, &at, part);
}

static const char *home_of(const char *folder, const char **rest)
{
    const char *home = getenv("HOME");
    bool tilde = folder[0] == '~' && (folder[1] == '/' || !folder[1]) && home && *home;
    *rest = tilde ? folder + 1 : folder;
    return tilde ? home : "";
}

enum err_code output_name_own(const struct cli_output *o, const struct cli_output_words *w,
                              char out[CLI_PATH_BYTES], struct err *e)
{
    char name[OWN_NAME_BYTES];
    const char *dir = o->into ? o->into : "", *home = "";
    if (!o->into && o->folder)
        home = home_of(o->folder, &dir);
    const char *last = *dir ? dir : home;
    size_t n_last = strlen(last);
    fill_template(o, w, name);
    int n = snprintf(out, CLI_PATH_BYTES - 40, "%s%s%s%s%s", home, dir,
                     n_last && last[n_last - 1] != '/' ? "/" : "", name,
                     o->ending ? o->ending : ".png");
    if (n > 0 && n < CLI_PATH_BYTES - 40)
        return ERR_OK;
    return o->into ? err_set(e, ERR_ARG, "the path '%.60s...' behind -o is too long", o->into)
                   : err_set(e, ERR_LIMIT, "the path of the output folder is too long");
}

/* Where the ending begins: at the dot of "x.png", at the end of "x". */
static size_t ending_at(const char *path)
{
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    return dot && dot != path && (!slash || dot > slash + 1) ? (size_t)(dot - path) : strlen(path);
}

void output_name_insert(char path[CLI_PATH_BYTES], const char *text)
{
    char ending[CLI_PATH_BYTES];
    size_t at = ending_at(path);
    memcpy(ending, path + at, strlen(path + at) + 1);
    (void)snprintf(path + at, CLI_PATH_BYTES - at, "-%s%s", text, ending);
}

enum err_code output_name_first(const struct cli_output *o, const struct cli_output_words *w,
                                char out[CLI_PATH_BYTES], struct err *e)
{
    char seed[32];
    enum err_code rc = ERR_OK;
    if (o->named)
        (void)snprintf(out, CLI_PATH_BYTES, "%s", o->named);
    else
        rc = output_name_own(o, w, out, e);
    (void)snprintf(seed, sizeof seed, "%lld", (long long)w->seed);
    if (rc == ERR_OK && o->count > 1 && !has_seed(o))
        output_name_insert(out, seed);
    return rc;
}
