/* cmd_get.c - `veetance-fetch get`: arguments, the question about licences, and what is shown; the work is in
 * get.c.
 *
 * In order: names are checked without touching anything, a mirror is named, licences are agreed to, then signals
 * are caught and the download runs. Standard output gets the folder (or JSON) and nothing else, for use in
 * scripts.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json_text.h"
#include "base/mem.h"
#include "fetch/args.h"
#include "fetch/display.h"
#include "fetch/get.h"

enum {
    OPT_TO = 1,
    OPT_QUANT,
    OPT_TEXT,
    OPT_MIRROR,
    OPT_JOBS,
    OPT_TRIES,
    OPT_ACCEPT,
    OPT_TRUST,
    OPT_QUIET,
    OPT_JSON
};

static const struct arg_option options[] = {
    {OPT_TO, "to", "DIR", "folder for the model, on any drive (default: the models folder)"},
    {OPT_QUANT, "quant", "NAME", "which transformer, e.g. Q5_0 (`veetance-fetch list` shows them)"},
    {OPT_TEXT, "text-encoder", "NAME", "which text encoder, e.g. Q8_0"},
    {OPT_MIRROR, "mirror", "URL", "ask this server instead of the hub"},
    {OPT_JOBS, "jobs", "N", "connections at once, 1 to 64 (default 8)"},
    {OPT_TRIES, "tries", "N", "give up after N failures in a row (default 12)"},
    {OPT_ACCEPT, "accept-licence", NULL, "agree to the licences that are shown"},
    {OPT_TRUST, "trust-hub", NULL, "accept the hub's file where it differs from the pinned one"},
    {OPT_QUIET, "quiet", NULL, "no progress"},
    {OPT_JSON, "json", NULL, "the result, or the error, as one JSON object"},
    {0},
};

struct session {
    struct get_request request;
    struct get *get;
    struct display display;
    bool accept, quiet, json;
};

static void on_note(const char *text, void *user)
{
    struct session *s = user;
    if (s->quiet)
        return;
    display_clear(&s->display);
    say("%s", text);
}

static void on_progress(void *user)
{
    struct session *s = user;
    size_t n;
    const struct download_file *files = get_files(s->get, &n);
    struct get_totals t = get_totals(s->get);
    display_update(&s->display, files, n, t.bytes, t.bytes_before);
}

static void pick(struct session *s, const char *component, const char *choice)
{
    if (s->request.pick_count < GET_MAX_PICKS)
        s->request.picks[s->request.pick_count++] = (struct get_pick){component, choice};
}

/* EXIT_DONE when the command is to be carried out; *done when it is over (help). */
static int read_args(struct session *s, struct args *a, bool *done)
{
    int64_t v;
    for (int id; (id = args_next(a)) != ARG_END;) {
        switch (id) {
        case ARG_HELP:
            *done = true;
            return EXIT_DONE;
        case ARG_ERROR:
            return EXIT_USAGE;
        case ARG_POSITIONAL:
            if (s->request.set)
                return args_usage_error(a->command, "'%s' is one argument too many", a->value);
            s->request.set = a->value;
            break;
        case OPT_TO:
            s->request.to = a->value;
            break;
        case OPT_QUANT:
            pick(s, "transformer", a->value);
            break;
        case OPT_TEXT:
            pick(s, "text_encoder", a->value);
            break;
        case OPT_MIRROR:
            s->request.mirror = a->value;
            break;
        case OPT_JOBS:
            if (!args_int(a, 1, 64, &v))
                return EXIT_USAGE;
            s->request.connections = (int)v;
            break;
        case OPT_TRIES:
            if (!args_int(a, 1, 100, &v))
                return EXIT_USAGE;
            s->request.tries = (int)v;
            break;
        case OPT_ACCEPT:
            s->accept = true;
            break;
        case OPT_TRUST:
            s->request.trust_hub = true;
            break;
        case OPT_QUIET:
            s->quiet = true;
            break;
        default:
            s->json = true;
            break;
        }
    }
    return s->request.set ? EXIT_DONE : args_usage_error(a->command, "name a set, e.g. klein-4b");
}

/* Shows the licences; true when they are agreed to, by the option, before, or on the terminal now. */
static bool agree(struct session *s)
{
    const struct catalogue_licence *licences[GET_MAX_LICENCES];
    bool agreed;
    char answer[16];
    size_t n = get_licences(s->get, licences, &agreed);
    if (agreed)
        return true;
    for (size_t i = 0; i < n; i++) {
        say("licence: %s, %s", licences[i]->name, licences[i]->url);
        if (*licences[i]->note)
            say("  %s", licences[i]->note);
    }
    if (s->accept)
        return true;
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
        say("agree to %s with --accept-licence", n == 1 ? "it" : "them");
        return false;
    }
    fputs("Do you agree? [y/N] ", stderr);
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

static void introduce(const struct session *s, const struct catalogue *c)
{
    if (s->quiet || strcmp(get_base(s->get), catalogue_hub(c)) == 0)
        return;
    say("asking %s instead of %s", get_base(s->get), catalogue_hub(c));
    if (strncmp(get_base(s->get), "https://", 8) != 0 && !url_is_loopback(get_base(s->get)))
        say("note: that is plain http: anybody in between can read and change what comes; files "
            "with "
            "a pinned sum are still checked, and no token is sent");
}

static void print_result(const struct session *s)
{
    struct get_totals t = get_totals(s->get);
    char size[32];
    if (s->json) {
        struct buf b;
        buf_init(&b, 1u << 16);
        json_object(&b, NULL);
        json_put_z(&b, "set", s->request.set);
        json_put_z(&b, "dir", get_dir(s->get));
        json_put_uint(&b, "files", t.files);
        json_put_uint(&b, "bytes", t.bytes);
        json_end_object(&b);
        print_json(&b);
        buf_deinit(&b);
        return;
    }
    printf("%s\n", get_dir(s->get));
    if (!s->quiet)
        say("%s is there: %zu files, %s; use it with -m '%s'", s->request.set, t.files,
            path_size_text(t.bytes, size), get_dir(s->get));
}

static int carry_out(struct session *s, const struct catalogue *c)
{
    struct err e = {0};
    if (get_new(c, &s->request, &s->get, &e) != ERR_OK)
        return fail(&e, s->json);
    introduce(s, c);
    if (!agree(s))
        return EXIT_FAILED;
    stop_on_signals();
    enum err_code rc = get_run(s->get, &e);
    display_clear(&s->display);
    if (rc != ERR_OK)
        return fail(&e, s->json);
    print_result(s);
    return EXIT_DONE;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct session *s = mem_alloc(sizeof *s);
    struct args a = args_begin(self, argc, argv);
    struct catalogue *c = NULL;
    struct err e = {0};
    bool done = false;
    s->request = (struct get_request){.connections = 8,
                                      .tries = 12,
                                      .stop = &stop_wanted,
                                      .note = on_note,
                                      .progress = on_progress,
                                      .user = s};
    int code = read_args(s, &a, &done);
    if (code == EXIT_DONE && !done) {
        display_init(&s->display, s->quiet);
        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
            err_set_text(&e, ERR_INTERNAL, "libcurl cannot start");
        code = e.code != ERR_OK || catalogue_open(NULL, &c, &e) != ERR_OK ? fail(&e, s->json)
                                                                          : carry_out(s, c);
        get_free(s->get);
        catalogue_free(c);
        curl_global_cleanup();
    }
    mem_free(s);
    return code;
}

const struct command cmd_get = {
    .name = "get",
    .summary = "Downloads a set of files, or continues a download",
    .usage = "SET [OPTIONS]",
    .details =
        "The folder is then a model: `veetance generate -m DIR`. After a stop or a broken line "
        "the\n"
        "same command continues. Every file is checked before it gets its name.\n"
        "Gated sets need a token: `veetance-fetch login`, or HF_TOKEN. HF_ENDPOINT is a lasting\n"
        "--mirror; https_proxy, no_proxy and SSL_CERT_FILE are honoured.\n",
    .examples = "  veetance-fetch get klein-4b --accept-licence\n"
                "  veetance-fetch get klein-4b --text-encoder Q8_0 --to /mnt/models/klein-4b\n"
                "  veetance-fetch get qwen-layered --quant Q5_0 --jobs 4\n"
                "  veetance-fetch get klein-9b --mirror http://localhost:8000 --accept-licence\n",
    .options = options,
    .run = run,
};
