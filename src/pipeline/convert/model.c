/* model.c - a whole model into a new folder of the diffusers layout.
 *
 * The folder is built under a temporary name beside the final one, which it gets when everything is in it;
 * on failure and on Ctrl-C it is removed. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/mem.h"
#include "pipeline/convert/internal.h"
#include "pipeline/model_dir.h"
#include "text/builtin.h"

enum { MAX_SMALL_FILE = 64 << 20, N_PARTS = 4 };

struct part {
    const char *folder, *stem; /* transformer/diffusion_pytorch_model */
    const struct model_part *from;
    struct component *c; /* NULL: the model has none */
    bool bears_quantising;
    uint64_t bytes;
};

struct job {
    const struct convert_request *rq;
    struct model_dir *m;
    char temp[MODEL_PATH_BYTES];
    struct part parts[N_PARTS];
    uint64_t total;
};

/* ---- small files --------------------------------------------------------------------------------------- */

static enum err_code copy_file(const char *from, const char *folder, const char *name,
                               struct err *e)
{
    char to[MODEL_PATH_BYTES];
    struct buf b;
    TRY(file_join(to, sizeof to, folder, name, e));
    TRY(file_read(from, MAX_SMALL_FILE, &b, e));
    enum err_code rc = file_write_atomic(to, buf_z(&b), b.n, e);
    buf_deinit(&b);
    return rc;
}

/* DIR/NAME, if it is a regular file, into the new model's folder `sub`. */
static enum err_code copy_if_there(const struct job *j, const char *dir, const char *name,
                                   const char *sub, struct err *e)
{
    char from[MODEL_PATH_BYTES], to[MODEL_PATH_BYTES];
    struct stat st;
    TRY(file_join(from, sizeof from, dir, name, e));
    if (stat(from, &st) != 0 || !S_ISREG(st.st_mode))
        return ERR_OK;
    TRY(file_join(to, sizeof to, j->temp, sub, e));
    TRY(folder_make(to, 0777, e));
    return copy_file(from, to, name, e);
}

/* The files of a folder of small files (a tokenizer, a scheduler), not what lies in folders below. */
static enum err_code copy_folder(const struct job *j, const char *from, const char *sub,
                                 struct err *e)
{
    DIR *d = opendir(from);
    if (!d)
        return err_set_sys(e, ERR_IO, errno, "cannot read the folder '%s'", from);
    enum err_code rc = ERR_OK;
    for (struct dirent *ent = readdir(d); ent && rc == ERR_OK; ent = readdir(d))
        if (ent->d_name[0] != '.')
            rc = copy_if_there(j, from, ent->d_name, sub, e);
    closedir(d);
    return rc;
}

static enum err_code copy_folder_or_file(const struct job *j, const char *from, const char *sub,
                                         struct err *e)
{
    char to[MODEL_PATH_BYTES];
    const char *slash = strrchr(from, '/');
    if (!from[0] || file_is_dir(from))
        return from[0] ? copy_folder(j, from, sub, e) : ERR_OK;
    TRY(file_join(to, sizeof to, j->temp, sub, e));
    TRY(folder_make(to, 0777, e));
    return copy_file(from, to, slash ? slash + 1 : from, e);
}

/* What a diffusers folder says about the whole model. */
static enum err_code copy_frame(const struct job *j, const char *dir, struct err *e)
{
    char scheduler[MODEL_PATH_BYTES];
    TRY(copy_if_there(j, dir, "model_index.json", "", e));
    TRY(file_join(scheduler, sizeof scheduler, dir, "scheduler", e));
    return file_is_dir(scheduler) ? copy_folder(j, scheduler, "scheduler", e) : ERR_OK;
}

/* ---- veetance.json -------------------------------------------------------------------------------------- */

static enum err_code read_own(const struct model_dir *m, yyjson_doc **out, struct err *e)
{
    char path[MODEL_PATH_BYTES];
    *out = NULL;
    TRY(file_join(path, sizeof path, m->path, "veetance.json", e));
    return file_exists(path) ? json_read_file(path, MAX_SMALL_FILE, out, e) : ERR_OK;
}

/* What the old file said, but for where the components lie. */
static enum err_code write_own(const struct job *j, yyjson_val *old, const char *path,
                               struct err *e)
{
    const struct model_dir *m = j->m;
    bool klein = m->pipeline == MODEL_PIPELINE_KLEIN;
    yyjson_mut_doc *d = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *o = yyjson_mut_obj(d), *components = yyjson_mut_obj(d);
    yyjson_val *defaults = yyjson_obj_get(old, "defaults");
    yyjson_mut_doc_set_root(d, o);
    bool ok = yyjson_mut_obj_add_str(d, o, "name", m->name) &&
              yyjson_mut_obj_add_str(d, o, "pipeline", klein ? "klein" : "layered");
    if (klein)
        ok = ok && yyjson_mut_obj_add_bool(d, o, "is_distilled", m->is_distilled) &&
             yyjson_mut_obj_add_bool(d, o, "reference_cache", m->reference_cache);
    if (m->vision.weights[0])
        ok = ok && yyjson_mut_obj_add_str(d, components, "vision", "vision") &&
             yyjson_mut_obj_add_val(d, o, "components", components);
    if (defaults)
        ok = ok && yyjson_mut_obj_add_val(d, o, "defaults", yyjson_val_mut_copy(d, defaults));
    enum err_code rc =
        ok ? json_write_file(d, path, e) : err_set(e, ERR_NOMEM, "no memory for veetance.json");
    yyjson_mut_doc_free(d);
    return rc;
}

/* The frame of a base folder comes first: the model's own files win over it. */
static enum err_code copy_frames(const struct job *j, yyjson_val *own, struct err *e)
{
    char dir[MODEL_PATH_BYTES];
    struct str base = {0};
    enum err_code rc = json_get_str(own, "base", &base, "veetance.json", e);
    if (rc == ERR_OK && base.n && base.p[0] == '/')
        rc = copy_frame(j, base.p, e);
    else if (rc == ERR_OK && base.n &&
             (rc = file_join(dir, sizeof dir, j->m->path, base.p, e)) == ERR_OK)
        rc = copy_frame(j, dir, e);
    return rc == ERR_OK ? copy_frame(j, j->m->path, e) : rc;
}

static enum err_code write_frame(const struct job *j, struct err *e)
{
    char path[MODEL_PATH_BYTES];
    yyjson_doc *old;
    enum err_code rc;
    TRY_GOTO(read_own(j->m, &old, e), done);
    TRY_GOTO(copy_frames(j, yyjson_doc_get_root(old), e), done);
    TRY_GOTO(file_join(path, sizeof path, j->temp, "veetance.json", e), done);
    rc = write_own(j, yyjson_doc_get_root(old), path, e);
done:
    yyjson_doc_free(old);
    return rc;
}

/* ---- components ---------------------------------------------------------------------------------------- */

static bool has_quantised(const struct component *c)
{
    const struct checkpoint *cp = component_checkpoint(c);
    for (size_t i = 0; i < checkpoint_count(cp); i++)
        if (dtype_info(checkpoint_at(cp, i)->dtype)->quantised)
            return true;
    return false;
}

static enum err_code copy_config(const struct job *j, const struct part *p, struct err *e)
{
    char folder[MODEL_PATH_BYTES];
    TRY(file_join(folder, sizeof folder, j->temp, p->folder, e));
    TRY(folder_make(folder, 0777, e));
    if (p->from->config[0])
        TRY(copy_file(p->from->config, folder, "config.json", e));
    if (file_is_dir(p->from->weights))
        TRY(copy_if_there(j, p->from->weights, "generation_config.json", p->folder, e));
    return ERR_OK;
}

static enum err_code convert_part(const struct job *j, const struct part *p, uint64_t before,
                                  struct convert_result *out, struct err *e)
{
    char name[80], path[MODEL_PATH_BYTES], folder[MODEL_PATH_BYTES];
    struct convert_request rq = *j->rq;
    const struct convert_span span = {before, j->total};
    if (!p->bears_quantising && dtype_info(rq.type)->quantised)
        rq.type = DTYPE_INVALID;
    bool quantised =
        dtype_info(rq.type)->quantised || (rq.type == DTYPE_INVALID && has_quantised(p->c));
    if (quantised || rq.format == CONVERT_AUTO)
        rq.format = quantised ? CONVERT_TO_GGUF : CONVERT_TO_SAFETENSORS;
    (void)snprintf(name, sizeof name, "%s.%s", p->stem,
                   rq.format == CONVERT_TO_GGUF ? "gguf" : "safetensors");
    TRY(copy_config(j, p, e));
    TRY(file_join(folder, sizeof folder, j->temp, p->folder, e));
    TRY(file_join(path, sizeof path, folder, name, e));
    rq.target = path;
    return convert_component(p->c, &rq, &span, out, e);
}

static enum err_code open_parts(struct job *j, struct err *e)
{
    struct model_dir *m = j->m;
    const struct part parts[N_PARTS] = {
        {.folder = "transformer",
         .stem = "diffusion_pytorch_model",
         .from = &m->transformer,
         .bears_quantising = true},
        {.folder = "text_encoder",
         .stem = "model",
         .from = &m->text_encoder,
         .bears_quantising = true},
        {.folder = "vae", .stem = "diffusion_pytorch_model", .from = &m->vae},
        {.folder = "vision", .stem = "model", .from = &m->vision},
    };
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < N_PARTS && rc == ERR_OK; i++) {
        struct part *p = &j->parts[i];
        *p = parts[i];
        if (!p->from->weights[0])
            continue;
        rc = component_open(p->from->weights, COMPONENT_UNKNOWN, &p->c, e);
        const struct checkpoint *cp = rc == ERR_OK ? component_checkpoint(p->c) : NULL;
        for (size_t k = 0; cp && k < checkpoint_count(cp); k++)
            p->bytes += checkpoint_at(cp, k)->bytes;
        j->total += p->bytes;
    }
    return rc;
}

/* The program's own needs no copy. */
static enum err_code copy_tokenizer(struct job *j, struct err *e)
{
    return tokenizer_is_builtin(j->m->tokenizer)
               ? ERR_OK
               : copy_folder_or_file(j, j->m->tokenizer, "tokenizer", e);
}

static enum err_code fill(struct job *j, struct convert_result *out, struct err *e)
{
    uint64_t before = 0;
    TRY(write_frame(j, e));
    TRY(copy_tokenizer(j, e));
    TRY(copy_folder_or_file(j, j->m->processor, "processor", e));
    for (size_t i = 0; i < N_PARTS; i++) {
        if (j->parts[i].c)
            TRY(convert_part(j, &j->parts[i], before, out, e));
        before += j->parts[i].bytes;
    }
    return ERR_OK;
}

/* ---- the folder ---------------------------------------------------------------------------------------- */

/* Replacing a folder would mean removing what others put there: only a new or an empty one is filled. */
static enum err_code check_target(const char *path, struct err *e)
{
    int entries = 0;
    if (!file_exists(path))
        return ERR_OK;
    DIR *d = opendir(path);
    if (!d)
        return err_set(e, ERR_ARG, "'%s' is a file; a whole model becomes a folder", path);
    while (readdir(d) && entries <= 2)
        entries++;
    closedir(d);
    return entries <= 2 ? ERR_OK
                        : err_set(e, ERR_ARG, "the folder '%s' is not empty; name a new one", path);
}

static enum err_code convert_model(const struct convert_request *rq, struct convert_result *out,
                                   struct err *e)
{
    struct job j = {.rq = rq, .m = mem_alloc(sizeof *j.m)};
    bool made = false;
    enum err_code rc;
    TRY_GOTO(model_dir_open(rq->source, j.m, e), done);
    TRY_GOTO(check_target(rq->target, e), done);
    TRY_GOTO(open_parts(&j, e), done);
    TRY_GOTO(folder_make_temp(rq->target, j.temp, sizeof j.temp, e), done);
    made = true;
    TRY_GOTO(fill(&j, out, e), done);
    if (rename(j.temp, rq->target) != 0)
        rc = err_set_sys(e, ERR_IO, errno, "cannot make the folder '%s'", rq->target);
done:
    if (rc != ERR_OK && made)
        folder_remove_tree(j.temp);
    for (size_t i = 0; i < N_PARTS; i++)
        component_close(j.parts[i].c);
    mem_free(j.m);
    return rc;
}

static bool holds(const char *dir, const char *name)
{
    char path[MODEL_PATH_BYTES];
    return file_join(path, sizeof path, dir, name, NULL) == ERR_OK && file_exists(path);
}

enum err_code convert_any(const struct convert_request *rq, struct convert_result *out,
                          struct err *e)
{
    *out = (struct convert_result){0};
    /* What is no path at all may be the name of an embedded model. */
    bool model = !file_exists(rq->source) || holds(rq->source, "model_index.json") ||
                 holds(rq->source, "veetance.json");
    return model ? convert_model(rq, out, e) : convert_run(rq, out, e);
}
