/* cmd_verify.c - `veetance-fetch verify`: one folder, or all of the models folder, compared with their fetch.json.
 *
 * Lines and JSON are printed while files are read, since reading a model takes minutes.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json_text.h"
#include "fetch/args.h"
#include "fetch/record.h"

enum { OPT_JSON = 1 };

static const struct arg_option options[] = {
    {OPT_JSON, "json", NULL, "one JSON object"},
    {0},
};

enum { OUT_MAX_BYTES = 256 << 20 };

struct session {
    bool json;
    size_t models, bad_models;
    struct buf out; /* the answer in JSON */
};

static void on_file(const struct record_file *f, enum verify_state s, void *user)
{
    struct session *v = user;
    if (v->json) {
        json_object(&v->out, NULL);
        json_put_z(&v->out, "path", f->path);
        json_put_z(&v->out, "state", verify_state_name(s));
        json_end_object(&v->out);
        return;
    }
    printf("%-10s %s\n", verify_state_name(s), f->path);
    (void)fflush(stdout);
}

static enum err_code verify_one(struct session *v, const char *dir, struct err *e)
{
    struct record r;
    size_t bad = 0;
    enum err_code rc = record_load(dir, &r, e);
    if (rc == ERR_OK && r.count == 0)
        rc = err_set(e, ERR_NOTFOUND,
                     "'%s' has no " FETCH_RECORD ": nothing was downloaded into it", dir);
    if (rc == ERR_OK) {
        if (v->json) {
            json_object(&v->out, NULL);
            json_put_z(&v->out, "dir", dir);
            json_put_z(&v->out, "set", r.set);
            json_array(&v->out, "files");
        } else {
            printf("%s\n", dir);
        }
        v->models++;
        rc = verify_dir(dir, &r, &stop_wanted, on_file, v, &bad, e);
        if (v->json) {
            json_end_array(&v->out);
            json_put_bool(&v->out, "ok", rc == ERR_OK && bad == 0);
            json_end_object(&v->out);
        }
    }
    v->bad_models += bad > 0;
    if (bad > 0)
        say("%zu of %zu files of '%s' are not what was downloaded; `veetance-fetch get %s --to "
            "'%s'` after removing them downloads them again",
            bad, r.count, dir, *r.set ? r.set : "SET", dir);
    record_deinit(&r);
    return rc;
}

/* Every model of the models folder that something was downloaded into. */
static enum err_code verify_all(struct session *v, struct err *e)
{
    char root[FETCH_PATH_BYTES], dir[FETCH_PATH_BYTES], record[FETCH_PATH_BYTES];
    enum err_code rc = path_models_root(root, e);
    DIR *d = rc == ERR_OK ? opendir(root) : NULL;
    for (struct dirent *entry; d && rc == ERR_OK && (entry = readdir(d)) != NULL;) {
        if (entry->d_name[0] == '.' ||
            file_join(dir, sizeof dir, root, entry->d_name, NULL) != ERR_OK ||
            file_join(record, sizeof record, dir, FETCH_RECORD, NULL) != ERR_OK ||
            !file_exists(record))
            continue;
        rc = verify_one(v, dir, e);
    }
    if (d)
        closedir(d);
    if (rc == ERR_OK && v->models == 0 && !v->json)
        say("no model was downloaded to '%s'", root);
    return rc;
}

static int run(const struct command *self, int argc, char **argv)
{
    struct args a = args_begin(self, argc, argv);
    struct session v = {.json = false};
    struct err e = {0};
    char dir[FETCH_PATH_BYTES];
    const char *name = NULL;
    for (int id; (id = args_next(&a)) != ARG_END;) {
        if (id == ARG_HELP)
            return EXIT_DONE;
        if (id == ARG_ERROR)
            return EXIT_USAGE;
        if (id == ARG_POSITIONAL && name)
            return args_usage_error(self, "'%s' is one argument too many", a.value);
        if (id == ARG_POSITIONAL)
            name = a.value;
        else
            v.json = true;
    }
    stop_on_signals();
    enum err_code rc = name ? verify_find(name, dir, &e) : ERR_OK;
    if (rc != ERR_OK)
        return fail(&e, v.json);
    buf_init(&v.out, OUT_MAX_BYTES);
    json_object(&v.out, NULL);
    json_array(&v.out, "models");
    rc = name ? verify_one(&v, dir, &e) : verify_all(&v, &e);
    json_end_array(&v.out);
    json_end_object(&v.out);
    if (v.json)
        print_json(&v.out);
    buf_deinit(&v.out);
    if (rc != ERR_OK)
        return fail(&e, false);
    return v.bad_models ? EXIT_FAILED : EXIT_DONE;
}

const struct command cmd_verify = {
    .name = "verify",
    .summary = "Reads every downloaded file and compares its SHA-256",
    .usage = "[NAME|DIR] [--json]",
    .details =
        "Without an argument: every model in the models folder. Asks nobody: the digests are in\n"
        "the folder's fetch.json. Exit code 1 when a file is missing or differs.\n",
    .examples = "  veetance-fetch verify\n  veetance-fetch verify klein-4b\n"
                "  veetance-fetch verify /mnt/models/klein-9b --json\n",
    .options = options,
    .run = run,
};
