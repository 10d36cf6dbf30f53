/* cmd_login.c - `veetance-fetch login` and `logout`: the token in and out of its file (token.c).
 *
 * The token is read from standard input, never from the arguments, which other users can see, and not shown on a
 * terminal. The line is wiped from memory when it has been saved.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "fetch/args.h"
#include "fetch/paths.h"
#include "fetch/token.h"

enum { OPT_MIRROR = 1 };

static const struct arg_option options[] = {
    {OPT_MIRROR, "mirror", "URL", "the server that the token is for (default: the hub)"},
    {0},
};

static const char *default_hub(void)
{
    const char *endpoint = getenv("HF_ENDPOINT");
    return endpoint && *endpoint ? endpoint : "https://huggingface.co";
}

/* A line from standard input; on a terminal nothing of it is shown. */
static bool read_secret(const char *origin, char *out, size_t size)
{
    struct termios before = {0}, silent;
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &before) == 0;
    if (terminal) {
        fprintf(stderr, "Token for %s (not shown): ", origin);
        silent = before;
        silent.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
        if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) != 0)
            return false;
    }
    bool got = fgets(out, (int)size, stdin) != NULL;
    if (terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
        fputc('\n', stderr);
    }
    if (got)
        out[strcspn(out, "\r\n")] = 0;
    return got;
}

/* EXIT_DONE: origin is set; *done: nothing more to do. */
static int read_args(const struct command *self, int argc, char **argv, char origin[ORIGIN_BYTES],
                     bool *done)
{
    struct args a = args_begin(self, argc, argv);
    struct err e = {0};
    const char *server = default_hub();
    for (int id; (id = args_next(&a)) != ARG_END;) {
        if (id == ARG_HELP) {
            *done = true;
            return EXIT_DONE;
        }
        if (id == ARG_ERROR)
            return EXIT_USAGE;
        if (id == ARG_POSITIONAL)
            return args_usage_error(self, "a token is never an argument (others could see it)");
        server = a.value;
    }
    return url_origin(server, origin, &e) == ERR_OK ? EXIT_DONE : fail(&e, false);
}

static int run_login(const struct command *self, int argc, char **argv)
{
    char origin[ORIGIN_BYTES], secret[TOKEN_BYTES + 2] = "", path[FETCH_PATH_BYTES];
    struct err e = {0};
    bool done = false;
    int code = read_args(self, argc, argv, origin, &done);
    if (code != EXIT_DONE || done)
        return code;
    enum err_code rc = ERR_OK;
    if (!read_secret(origin, secret, sizeof secret) || !token_is_sound(str_from(secret))) {
        rc = err_set(&e, ERR_ARG, "that is not a token (8 to 500 characters without spaces)");
        goto done;
    }
    TRY_GOTO(token_save(origin, secret, &e), done);
    rc = token_path(path, sizeof path, &e);
done:
    token_wipe(secret, sizeof secret);
    if (rc != ERR_OK)
        return fail(&e, false);
    say("the token for %s is in '%s', readable by you alone", origin, path);
    return EXIT_DONE;
}

static int run_logout(const struct command *self, int argc, char **argv)
{
    char origin[ORIGIN_BYTES];
    struct err e = {0};
    bool done = false, was_there;
    int code = read_args(self, argc, argv, origin, &done);
    if (code != EXIT_DONE || done)
        return code;
    if (token_forget(origin, &was_there, &e) != ERR_OK)
        return fail(&e, false);
    say(was_there ? "the token for %s is gone" : "there was no token for %s", origin);
    return EXIT_DONE;
}

const struct command cmd_login = {
    .name = "login",
    .summary = "Keeps a token for gated repositories",
    .usage = "[--mirror URL]",
    .details =
        "Asks for the token without showing it (or reads a line from standard input) and keeps\n"
        "it in a file that only you can read. It is sent to that server alone, never to where\n"
        "the server redirects to. HF_TOKEN and the hub's own token file work without a login.\n",
    .examples = "  veetance-fetch login\n"
                "  veetance-fetch login < token.txt\n"
                "  veetance-fetch login --mirror https://hub.example.org\n",
    .options = options,
    .run = run_login,
};

const struct command cmd_logout = {
    .name = "logout",
    .summary = "Forgets the token",
    .usage = "[--mirror URL]",
    .examples = "  veetance-fetch logout\n",
    .options = options,
    .run = run_logout,
};
