/* layers_out.c - decides from -o, --format and --force what a stack becomes, and writes it.
 *
 * The kind is found before the work, from the name alone: a known ending is a file, one that is a letter away from
 * it is a slip, another kind of file's is refused, and everything else is a folder. Files are written one by one,
 * each whole or not at all; a folder is stack_folder.c's.
 */
#include "cli/layers_out.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "cli/stack_folder.h"
#include "cli/layers_job.h"
#include "cli/suggest.h"

static const char format_names[] = "png psd ora pptx zip";

struct layers_out layers_out_defaults(void)
{
    return (struct layers_out){.to = {.name = "layers", .ending = "", .count = 1}};
}

/* ---- what is asked for --------------------------------------------------------------------------------- */

static enum err_code no_format(struct str word, struct err *e)
{
    char typed[41];
    struct err why = {0};
    (void)snprintf(typed, sizeof typed, "%.*s", word.n > 40 ? 40 : (int)word.n, word.p);
    (void)err_set(&why, ERR_ARG, "'%s' is no format; there are png, psd, ora, pptx and zip", typed);
    (void)cli_suggest_add(&why, typed, format_names);
    return err_set(e, ERR_ARG, "%s", why.text);
}

enum err_code layers_formats_parse(const char *list, unsigned *out, struct err *e)
{
    enum layers_format f;
    *out = 0;
    for (const char *p = list;; p++) {
        size_t n = strcspn(p, ",");
        if (!layers_format_from_name((struct str){p, n}, &f))
            return no_format((struct str){p, n}, e);
        *out |= 1u << f;
        p += n;
        if (!*p)
            return ERR_OK;
    }
}

/* Endings by which people mean one file. A folder may have any other dot in its name. */
static bool is_foreign_file(const char *ending)
{
    static const char *const endings[] = {"png",  "jpg",  "jpeg", "webp", "gif",     "bmp",  "tif",
                                          "tiff", "heic", "heif", "avif", "svg",     "pdf",  "xcf",
                                          "kra",  "clip", "psb",  "sai",  "afphoto", "json", "ppt",
                                          "tar",  "gz",   "7z",   "rar"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (strcasecmp(ending, endings[i]) == 0)
            return true;
    return false;
}

/* Behind the last dot of the last part; "" when there is none. */
static const char *ending_of(const char *path)
{
    const char *dot = strrchr(path, '.'), *slash = strrchr(path, '/');
    return dot && dot != path && (!slash || dot > slash + 1) ? dot + 1 : "";
}

static bool file_format(const char *ending, enum layers_format *out)
{
    for (int f = LAYERS_PNG + 1; f < LAYERS_FORMATS; f++)
        if (strcasecmp(ending, layers_format_name((enum layers_format)f)) == 0) {
            *out = (enum layers_format)f;
            return true;
        }
    return false;
}

bool layers_out_is_file(const struct layers_out *o)
{
    enum layers_format f;
    const char *path = o->to.named;
    return path && !cli_output_is_folder(path) && file_format(ending_of(path), &f);
}

/* The only format of a list that makes a file; LAYERS_PNG when there are several, or the folder's. */
static enum layers_format only_format(unsigned formats)
{
    for (unsigned f = LAYERS_PNG + 1; f < LAYERS_FORMATS; f++)
        if (formats == 1u << f)
            return (enum layers_format)f;
    return LAYERS_PNG;
}

/* An ending that is one letter away from a file's is a slip, not the name of a folder. */
static enum err_code check_slip(const char *path, const char *ending, struct err *e)
{
    char kept[64];
    struct cli_suggestion s = {.typed = ending};
    if (strlen(ending) < 2)
        return ERR_OK;
    cli_suggest_words(&s, "psd ora pptx zip", kept);
    return s.best ? err_set(e, ERR_ARG,
                            "'%.200s' has the ending of no file that is written here%s A folder of "
                            "that name is '%.100s/'",
                            path, cli_suggest_text(&s), path)
                  : ERR_OK;
}

/* The file that a path names by its ending; LAYERS_PNG: none. */
static enum err_code kind_of(const char *path, unsigned formats, enum layers_format *out,
                             struct err *e)
{
    const char *ending = ending_of(path);
    bool is_file = file_format(ending, out);
    if (is_file && formats && formats != 1u << *out)
        return err_set(e, ERR_ARG,
                       "'%.200s' is one %s file, but --format asks for others; name a folder", path,
                       layers_format_name(*out));
    if (is_file)
        return ERR_OK;
    *out = LAYERS_PNG;
    return is_foreign_file(ending)
               ? err_set(
                     e, ERR_ARG,
                     "'%.200s': layers are written as .psd, .ora, .pptx, .zip or into a folder, "
                     "not as .%s",
                     path, ending)
               : check_slip(path, ending, e);
}

static enum err_code find_kind(struct layers_out *o, struct err *e)
{
    const char *path = o->to.named;
    o->kind = LAYERS_PNG;
    o->into_folder = o->is_export && o->formats && !(o->formats & 1u << LAYERS_PNG);
    if (!path || cli_output_is_folder(path))
        return ERR_OK;
    TRY(kind_of(path, o->formats, &o->kind, e));
    if (o->kind == LAYERS_PNG && (o->is_export || cli_output_is_stream(path)))
        o->kind = only_format(o->formats);
    o->into_folder = o->into_folder && o->kind == LAYERS_PNG;
    return ERR_OK;
}

/* ---- before work --------------------------------------------------------------------------------------- */

/* A folder that -o names. */
static enum err_code check_folder(struct layers_out *o, struct err *e)
{
    const char *path = o->to.named;
    if (cli_output_is_stream(path))
        return err_set(e, ERR_ARG, "a folder cannot go to %s; say --format psd, ora, pptx or zip",
                       cli_output_is_stdout(path) ? "standard output" : path);
    TRY(stack_folder_check(path, e));
    if (stack_folder_is_used(path))
        cli_output_ask(&o->to, path);
    return ERR_OK;
}

enum err_code layers_out_check(struct layers_out *o, struct err *e)
{
    TRY(find_kind(o, e));
    if (o->into_folder) {
        o->to.into = o->to.named;
        o->to.named = NULL;
        o->to.name = "stack";
    }
    return o->kind == LAYERS_PNG && o->to.named ? check_folder(o, e) : cli_output_check(&o->to, e);
}

/* ---- writing ------------------------------------------------------------------------------------------- */

static enum err_code write_file(struct layers_out *o, const struct layer_stack *s,
                                enum layers_format f, struct cli_progress *p, struct err *e)
{
    const struct cli_output_words none = {"", "", 0};
    TRY(layers_check_stopped(e));
    TRY(cli_output_place(&o->to, &none, o->path, &o->replaced, e));
    enum err_code rc = layers_export(s, f, strcmp(o->path, "-") == 0 ? "/dev/stdout" : o->path, e);
    if (rc == ERR_OK)
        cli_output_note(&o->to, o->path, o->replaced, p);
    else
        cli_output_drop(&o->to, o->path);
    return rc;
}

/* stack.EXT for each format. */
static enum err_code write_files(struct layers_out *o, const struct layer_stack *s,
                                 struct cli_progress *p, struct err *e)
{
    char ending[16];
    int n = 0;
    enum err_code rc = ERR_OK;
    for (unsigned f = 0; rc == ERR_OK && f < LAYERS_FORMATS; f++) {
        if (!(o->formats & 1u << f))
            continue;
        (void)snprintf(ending, sizeof ending, ".%s", layers_format_name((enum layers_format)f));
        o->to.ending = ending;
        rc = write_file(o, s, (enum layers_format)f, p, e);
        n++;
    }
    o->to.ending = "";
    if (rc == ERR_OK && n > 1)
        (void)snprintf(o->path, sizeof o->path, "%s", o->to.into);
    return rc;
}

static void tell_replaced(const struct layers_out *o, const struct stack_folder_news *news,
                          struct cli_progress *p)
{
    char note[CLI_PATH_BYTES + 100], removed[64] = "";
    if (!o->replaced || o->to.force || (o->to.asked && !news->removed))
        return;
    if (news->removed)
        (void)snprintf(removed, sizeof removed, "; %d file%s of it %s removed", news->removed,
                       news->removed == 1 ? "" : "s", news->removed == 1 ? "is" : "are");
    (void)snprintf(note, sizeof note, "the stack that was in %.300s is replaced%s", o->path,
                   removed);
    cli_progress_note(p, note);
}

static enum err_code write_folder(struct layers_out *o, const struct layer_stack *s,
                                  struct cli_progress *p, struct err *e)
{
    struct stack_folder_news news;
    if (!o->to.named)
        TRY(cli_output_free_name(&o->to, o->path, e));
    else {
        if (!stack_folder_path(o->to.named, o->path))
            return err_set(e, ERR_ARG, "-o names nothing that could be written");
        else {
            if (o->to.number_on)
                TRY(cli_output_number_on(o->path, e));
        }
    }
    TRY(stack_folder_write(s, o->formats, o->path, &news, e));
    o->replaced = news.replaced > 0;
    tell_replaced(o, &news, p);
    return ERR_OK;
}

enum err_code layers_out_write(struct layers_out *o, const struct layer_stack *s,
                               struct cli_progress *p, struct err *e)
{
    TRY(layers_check_stopped(e));
    if (o->kind != LAYERS_PNG)
        return write_file(o, s, o->kind, p, e);
    return o->into_folder ? write_files(o, s, p, e) : write_folder(o, s, p, e);
}
