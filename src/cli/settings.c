/* settings.c - settings: one table of keys, read from a file and the environment.
 *
 * Each row knows how its value is checked, so the file, the environment and `veetance settings` cannot differ in
 * what they take. The environment wins over the file, an option over both. A key that is not known is told and not
 * refused: an older program must live with a newer one's file.
 */
#include "cli/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "cli/engine_args.h"
#include "cli/output.h"
#include "cli/suggest.h"
#include "memory/budget.h"

enum { FILE_MAX_BYTES = 1 << 20 };

/* ---- the table ----------------------------------------------------------------------------------------- */

static enum err_code check_device(const char *value, struct err *e)
{
    if (strncasecmp(value, "rpc:", 4) != 0)
        return cli_device_check(value, e);
    return err_set(e, ERR_ARG,
                   "a worker is named with --rpc each time, so that nothing is sent to another "
                   "machine unasked");
}

static enum err_code check_budget(const char *value, struct err *e)
{
    double percent;
    uint64_t bytes;
    size_t n = strlen(value);
    if (value[n - 1] != '%')
        return budget_parse(value, NULL, &bytes, e);
    if (str_to_double((struct str){value, n - 1}, &percent) && percent > 0 && percent <= 100)
        return ERR_OK;
    return err_set(e, ERR_ARG, "'%.40s' is no part of the memory: 1%% to 100%%", value);
}

static enum err_code check_folder(const char *value, struct err *e)
{
    if (value[0] == '/' || strcmp(value, "~") == 0 || strncmp(value, "~/", 2) == 0)
        return ERR_OK;
    return err_set(e, ERR_ARG, "'%.100s' should begin with / or ~/", value);
}

const struct cli_setting_row cli_setting_rows[SETTINGS] = {
    [SETTING_MODEL] = {"model", "VEETANCE_MODEL", "", NULL},
    [SETTING_LAYERS_MODEL] = {"layers_model", "VEETANCE_LAYERS_MODEL", "", NULL},
    [SETTING_DEVICE] = {"device", "VEETANCE_DEVICE", "auto", check_device},
    [SETTING_BUDGET] = {"budget", "VEETANCE_BUDGET", "", check_budget},
    [SETTING_OUTPUT_FOLDER] = {"output_folder", "VEETANCE_OUTPUT_FOLDER", "", check_folder},
    [SETTING_NAME] = {"name", "VEETANCE_NAME", "out", cli_output_check_name},
};

enum cli_setting cli_setting_from_key(const char *key)
{
    for (int i = 0; i < SETTINGS; i++) {
        const char *a = key, *b = cli_setting_rows[i].key;
        while (*a && (*a == *b || (*a == '-' && *b == '_'))) {
            a++;
            b++;
        }
        if (!*a && !*b)
            return (enum cli_setting)i;
    }
    return SETTINGS;
}

const char *cli_setting(const struct cli_settings *s, enum cli_setting which)
{
    return s->of[which].text[0] ? s->of[which].text : NULL;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static enum err_code take(struct cli_settings *s, int i, const char *value,
                          enum setting_source source, const char *where, struct err *e)
{
    const struct cli_setting_row *row = &cli_setting_rows[i];
    if (!value[0])
        return ERR_OK;
    if (strlen(value) >= SETTING_BYTES)
        return err_set(e, ERR_LIMIT, "%s: '%s' is longer than %d bytes", where, row->key,
                       SETTING_BYTES - 1);
    enum err_code rc = row->check ? row->check(value, e) : ERR_OK;
    if (rc != ERR_OK)
        return err_note(e, "%s: %s", where, row->key);
    memcpy(s->of[i].text, value, strlen(value) + 1);
    s->of[i].source = source;
    return ERR_OK;
}

static void note_unknown(struct cli_settings *s, const char *key)
{
    struct cli_suggestion near = {.typed = key};
    for (int i = 0; i < SETTINGS; i++)
        cli_suggest(&near, cli_setting_rows[i].key);
    (void)snprintf(s->unknown, sizeof s->unknown, "settings.json: '%.60s' is no setting%s", key,
                   cli_suggest_text(&near));
}

/* Values are texts; a number is taken as it is written ("budget": 8000000000). */
static enum err_code take_json(struct cli_settings *s, const char *key, yyjson_val *v,
                               struct err *e)
{
    char number[32];
    enum cli_setting which = cli_setting_from_key(key);
    if (which == SETTINGS) {
        note_unknown(s, key);
        return ERR_OK;
    }
    if (yyjson_is_str(v))
        return take(s, (int)which, yyjson_get_str(v), SETTING_FILE, s->path, e);
    if (yyjson_is_uint(v)) {
        (void)snprintf(number, sizeof number, "%llu", (unsigned long long)yyjson_get_uint(v));
        return take(s, (int)which, number, SETTING_FILE, s->path, e);
    }
    if (yyjson_is_null(v))
        return ERR_OK;
    return err_set(e, ERR_FORMAT, "%s: '%s' should be a text, found %s", s->path, key,
                   yyjson_get_type_desc(v));
}

/* *doc stays NULL when there is no file. */
static enum err_code read_file(const char *path, yyjson_doc **doc, struct err *e)
{
    *doc = NULL;
    if (!path[0] || !file_exists(path))
        return ERR_OK;
    TRY(json_read_file(path, FILE_MAX_BYTES, doc, e));
    if (!yyjson_is_obj(yyjson_doc_get_root(*doc))) {
        yyjson_doc_free(*doc);
        *doc = NULL;
        return err_set(e, ERR_FORMAT, "'%s' should be an object: {\"model\": \"klein-4b\", ...}",
                       path);
    }
    return ERR_OK;
}

static enum err_code take_file(struct cli_settings *s, struct err *e)
{
    yyjson_doc *doc;
    yyjson_val *key, *v;
    size_t i, n;
    enum err_code rc = read_file(s->path, &doc, e);
    if (!doc)
        return rc;
    yyjson_obj_foreach(yyjson_doc_get_root(doc), i, n, key, v)
    {
        if (rc == ERR_OK)
            rc = take_json(s, yyjson_get_str(key), v, e);
    }
    yyjson_doc_free(doc);
    return rc;
}

static enum err_code find_file(char *out, struct err *e)
{
    return home_path(HOME_CONFIG, "settings.json", out, SETTINGS_PATH_BYTES, e);
}

enum err_code cli_settings_load(struct cli_settings *s, struct err *e)
{
    memset(s, 0, sizeof *s);
    for (int i = 0; i < SETTINGS; i++)
        (void)snprintf(s->of[i].text, SETTING_BYTES, "%s", cli_setting_rows[i].built_in);
    if (find_file(s->path, NULL) != ERR_OK)
        s->path[0] = 0;
    TRY(take_file(s, e));
    for (int i = 0; i < SETTINGS; i++) {
        const char *value = getenv(cli_setting_rows[i].variable);
        if (value)
            TRY(take(s, i, value, SETTING_VARIABLE, cli_setting_rows[i].variable, e));
    }
    return ERR_OK;
}

/* ---- changing ------------------------------------------------------------------------------------------ */

enum err_code cli_settings_change(enum cli_setting which, const char *value, struct err *e)
{
    char path[SETTINGS_PATH_BYTES];
    struct cli_settings scratch;
    yyjson_doc *old = NULL;
    const char *key = cli_setting_rows[which].key;
    TRY(find_file(path, e));
    if (value)
        TRY(take(&scratch, (int)which, value, SETTING_FILE, "settings", e));
    TRY(read_file(path, &old, e));
    yyjson_mut_doc *d = old ? yyjson_doc_mut_copy(old, NULL) : yyjson_mut_doc_new(NULL);
    yyjson_doc_free(old);
    if (!yyjson_mut_doc_get_root(d))
        yyjson_mut_doc_set_root(d, yyjson_mut_obj(d));
    yyjson_mut_val *root = yyjson_mut_doc_get_root(d);
    if (value)
        (void)yyjson_mut_obj_put(root, yyjson_mut_str(d, key), yyjson_mut_str(d, value));
    else
        (void)yyjson_mut_obj_remove_key(root, key);
    enum err_code rc;
    TRY_GOTO(folder_make_parents(path, 0700, e), done);
    rc = json_write_file(d, path, e);
done:
    yyjson_mut_doc_free(d);
    return rc;
}
