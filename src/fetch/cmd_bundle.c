/* cmd_bundle.c - `veetance-fetch export` and `import`: arguments and progress; the work is in bundle_*.c.
 *
 * Neither opens a connection. Progress goes to standard error, so that an import can come from a pipe.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "fetch/args.h"
#include "fetch/bundle.h"
#include "fetch/record.h"

enum { OPT_TO = 1, OPT_QUIET };

static const struct arg_option export_options[] = {
    {OPT_QUIET, "quiet", NULL, "no progress"},
    {0},
};

static const struct arg_option import_options[] = {
    {OPT_TO, "to", "DIR", "folder for the model (default: the models folder, under its name)"},
    {OPT_QUIET, "quiet", NULL, "no progress"},
    {0},
};

struct session {
    const char *positional[2];
    size_t count;
    const char *to;
    bool quiet, terminal, line_open;
    double next_s;
};

/* EXIT_DONE to go on; *done after help. */
static int read_args(struct session *s, const struct command *self, int argc, char **argv,
                     size_t needed, bool *done)
{
    struct args a = args_begin(self, argc, argv);
    for (int id; (id = args_next(&a)) != ARG_END;) {
        if (id == ARG_HELP) {
            *done = true;
            return EXIT_DONE;
        }
        if (id == ARG_ERROR)
            return EXIT_USAGE;
        if (id == ARG_POSITIONAL && s->count == needed)
            return args_usage_error(self, "'%s' is one argument too many", a.value);
        if (id == ARG_POSITIONAL)
            s->positional[s->count++] = a.value;
        else if (id == OPT_TO)
            s->to = a.value;
        else
            s->quiet = true;
    }
    s->terminal = isatty(STDERR_FILENO);
    return s->count == needed ? EXIT_DONE : args_usage_error(self, "an argument is missing");
}

static void on_progress(const char *doing, uint64_t done, uint64_t total, void *user)
{
    struct session *s = user;
    char a[32], b[32];
    double now = clock_s();
    if (s->quiet || !s->terminal || now < s->next_s)
        return;
    s->next_s = now + 0.2;
    s->line_open = true;
    fprintf(stderr, "\r\033[K%s of %s  %.50s", path_size_text(done, a), path_size_text(total, b),
            doing);
    (void)fflush(stderr);
}

static void end_line(struct session *s)
{
    if (s->line_open)
        fputs("\r\033[K", stderr);
    s->line_open = false;
}

/* What the folder in the bundle is called: the folder's own last name. */
static const char *last_name(const char *dir)
{
    const char *slash = strrchr(dir, '/');
    return slash ? slash + 1 : dir;
}

static int run_export(const struct command *self, int argc, char **argv)
{
    struct session s = {.count = 0};
    struct err e = {0};
    char dir[FETCH_PATH_BYTES];
    bool done = false;
    int code = read_args(&s, self, argc, argv, 2, &done);
    if (code != EXIT_DONE || done)
        return code;
    stop_on_signals();
    struct bundle_watch w = {.stop = &stop_wanted, .progress = on_progress, .user = &s};
    enum err_code rc;
    TRY_GOTO(verify_find(s.positional[0], dir, &e), done);
    rc = bundle_export(dir, last_name(dir), s.positional[1], &w, &e);
done:
    end_line(&s);
    if (rc != ERR_OK)
        return fail(&e, false);
    printf("%s\n", s.positional[1]);
    return EXIT_DONE;
}

static enum err_code read_fd(void *user, void *p, size_t n, size_t *got, struct err *e)
{
    const int *fd = user;
    for (;;) {
        ssize_t r = read(*fd, p, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_set_sys(e, ERR_IO, errno, "cannot read the bundle");
        *got = (size_t)r;
        return ERR_OK;
    }
}

static int run_import(const struct command *self, int argc, char **argv)
{
    struct session s = {.count = 0};
    struct err e = {0};
    char dir[FETCH_PATH_BYTES] = "";
    bool done = false;
    int code = read_args(&s, self, argc, argv, 1, &done);
    if (code != EXIT_DONE || done || !s.positional[0])
        return code;
    bool piped = strcmp(s.positional[0], "-") == 0;
    int fd = piped ? STDIN_FILENO : open(s.positional[0], O_RDONLY | O_CLOEXEC);
    enum err_code rc = ERR_OK;
    if (fd < 0)
        rc = err_set_sys(&e, ERR_NOTFOUND, errno, "cannot open '%s'", s.positional[0]);
    stop_on_signals();
    struct bundle_watch w = {.stop = &stop_wanted, .progress = on_progress, .user = &s};
    if (rc == ERR_OK)
        rc = bundle_import(read_fd, &fd, s.to, &w, dir, &e);
    end_line(&s);
    if (fd > STDIN_FILENO)
        close(fd);
    if (rc != ERR_OK)
        return fail(&e, false);
    printf("%s\n", dir);
    return EXIT_DONE;
}

const struct command cmd_export = {
    .name = "export",
    .summary = "Packs a model into one file for a machine without a network",
    .usage = "NAME|DIR FILE.tar",
    .details =
        "The file is a plain tar archive whose first entry lists every other with its SHA-256.\n"
        "Files that were downloaded are compared with their digests on the way.\n",
    .examples = "  veetance-fetch export klein-4b /media/usb/klein-4b.tar\n",
    .options = export_options,
    .run = run_export,
};

const struct command cmd_import = {
    .name = "import",
    .summary = "Unpacks such a file, checking every byte",
    .usage = "FILE.tar [--to DIR]",
    .details = "FILE.tar may be - for standard input. Opens no connection.\n",
    .examples =
        "  veetance-fetch import /media/usb/klein-4b.tar\n"
        "  ssh depot cat klein-4b.tar | veetance-fetch import - --to /mnt/models/klein-4b\n",
    .options = import_options,
    .run = run_import,
};
