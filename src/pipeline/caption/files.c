/* files.c - from what somebody calls a captioning model to the files of its parts.
 *
 * That may be a folder of the Hugging Face kind, a layered model (whose text encoder can caption), one GGUF file, or
 * a folder of them. GGUF files are told apart by their tensors, never by their names. What lies beside the weights
 * (config, tokenizer, processor) is then looked for in their folder.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "pipeline/caption/caption.h"
#include "weights/component.h"

static bool inside(const char *dir, const char *name, char *out)
{
    return file_join(out, MODEL_PATH_BYTES, dir, name, NULL) == ERR_OK && file_exists(out);
}

static void set_path(char *out, const char *path)
{
    (void)snprintf(out, MODEL_PATH_BYTES, "%s", path);
}

void caption_files_of(const struct model_dir *dir, struct caption_files *out)
{
    memset(out, 0, sizeof *out);
    out->language = dir->text_encoder;
    set_path(out->vision, dir->vision.weights);
    set_path(out->tokenizer, dir->tokenizer);
    set_path(out->processor, dir->processor);
}

/* What lies beside the weights, wherever they were found. */
static void add_folder(const char *dir, struct caption_files *f)
{
    char path[MODEL_PATH_BYTES];
    if (!f->language.config[0] && inside(dir, "config.json", path))
        set_path(f->language.config, path);
    if (!f->tokenizer[0] &&
        (inside(dir, "tokenizer.json", path) || inside(dir, "vocab.json", path)))
        set_path(f->tokenizer, dir);
    if (!f->processor[0])
        set_path(f->processor, dir);
}

/* ---- GGUF files, told apart by their tensors ---------------------------------------------------------- */

static bool is_gguf_name(const char *name)
{
    return str_ends(str_from(name), STR_LIT(".gguf"));
}

static enum component_kind kind_of(const char *path)
{
    struct component *c;
    struct err e = {0};
    if (component_open(path, COMPONENT_UNKNOWN, &c, &e) != ERR_OK)
        return COMPONENT_UNKNOWN;
    enum component_kind k = component_kind(c);
    component_close(c);
    return k;
}

/* Puts a file where it belongs if that place is free; a second one for a place is refused. */
static enum err_code place(const char *path, struct caption_files *f, bool *named, struct err *e)
{
    enum component_kind k = kind_of(path);
    char *to = k == COMPONENT_QWEN2_5_VL          ? f->language.weights
               : k == COMPONENT_QWEN2_5_VL_VISION ? f->vision
                                                  : NULL;
    if (!to || (named[k == COMPONENT_QWEN2_5_VL_VISION]))
        return ERR_OK;
    if (to[0] && strcmp(to, path) != 0)
        return err_set(e, ERR_ARG, "'%s' and '%s' are both a %s; name the file that is meant", to,
                       path, component_kind_title(k));
    set_path(to, path);
    return ERR_OK;
}

static enum err_code scan(const char *dir, struct caption_files *f, struct err *e)
{
    bool named[2] = {f->language.weights[0] != 0, false};
    enum err_code rc = ERR_OK;
    DIR *d = opendir(dir);
    if (!d)
        return err_set(e, ERR_IO, "the folder '%s' cannot be read", dir);
    for (struct dirent *ent = readdir(d); rc == ERR_OK && ent; ent = readdir(d)) {
        char path[MODEL_PATH_BYTES];
        if (is_gguf_name(ent->d_name) && inside(dir, ent->d_name, path))
            rc = place(path, f, named, e);
    }
    closedir(d);
    return rc;
}

static bool has_gguf(const char *dir)
{
    bool found = false;
    DIR *d = opendir(dir);
    for (struct dirent *ent = d ? readdir(d) : NULL; ent && !found; ent = readdir(d))
        found = is_gguf_name(ent->d_name);
    if (d)
        closedir(d);
    return found;
}

static enum err_code from_gguf_file(const char *path, struct caption_files *f, struct err *e)
{
    char dir[MODEL_PATH_BYTES];
    set_path(f->language.weights, path);
    set_path(dir, path);
    char *slash = strrchr(dir, '/');
    if (slash)
        *slash = 0;
    TRY(scan(slash ? dir : ".", f, e));
    add_folder(slash ? dir : ".", f);
    return ERR_OK;
}

/* ---- finding ------------------------------------------------------------------------------------------ */

static bool is_pipeline_folder(const char *dir)
{
    char path[MODEL_PATH_BYTES];
    return inside(dir, "model_index.json", path) || inside(dir, "veetance.json", path);
}

enum err_code caption_files_find(const char *model, struct caption_files *out, struct err *e)
{
    char path[MODEL_PATH_BYTES];
    memset(out, 0, sizeof *out);
    if (model && file_exists(model) && !file_is_dir(model) && is_gguf_name(model))
        return from_gguf_file(model, out, e);
    if (model && file_is_dir(model) && !is_pipeline_folder(model)) {
        enum err_code rc = ERR_OK;
        if (has_gguf(model))
            rc = scan(model, out, e);
        else if (inside(model, "config.json", path))
            set_path(out->language.weights, model);
        if (rc == ERR_OK)
            add_folder(model, out);
        if (rc != ERR_OK || out->language.weights[0])
            return rc;
        memset(out, 0, sizeof *out);
    }
    struct model_dir *dir = mem_try_alloc(sizeof *dir);
    if (!dir)
        return err_set(e, ERR_NOMEM, "no memory to open a model");
    enum err_code rc;
    TRY_GOTO(model_dir_open(model, dir, e), done);
    if (dir->pipeline != MODEL_PIPELINE_LAYERED) {
        rc = err_set(e, ERR_ARG,
                     "'%s' is a klein model, which cannot describe images; a Qwen-Image-Layered or "
                     "Qwen2.5-VL model can",
                     dir->name);
        goto done;
    }
    caption_files_of(dir, out);
done:
    mem_free(dir);
    return rc;
}
