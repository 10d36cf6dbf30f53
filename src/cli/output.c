/* output.c - finds the name that a result gets, and keeps what is there from being lost.
 *
 * Before the work the folder is made or tried, because minutes of work for a path that cannot be written are the
 * worst failure. A name of our own is claimed by creating the file, so that two commands at once never write one.
 * Names are made from a template whose tokens ({seed}, {model}, ...) lose what a shell or a file system trips over.
 */
#include "cli/output.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/file_out.h"
#include "base/folder.h"
#include "cli/cli.h"
#include "cli/suggest.h"
#include "image/save.h"

enum { MAX_NUMBER = 100000 };

/* ---- what -o means ---------------------------------------------------------------------------------- */

bool cli_output_is_stream(const char *path)
{
    return strcmp(path, "-") == 0 || file_out_is_direct(path);
}

bool cli_output_is_stdout(const char *path)
{
    static const char *const names[] = {"-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(path, names[i]) == 0)
            return true;
    return false;
}

bool cli_output_is_folder(const char *path)
{
    size_t n = strlen(path);
    return n > 0 && (path[n - 1] == '/' || file_is_dir(path));
}

static void settle(struct cli_output *o)
{
    if (!o->named || !cli_output_is_folder(o->named))
        return;
    o->into = o->named;
    o->named = NULL;
}

enum err_code cli_output_image(struct cli_output *o, enum image_format *format, struct err *e)
{
    *format = IMAGE_FORMAT_PNG;
    settle(o);
    if (!o->named)
        return ERR_OK;
    enum err_code rc = cli_output_check_file("-o", o->named, e);
    if (rc != ERR_OK || cli_output_is_stream(o->named))
        return rc;
    const char *dot = strrchr(o->named, '.');
    rc = image_save_format(o->named, format, e);
    return rc == ERR_OK ? rc : cli_suggest_add(e, dot ? dot + 1 : "", "png jpg jpeg webp");
}

FILE *cli_output_lines(const char *path)
{
    return cli_output_is_stream(path) ? stderr : stdout;
}

const char *cli_output_name(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard output" : path;
}

/* ---- before the work ------------------------------------------------------------------------------- */

/* The first of path's folders that is not there. */
static enum err_code missing_part(const char *path, struct err *e)
{
    char part[CLI_PATH_BYTES];
    (void)snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (!file_exists(part))
            return err_set(e, ERR_IO, "cannot write '%.200s': there is no folder '%.200s'", path,
                           part);
        if (!file_is_dir(part))
            return err_set(e, ERR_IO, "cannot write '%.200s': '%.200s' is no folder", path, part);
        *slash = '/';
    }
    return err_set_sys(e, ERR_IO, errno, "cannot write '%.300s'", path);
}

enum err_code cli_output_check_folder(const char *path, struct err *e)
{
    char dir[FOLDER_PATH_BYTES];
    if (strlen(path) >= CLI_PATH_BYTES - 64)
        return err_set(e, ERR_ARG, "the path '%.60s...' is too long", path);
    TRY(folder_of(path, dir, e));
    if (!file_is_dir(dir))
        return missing_part(path, e);
    if (access(dir, W_OK | X_OK) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot write '%.300s'", path);
    return ERR_OK;
}

enum err_code cli_output_check_file(const char *what, const char *path, struct err *e)
{
    struct stat st;
    if (!*path)
        return err_set(e, ERR_ARG, "%s names no file", what);
    if (strlen(path) >= CLI_PATH_BYTES - 64)
        return err_set(e, ERR_ARG, "the path behind %s is too long", what);
    if (cli_output_is_stream(path))
        return ERR_OK;
    if (file_is_dir(path) || path[strlen(path) - 1] == '/')
        return err_set(e, ERR_IO, "'%s' is a folder; %s names a file", path, what);
    if (stat(path, &st) == 0)
        return S_ISREG(st.st_mode)
                   ? ERR_OK
                   : err_set(e, ERR_IO, "'%s' is no regular file; %s names a file", path, what);
    if (errno == ENAMETOOLONG)
        return err_set_sys(e, ERR_IO, errno, "cannot write '%.200s...'", path);
    return cli_output_check_folder(path, e);
}

void cli_output_ask(struct cli_output *o, const char *path)
{
    char answer[16] = "";
    o->asked = !o->force && isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
    if (!o->asked)
        return;
    fprintf(stderr, "'%s' exists. Replace it? [y/N] ", path);
    (void)fflush(stderr);
    o->number_on = !fgets(answer, sizeof answer, stdin) || (answer[0] != 'y' && answer[0] != 'Y');
}

static enum err_code check_stream(const struct cli_output *o, struct err *e)
{
    if (o->count > 1)
        return err_set(e, ERR_ARG, "'%s' takes one image, not %d", o->named, o->count);
    if (o->json && cli_output_is_stdout(o->named))
        return err_set(e, ERR_ARG, "--json and the result of -o %s both want standard output",
                       o->named);
    if (cli_output_is_stdout(o->named) && isatty(STDOUT_FILENO))
        return err_set(e, ERR_ARG,
                       "the result would go to the terminal; redirect it, or name a file with -o");
    return ERR_OK;
}

/* Folders of ours are made, so that a full disk or a missing right shows now. */
static enum err_code check_own(const struct cli_output *o, struct err *e)
{
    char path[CLI_PATH_BYTES];
    const struct cli_output_words none = {"", "", 0};
    TRY(output_name_own(o, &none, path, e));
    if (o->into || o->folder)
        TRY(folder_make_parents(path, 0777, e));
    return !strchr(o->name ? o->name : "", '/') ? cli_output_check_folder(path, e) : ERR_OK;
}

enum err_code cli_output_check(struct cli_output *o, struct err *e)
{
    settle(o);
    if (!o->named)
        return check_own(o, e);
    TRY(cli_output_check_file("-o", o->named, e));
    if (cli_output_is_stream(o->named))
        return check_stream(o, e);
    if (o->count == 1 && file_exists(o->named))
        cli_output_ask(o, o->named);
    return ERR_OK;
}

/* ---- writing --------------------------------------------------------------------------------------- */

/* Takes the name so that nobody else can; false: it is there already. */
static bool claim(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno != EEXIST; /* writing will say what is wrong */
    close(fd);
    return true;
}

static enum err_code free_path(char path[CLI_PATH_BYTES], struct err *e)
{
    char number[16], first[CLI_PATH_BYTES];
    memcpy(first, path, strlen(path) + 1);
    for (int k = 2; !claim(path); k++) {
        if (k > MAX_NUMBER)
            return err_set(e, ERR_LIMIT, "'%s' and %d others exist", first, MAX_NUMBER);
        (void)snprintf(number, sizeof number, "%d", k);
        memcpy(path, first, strlen(first) + 1);
        output_name_insert(path, number);
    }
    return ERR_OK;
}

enum err_code cli_output_number_on(char path[CLI_PATH_BYTES], struct err *e)
{
    char first[CLI_PATH_BYTES];
    memcpy(first, path, strlen(path) + 1);
    for (int k = 2; file_exists(path); k++) {
        if (k > MAX_NUMBER)
            return err_set(e, ERR_LIMIT, "'%s' and %d others exist", first, MAX_NUMBER);
        (void)snprintf(path, CLI_PATH_BYTES, "%.4000s-%d", first, k);
    }
    return ERR_OK;
}

enum err_code cli_output_free_name(const struct cli_output *o, char path[CLI_PATH_BYTES],
                                   struct err *e)
{
    const struct cli_output_words none = {"", "", 0};
    TRY(output_name_own(o, &none, path, e));
    if (o->folder)
        TRY(folder_make_parents(path, 0777, e));
    return cli_output_number_on(path, e);
}

static enum err_code write_stdout(const void *p, size_t n, struct err *e)
{
    if (fwrite(p, 1, n, stdout) == n && fflush(stdout) == 0)
        return ERR_OK;
    return err_set_sys(e, ERR_IO, errno, "cannot write to standard output");
}

/* Only a file that -o names by itself is replaced. */
static bool keeps(const struct cli_output *o)
{
    return !o->force && (!o->named || o->number_on || o->count > 1);
}

enum err_code cli_output_place(const struct cli_output *o, const struct cli_output_words *words,
                               char path[CLI_PATH_BYTES], bool *replaced, struct err *e)
{
    *replaced = false;
    TRY(output_name_first(o, words, path, e));
    if (!o->named && (o->into || o->folder))
        TRY(folder_make_parents(path, 0777, e));
    if (strcmp(path, "-") == 0)
        return ERR_OK;
    if (keeps(o))
        return free_path(path, e);
    *replaced = file_exists(path) && !file_out_is_direct(path);
    return ERR_OK;
}

void cli_output_drop(const struct cli_output *o, const char *path)
{
    if (keeps(o))
        (void)unlink(path); /* the empty file that held the name */
}

enum err_code cli_output_write(const struct cli_output *o, const struct cli_output_words *words,
                               const void *p, size_t n, char path[CLI_PATH_BYTES], bool *replaced,
                               struct err *e)
{
    enum err_code rc = cli_output_place(o, words, path, replaced, e);
    if (rc != ERR_OK)
        return rc;
    if (strcmp(path, "-") == 0)
        return write_stdout(p, n, e);
    rc = file_write_atomic(path, p, n, e);
    if (rc != ERR_OK)
        cli_output_drop(o, path);
    return rc;
}

void cli_output_note(const struct cli_output *o, const char *path, bool replaced,
                     struct cli_progress *p)
{
    char note[CLI_PATH_BYTES + 64];
    (void)snprintf(note, sizeof note, "'%.4000s' was there and is replaced", path);
    if (replaced && !o->force && !o->asked)
        cli_progress_note(p, note);
}

/* ---- names ----------------------------------------------------------------------------------- */

enum { PROMPT_IN_NAME = 48, OWN_NAME_BYTES = 512 };

static const char *const tokens[] = {"{prompt}", "{model}", "{seed}",  "{date}",
                                     "{time}",   "{n}",     "{source}"};

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
            return err_set(e, ERR_ARG,
                           "'%.20s' is none of {n} {prompt} {seed} {source} {model} "
                           "{date} {time}",
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
                      const struct cli_output *o, const struct cli_output_words *w)
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
    } else if (strcmp(token, "{n}") == 0) {
        add_text(out, size, at, o->number ? o->number : "1");
    } else if (strcmp(token, "{source}") == 0) {
        add_slug(out, size, at, o->source ? o->source : "");
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
            add_token(out, OWN_NAME_BYTES, &at, token, o, w);
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

void output_name_beside(char path[CLI_PATH_BYTES], bool is_folder, const char *text)
{
    size_t at = is_folder ? strlen(path) : ending_at(path);
    while (is_folder && at > 1 && path[at - 1] == '/')
        at--;
    (void)snprintf(path + at, CLI_PATH_BYTES - at, "-%s.png", text);
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
