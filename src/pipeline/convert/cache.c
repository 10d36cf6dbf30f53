/* cache.c - converted weights, made once and found again; see cache.h.
 *
 * The mark is the heart of it: one line a source file with path, size, time and hashes of its head and tail, and a
 * first line with the version of the conversion. Its hash is part of the copy's name, and the whole mark is stored
 * in the copy and compared, so neither a collision nor a changed source is taken for a hit. Under a lock on the
 * folder: look again (another process may have made it while we waited), remove copies of changed sources,
 * convert.
 */
#include "pipeline/convert/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "nn/quantise.h"
#include "pipeline/convert/convert.h"
#include "pipeline/report.h"
#include "weights/convert_types.h"

enum {
    HEAD_BYTES = 1 << 20, /* of each source file that are hashed: its header, or most of it */
    TAIL_BYTES = 64 << 10,
    MAX_MARK_BYTES = 4 << 20,
    WAIT_NS = 100 * 1000 * 1000,
};

/* Changes when the same source would be converted differently. */
static const char version[] = "veetance convert 1";

/* ---- which source ------------------------------------------------------------------------------------- */

/* How a file's line begins: what tells it from another file, and from itself when it was changed. */
static void mark_place(const char *path, const struct stat *st, struct buf *mark)
{
    buf_printf(mark, "%s\t%" PRIu64 "\t%lld.%09ld\t", path, (uint64_t)st->st_size,
               (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

static enum err_code mark_file(const struct checkpoint *cp, size_t i, struct buf *mark,
                               struct err *e)
{
    char real[PATH_MAX];
    struct stat st;
    uint64_t n;
    const char *path = checkpoint_file_path(cp, i);
    const unsigned char *p = checkpoint_file_bytes(cp, i, &n);
    if (!realpath(path, real) || stat(real, &st) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot read '%s'", path);
    size_t head = n < HEAD_BYTES ? (size_t)n : HEAD_BYTES;
    size_t tail = n < TAIL_BYTES ? (size_t)n : TAIL_BYTES;
    mark_place(real, &st, mark);
    buf_printf(mark, "%016" PRIx64 "\t%016" PRIx64 "\n",
               str_hash((struct str){(const char *)p, head}),
               str_hash((struct str){(const char *)p + (n - tail), tail}));
    return ERR_OK;
}

static enum err_code mark_source(const struct checkpoint *cp, enum dtype type, struct buf *mark,
                                 struct err *e)
{
    buf_init(mark, MAX_MARK_BYTES);
    buf_printf(mark, "%s to %s\n", version, dtype_info(type)->name);
    for (size_t i = 0; i < checkpoint_file_count(cp); i++)
        TRY(mark_file(cp, i, mark, e));
    if (buf_failed(mark))
        return err_set(e, ERR_NOMEM, "no memory for the list of files");
    return ERR_OK;
}

/* Is there a matrix that the type would change? What is quantised already gains nothing. */
static bool is_worth_it(const struct component *c, enum dtype type, bool *quantised)
{
    const struct checkpoint *cp = component_checkpoint(c);
    bool any = false;
    *quantised = false;
    for (size_t i = 0; i < checkpoint_count(cp); i++) {
        const struct weights_tensor *t = checkpoint_at(cp, i);
        *quantised |= dtype_info(t->dtype)->quantised;
        any |= t->n_dims >= 2 && dtype_info(t->dtype)->is_float && t->dtype != type;
    }
    return any && !*quantised;
}

/* ---- the folder --------------------------------------------------------------------------------------- */

enum err_code convert_cache_folder(char out[MODEL_PATH_BYTES], struct err *e)
{
    const char *own = getenv("VEETANCE_HOME"), *xdg = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int n;
    if (own && *own)
        n = snprintf(out, MODEL_PATH_BYTES, "%s/cache/weights", own);
    else if (xdg && *xdg == '/')
        n = snprintf(out, MODEL_PATH_BYTES, "%s/veetance/weights", xdg);
    else if (home && *home)
        n = snprintf(out, MODEL_PATH_BYTES, "%s/.cache/veetance/weights", home);
    else
        return err_set(e, ERR_ARG,
                       "no folder for converted weights: VEETANCE_HOME, XDG_CACHE_HOME and "
                       "HOME are not set");
    if (n < 0 || n >= MODEL_PATH_BYTES - 128)
        return err_set(e, ERR_LIMIT, "the path of the cache folder is too long");
    return folder_make(out, 0700, e);
}

/* ---- one network -------------------------------------------------------------------------------------- */

struct work {
    const struct convert_cache_run *run;
    const char *what;
    enum dtype type;
    char folder[MODEL_PATH_BYTES], path[MODEL_PATH_BYTES];
    struct buf mark;
    int percent;
    int64_t start_ns;
};

/* A whole copy of just this source; anything else counts as not there. */
static bool is_good(const struct work *w, enum component_kind kind)
{
    struct component *c = NULL;
    struct str mark;
    if (!file_exists(w->path) || component_open(w->path, kind, &c, NULL) != ERR_OK)
        return false;
    bool good = checkpoint_meta_str(component_checkpoint(c), "veetance.source", &mark) &&
                str_eq(mark, buf_str(&w->mark));
    component_close(c);
    return good;
}

static bool is_cancelled(const struct work *w)
{
    return w->run->cancel && atomic_load(w->run->cancel);
}

/* One conversion at a time in a folder: it uses all cores anyway. */
static enum err_code lock_folder(const struct work *w, int *fd, struct err *e)
{
    char path[MODEL_PATH_BYTES];
    const struct timespec wait = {.tv_nsec = WAIT_NS};
    enum err_code rc = file_join(path, sizeof path, w->folder, "lock", e);
    if (rc != ERR_OK)
        return rc;
    for (bool told = false;; told = true) {
        rc = file_lock(AT_FDCWD, path, 0600, false, fd, e);
        if (rc != ERR_BUSY)
            return rc;
        if (is_cancelled(w))
            return err_set(e, ERR_CANCELLED, "stopped on request");
        if (!told)
            report_note(w->run->callbacks, "another process is converting weights; waiting for it");
        (void)nanosleep(&wait, NULL);
    }
}

static void show_progress(uint64_t done, uint64_t total, void *user)
{
    struct work *w = user;
    int percent = total ? (int)(100.0 * (double)done / (double)total) : 100;
    if (percent == w->percent)
        return;
    double seconds = (double)(clock_ns() - w->start_ns) * 1e-9;
    w->percent = percent;
    report_progress(
        w->run->callbacks,
        &(struct vt_progress){.stage = VT_STAGE_LOAD,
                              .step = percent,
                              .step_count = 100,
                              .done = percent / 100.0,
                              .seconds_left =
                                  done ? seconds * (double)(total - done) / (double)done : -1});
}

static void pass_note(const char *text, void *user)
{
    const struct work *w = user;
    report_note(w->run->callbacks, "%s", text);
}

static enum err_code make(struct work *w, const char *source, struct err *e)
{
    const struct convert_request rq = {.source = source,
                                       .target = w->path,
                                       .format = CONVERT_TO_GGUF,
                                       .type = w->type,
                                       .source_mark = buf_z(&w->mark),
                                       .threads = w->run->threads,
                                       .force = true,
                                       .cancel = w->run->cancel,
                                       .progress = show_progress,
                                       .note = pass_note,
                                       .user = w};
    struct convert_result done;
    report_note(w->run->callbacks, "converting the %s to %s, once; it is kept in '%s'", w->what,
                w->run->type, w->path);
    w->percent = -1;
    w->start_ns = clock_ns();
    return convert_run(&rq, &done, e);
}

/* Whether a line of a mark names a file that is there and has changed since. One that is not there may lie on a
 * drive that is not connected. */
static bool line_is_outdated(struct str line)
{
    char path[PATH_MAX];
    struct stat st;
    struct buf now;
    const char *tab = memchr(line.p, '\t', line.n);
    size_t n = tab ? (size_t)(tab - line.p) : line.n;
    if (!tab || n >= sizeof path)
        return false;
    memcpy(path, line.p, n);
    path[n] = 0;
    if (stat(path, &st) != 0)
        return false;
    buf_init(&now, 2 * PATH_MAX);
    mark_place(path, &st, &now);
    struct str begin = buf_str(&now);
    bool same = begin.n <= line.n && memcmp(line.p, begin.p, begin.n) == 0;
    buf_deinit(&now);
    return !same;
}

static bool is_outdated(const char *copy)
{
    struct checkpoint *cp = NULL;
    struct str mark;
    bool outdated = false;
    if (checkpoint_open(copy, &cp, NULL) != ERR_OK)
        return false;
    if (!checkpoint_meta_str(cp, "veetance.source", &mark))
        mark.n = 0;
    while (mark.n > 0) {
        const char *end = memchr(mark.p, '\n', mark.n);
        size_t n = end ? (size_t)(end - mark.p) : mark.n;
        outdated |= line_is_outdated((struct str){mark.p, n});
        n += end != NULL;
        mark.p += n;
        mark.n -= n;
    }
    checkpoint_close(cp);
    return outdated;
}

/* Copies of files that have changed since are of no use any more, and large. The folder is locked. */
static void remove_outdated(const struct work *w)
{
    char path[MODEL_PATH_BYTES];
    DIR *d = opendir(w->folder);
    for (struct dirent *f; d && (f = readdir(d));) {
        if (!str_ends(str_from(f->d_name), STR_LIT(".gguf")) ||
            file_join(path, sizeof path, w->folder, f->d_name, NULL) != ERR_OK)
            continue;
        if (is_outdated(path) && unlink(path) == 0)
            report_note(w->run->callbacks, "removed '%s': what it was made of has changed", path);
    }
    if (d)
        closedir(d);
}

static enum err_code get(struct work *w, const struct component *c, const char *source,
                         struct err *e)
{
    int fd = -1;
    enum component_kind kind = component_kind(c);
    int n = snprintf(w->path, sizeof w->path, "%s/%s-%016" PRIx64 "-%s.gguf", w->folder,
                     component_kind_id(kind), str_hash(buf_str(&w->mark)), w->run->type);
    if (n < 0 || (size_t)n >= sizeof w->path)
        return err_set(e, ERR_LIMIT, "the path of the cache folder is too long");
    if (is_good(w, kind))
        return ERR_OK;
    enum err_code rc;
    TRY_GOTO(lock_folder(w, &fd, e), done);
    if (!is_good(w, kind)) {
        /* nobody made it while we waited */
        remove_outdated(w);
        TRY_GOTO(make(w, source, e), done);
    }
done:
    file_unlock(fd);
    return rc;
}

enum err_code convert_cache_check(const char *type, struct err *e)
{
    enum dtype t = type ? convert_type_from_name(type) : DTYPE_F32;
    if (t != DTYPE_INVALID && nn_can_quantise(t))
        return ERR_OK;
    return err_set(e, ERR_ARG, "weights can be %s, not '%.40s'", convert_type_names(), type);
}

enum err_code convert_cache_part(const char *what, char *path, const struct convert_cache_run *run,
                                 struct err *e)
{
    struct component *c = NULL;
    struct work w = {.run = run, .what = what};
    bool quantised = false;
    if (!run->type || !path[0])
        return ERR_OK;
    w.type = convert_type_from_name(run->type);
    enum err_code rc = convert_cache_check(run->type, e);
    if (rc == ERR_OK)
        rc = component_open(path, COMPONENT_UNKNOWN, &c, e);
    if (rc != ERR_OK)
        return err_note(e, "%s", what);
    if (!is_worth_it(c, w.type, &quantised)) {
        if (quantised)
            report_note(run->callbacks, "the %s is quantised already and stays as it is", what);
        component_close(c);
        return ERR_OK;
    }
    TRY_GOTO(convert_cache_folder(w.folder, e), done);
    TRY_GOTO(mark_source(component_checkpoint(c), w.type, &w.mark, e), done);
    TRY_GOTO(get(&w, c, path, e), done);
    memcpy(path, w.path, strlen(w.path) + 1);
done:
    buf_deinit(&w.mark);
    component_close(c);
    return rc == ERR_OK ? rc : err_note(e, "%s", what);
}

enum err_code convert_cache_model(struct model_dir *m, const struct convert_cache_run *run,
                                  struct err *e)
{
    TRY(convert_cache_part("text encoder", m->text_encoder.weights, run, e));
    return convert_cache_part("transformer", m->transformer.weights, run, e);
}
