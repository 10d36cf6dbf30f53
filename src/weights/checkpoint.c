/* checkpoint.c - finds the files of a checkpoint, has them read, and answers questions about them.
 *
 * What a path can be: a file (told apart by its first bytes), an index.json naming shards beside it, or a
 * folder. In a folder the index wins over single files, and the names that the Hugging Face libraries
 * write win over others; what is still ambiguous is refused with the names found.
 */
#include "weights/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/mem.h"
#include "weights/catalogue.h"

enum { MAX_PATH_BYTES = 4096, MAX_CANDIDATES = 64 };

static const size_t max_catalogue_bytes = (size_t)256 << 20;
static const size_t max_index_bytes = (size_t)100 << 20;

/* ---- opening ---------------------------------------------------------------------------------- */

static struct checkpoint *checkpoint_new(const char *path)
{
    struct checkpoint *c = mem_try_alloc(sizeof *c);
    if (!c)
        return NULL;
    arena_init(&c->arena, max_catalogue_bytes);
    c->path = arena_strdup(&c->arena, str_from(path));
    if (!c->path) {
        checkpoint_close(c);
        return NULL;
    }
    return c;
}

void checkpoint_close(struct checkpoint *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_files; i++)
        file_unmap(&c->files[i].map);
    mem_free(c->files);
    mem_free(c->tensors);
    mem_free(c->meta);
    arena_deinit(&c->arena);
    mem_free(c);
}

static enum err_code no_memory(const char *path, struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory to open '%s'", path);
}

static bool begins(const struct weights_file *f, const char *magic)
{
    size_t n = strlen(magic);
    return f->n >= n && memcmp(f->p, magic, n) == 0;
}

/* Files that are given by mistake, each with a sentence for the message. */
static enum err_code refuse_stranger(const struct weights_file *f, struct err *e)
{
    const char *what = "neither a safetensors nor a GGUF file";
    if (f->n == 0)
        what = "empty";
    else if (begins(f, "version https://git-lfs"))
        what = "only a Git LFS pointer: the file itself was not downloaded";
    else if (begins(f, "PK\x03\x04") || begins(f, "\x80\x02"))
        what = "a PyTorch pickle, which can run code when it is read: convert it to safetensors";
    else if (begins(f, "<"))
        what = "a web page, not a checkpoint: the download went wrong";
    else if (begins(f, "FUGG"))
        what = "a big-endian GGUF file, which is not supported";
    return err_set(e, ERR_FORMAT, "'%s' is %s", f->path, what);
}

static enum err_code read_file(struct checkpoint *c, int i, struct err *e)
{
    const struct weights_file *f = &c->files[i];
    enum checkpoint_format format = begins(f, "GGUF") ? CHECKPOINT_GGUF : CHECKPOINT_SAFETENSORS;
    if (format == CHECKPOINT_SAFETENSORS && (f->n < 9 || f->p[8] != '{'))
        return refuse_stranger(f, e);
    if (i > 0 && format != c->format)
        return err_set(e, ERR_FORMAT, "'%s' and '%s' are of different formats", c->files[0].path,
                       f->path);
    c->format = format;
    return format == CHECKPOINT_GGUF ? gguf_read(c, i, e) : safetensors_read(c, i, e);
}

static enum err_code map_file(struct checkpoint *c, const char *path, struct err *e)
{
    struct weights_file *f = &c->files[c->n_files];
    f->path = arena_strdup(&c->arena, str_from(path));
    if (!f->path)
        return no_memory(path, e);
    TRY(file_map(path, &f->map, e));
    f->p = f->map.p;
    f->n = f->map.n;
    c->n_files++;
    return read_file(c, (int)c->n_files - 1, e);
}

/* ---- the parts of a split GGUF ------------------------------------------------------------------ */

/* "NAME-00002-of-00003.gguf": where "00002" begins and how many parts there are; 0 when it is no such name. */
static int64_t split_parts(const char *path, size_t *number_at)
{
    enum { DIGITS = 5 };
    static const char tail[] = "-00001-of-00001.gguf";
    size_t n = strlen(path), k = strlen(tail);
    int64_t parts = 0;
    if (n < k)
        return 0;
    for (size_t i = 0; i < k; i++) {
        char have = path[n - k + i];
        if (tail[i] == '0' || tail[i] == '1' ? have < '0' || have > '9' : have != tail[i])
            return 0;
    }
    *number_at = n - k + 1;
    for (int i = 0; i < DIGITS; i++)
        parts = parts * 10 + (path[n - 10 + i] - '0');
    return parts;
}

bool checkpoint_is_later_part(const char *path)
{
    size_t at;
    return split_parts(path, &at) > 1 && strncmp(path + at, "00001", 5) != 0;
}

static enum err_code map_part(struct checkpoint *c, const char *path, size_t number_at, int64_t i,
                              int64_t n, struct err *e)
{
    char part[MAX_PATH_BYTES], number[24];
    int len = snprintf(part, sizeof part, "%s", path);
    if (len < 0 || (size_t)len >= sizeof part)
        return err_set(e, ERR_LIMIT, "the path '%.80s...' is too long", path);
    (void)snprintf(number, sizeof number, "%05" PRId64, i);
    memcpy(part + number_at, number, 5);
    if (!file_exists(part))
        return err_set(e, ERR_NOTFOUND,
                       "part %" PRId64 " of %" PRId64 " of a split GGUF is missing: '%s'", i, n,
                       part);
    return map_file(c, part, e);
}

/* One file, or all parts of a split GGUF that any of them names. */
static enum err_code open_single(struct checkpoint *c, const char *path, struct err *e)
{
    size_t at = 0;
    int64_t n = split_parts(path, &at);
    if (n > CATALOGUE_MAX_FILES)
        return err_set(e, ERR_LIMIT, "'%s' has %" PRId64 " parts, at most %d are allowed", path, n,
                       CATALOGUE_MAX_FILES);
    c->files = mem_try_array(n > 1 ? (size_t)n : 1, sizeof *c->files);
    if (!c->files)
        return no_memory(path, e);
    if (n < 2)
        TRY(map_file(c, path, e));
    for (int64_t i = 1; n > 1 && i <= n; i++)
        TRY(map_part(c, path, at, i, n, e));
    return catalogue_finish(c, e);
}

enum err_code checkpoint_open_bytes(const char *name, const void *p, size_t n,
                                    struct checkpoint **out, struct err *e)
{
    *out = NULL;
    struct checkpoint *c = checkpoint_new(name);
    if (c)
        c->files = mem_try_array(1, sizeof *c->files);
    if (!c || !c->files) {
        checkpoint_close(c);
        return no_memory(name, e);
    }
    c->files[0] = (struct weights_file){.path = c->path, .p = p, .n = n};
    c->n_files = 1;
    enum err_code rc;
    TRY_GOTO(read_file(c, 0, e), done);
    rc = catalogue_finish(c, e);
done:
    if (rc == ERR_OK)
        *out = c;
    else
        checkpoint_close(c);
    return rc;
}

/* ---- shards ----------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

/* A shard lies beside its index: anything that could lead elsewhere is refused. */
static enum err_code check_shard_name(yyjson_val *v, const char *tensor, struct err *e)
{
    struct str shown_tensor = str_from(tensor);
    if (!yyjson_is_str(v))
        return err_set(e, ERR_FORMAT, "'weight_map': the file of tensor '%s' is no string",
                       catalogue_show(shown_tensor).z);
    struct str name = {yyjson_get_str(v), yyjson_get_len(v)};
    if (name.n == 0 || name.n > 255 || memchr(name.p, '/', name.n) || memchr(name.p, 0, name.n) ||
        memchr(name.p, '\\', name.n) || name.p[0] == '.')
        return err_set(e, ERR_FORMAT, "'weight_map' names '%s', which is no file beside the index",
                       catalogue_show(name).z);
    return ERR_OK;
}

/* The distinct file names of a weight_map, sorted; *n of them at the front of names. */
static enum err_code shard_names(yyjson_val *map, const char **names, size_t *n, struct err *e)
{
    size_t i, count, kept = 0;
    yyjson_val *key, *v;
    yyjson_obj_foreach(map, i, count, key, v)
    {
        enum err_code rc = check_shard_name(v, yyjson_get_str(key), e);
        if (rc != ERR_OK)
            return rc;
        names[i] = yyjson_get_str(v);
    }
    qsort(names, count, sizeof *names, by_text);
    for (i = 0; i < count; i++) {
        if (kept == 0 || strcmp(names[kept - 1], names[i]) != 0)
            names[kept++] = names[i];
    }
    *n = kept;
    return kept <= CATALOGUE_MAX_FILES
               ? ERR_OK
               : err_set(e, ERR_LIMIT, "'weight_map' names %zu files, at most %d are allowed", kept,
                         CATALOGUE_MAX_FILES);
}

static enum err_code open_shards(struct checkpoint *c, const char *dir, const char **names,
                                 size_t n, struct err *e)
{
    c->files = mem_try_array(n, sizeof *c->files);
    if (!c->files)
        return no_memory(dir, e);
    for (size_t i = 0; i < n; i++) {
        char path[MAX_PATH_BYTES];
        TRY(file_join(path, sizeof path, dir, names[i], e));
        if (!file_exists(path))
            return err_set(e, ERR_NOTFOUND, "the shard '%s', which '%s' names, is missing",
                           names[i], c->path);
        TRY(map_file(c, path, e));
    }
    return catalogue_finish(c, e);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static enum err_code check_promises(const struct checkpoint *c, yyjson_val *map, struct err *e)
{
    size_t i, n;
    yyjson_val *key, *v;
    yyjson_obj_foreach(map, i, n, key, v)
    {
        const struct weights_tensor *t = checkpoint_find(c, yyjson_get_str(key));
        if (!t || strcmp(base_name(c->files[t->file].path), yyjson_get_str(v)) != 0)
            return err_set(e, ERR_FORMAT, "the index says that tensor '%s' is in '%s', it is not",
                           catalogue_show(str_from(yyjson_get_str(key))).z, yyjson_get_str(v));
    }
    return ERR_OK;
}

static enum err_code open_map(struct checkpoint *c, const char *dir, yyjson_val *map, struct err *e)
{
    size_t n = 0;
    if (!yyjson_is_obj(map) || yyjson_obj_size(map) == 0)
        return err_set(e, ERR_FORMAT, "'%s' has no 'weight_map'", c->path);
    if (yyjson_obj_size(map) > CATALOGUE_MAX_TENSORS)
        return err_set(e, ERR_LIMIT, "'%s' names more than %d tensors", c->path,
                       CATALOGUE_MAX_TENSORS);
    const char **names = mem_try_array(yyjson_obj_size(map), sizeof *names);
    if (!names)
        return no_memory(c->path, e);
    enum err_code rc;
    TRY_GOTO(shard_names(map, names, &n, e), done);
    TRY_GOTO(open_shards(c, dir, names, n, e), done);
    rc = check_promises(c, map, e);
done:
    mem_free(names);
    return rc;
}

static enum err_code open_index(struct checkpoint *c, const char *path, struct err *e)
{
    char dir[MAX_PATH_BYTES];
    size_t n = (size_t)(base_name(path) - path);
    if (n >= sizeof dir)
        return err_set(e, ERR_LIMIT, "the path '%.80s...' is too long", path);
    memcpy(dir, path, n);
    memcpy(dir + n, ".", n == 0 ? 2 : 1);
    dir[n == 0 ? 1 : n] = '\0';
    yyjson_doc *doc = NULL;
    enum err_code rc;
    TRY_GOTO(json_read_file(path, max_index_bytes, &doc, e), done);
    rc = open_map(c, dir, yyjson_obj_get(yyjson_doc_get_root(doc), "weight_map"), e);
done:
    yyjson_doc_free(doc);
    return rc;
}

/* ---- folders ---------------------------------------------------------------------------------- */

struct candidates {
    char *names[MAX_CANDIDATES];
    size_t n;
};

static bool is_visible_with(struct str name, struct str suffix)
{
    return name.n > suffix.n && name.p[0] != '.' && str_ends(name, suffix);
}

static enum err_code list_dir(struct checkpoint *c, const char *dir, struct str suffix,
                              struct candidates *out, struct err *e)
{
    DIR *d = opendir(dir);
    if (!d)
        return err_set_sys(e, ERR_IO, errno, "cannot read the folder '%s'", dir);
    enum err_code rc = ERR_OK;
    for (struct dirent *ent = readdir(d); ent && rc == ERR_OK; ent = readdir(d)) {
        struct str name = str_from(ent->d_name);
        if (!is_visible_with(name, suffix) || out->n == MAX_CANDIDATES)
            continue;
        char *copy = arena_strdup(&c->arena, name);
        if (copy)
            out->names[out->n++] = copy;
        else
            rc = no_memory(dir, e);
    }
    closedir(d);
    qsort(out->names, out->n, sizeof out->names[0], by_text);
    return rc;
}

/* One of the two names that the Hugging Face libraries write, or the only one there is; the parts of one split
 * GGUF are one. */
static const char *choose(const struct candidates *found)
{
    static const char *const usual[] = {"diffusion_pytorch_model.safetensors", "model.safetensors",
                                        "diffusion_pytorch_model.safetensors.index.json",
                                        "model.safetensors.index.json"};
    for (size_t k = 0; k < sizeof usual / sizeof usual[0]; k++) {
        for (size_t i = 0; i < found->n; i++) {
            if (strcmp(found->names[i], usual[k]) == 0)
                return found->names[i];
        }
    }
    bool one = found->n > 0;
    for (size_t i = 1; i < found->n && one; i++)
        one = checkpoint_is_later_part(found->names[i]) &&
              strlen(found->names[i]) == strlen(found->names[0]) &&
              strncmp(found->names[i], found->names[0],
                      strlen(found->names[0]) - strlen("-00001-of-00001.gguf")) == 0;
    return one ? found->names[0] : NULL;
}

static enum err_code refuse_choice(const char *dir, const struct candidates *found, struct err *e)
{
    struct buf list;
    buf_init(&list, 300);
    for (size_t i = 0; i < found->n && i < 4; i++)
        buf_printf(&list, "%s'%.50s'", i ? ", " : "", found->names[i]);
    if (found->n > 4)
        buf_printf(&list, " and %zu more", found->n - 4);
    enum err_code rc;
    if (strstr(found->names[0], "-of-"))
        rc = err_set(e, ERR_NOTFOUND, "'%s' holds shards without their index.json: %s", dir,
                     buf_z(&list));
    else
        rc = err_set(e, ERR_ARG, "'%s' holds several checkpoints, name one of them: %s", dir,
                     buf_z(&list));
    buf_deinit(&list);
    return rc;
}

static enum err_code open_dir(struct checkpoint *c, const char *dir, struct err *e)
{
    static const char *const suffixes[] = {".safetensors.index.json", ".safetensors", ".gguf"};
    char path[MAX_PATH_BYTES];
    for (size_t k = 0; k < sizeof suffixes / sizeof suffixes[0]; k++) {
        struct candidates found = {0};
        enum err_code rc = list_dir(c, dir, str_from(suffixes[k]), &found, e);
        if (rc != ERR_OK)
            return rc;
        if (found.n == 0)
            continue;
        const char *name = choose(&found);
        if (!name)
            return refuse_choice(dir, &found, e);
        rc = file_join(path, sizeof path, dir, name, e);
        if (rc != ERR_OK)
            return rc;
        return k == 0 ? open_index(c, path, e) : open_single(c, path, e);
    }
    if (file_join(path, sizeof path, dir, "model_index.json", NULL) == ERR_OK && file_exists(path))
        return err_set(e, ERR_ARG, "'%s' is a whole pipeline, name one of its component folders",
                       dir);
    return err_set(e, ERR_NOTFOUND, "'%s' holds no checkpoint (*.safetensors, *.gguf)", dir);
}

enum err_code checkpoint_open(const char *path, struct checkpoint **out, struct err *e)
{
    *out = NULL;
    struct checkpoint *c = checkpoint_new(path);
    if (!c)
        return no_memory(path, e);
    enum err_code rc;
    if (file_is_dir(path))
        rc = open_dir(c, path, e);
    else if (str_ends(str_from(path), STR_LIT(".json")))
        rc = open_index(c, path, e);
    else
        rc = open_single(c, path, e);
    if (rc == ERR_OK)
        *out = c;
    else
        checkpoint_close(c);
    return rc;
}

/* ---- questions -------------------------------------------------------------------------------- */

enum checkpoint_format checkpoint_format(const struct checkpoint *c)
{
    return c->format;
}

const char *checkpoint_path(const struct checkpoint *c)
{
    return c->path;
}

size_t checkpoint_file_count(const struct checkpoint *c)
{
    return c->n_files;
}

const char *checkpoint_file_path(const struct checkpoint *c, size_t i)
{
    return c->files[i].path;
}

const unsigned char *checkpoint_file_bytes(const struct checkpoint *c, size_t i, uint64_t *n)
{
    *n = c->files[i].n;
    return c->files[i].p;
}

size_t checkpoint_count(const struct checkpoint *c)
{
    return c->n_tensors;
}

const struct weights_tensor *checkpoint_at(const struct checkpoint *c, size_t i)
{
    return &c->tensors[i];
}

const struct weights_tensor *checkpoint_find(const struct checkpoint *c, const char *name)
{
    size_t lo = 0, hi = c->n_tensors;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int r = strcmp(name, c->tensors[mid].name);
        if (r == 0)
            return &c->tensors[mid];
        if (r < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}
