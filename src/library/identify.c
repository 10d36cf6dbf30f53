/* identify.c - what a file or folder is: opened as a component, measured, fingerprinted, entered.
 *
 * Recognising looks at tensor names and shapes only, never at the file's name. A component's id comes from "quick"
 * hashes: size and sixteen pieces of each file, which tells fine-tunes and quantisations of one model apart in
 * milliseconds, where a hash of all bytes takes as long as reading them (that one is added on request, or for free
 * from the hub's cache, which names its blobs by it). A component that is known already gets another place, and
 * whatever the manifest believed to be at that path before is removed from it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "library/impl.h"
#include "weights/component.h"
#include "weights/lora.h"

/* A piece from each sixteenth of the file: where fine-tunes, quantisations and retrainings differ. */
enum { QUICK_PIECES = 16, QUICK_PIECE_BYTES = 16 << 10, HASH_PIECE_BYTES = 1 << 20 };
enum { TOKENIZER_MAX_BYTES = 64 << 20, REPORT_EVERY_BYTES = 256 << 20 };

void models_say(const struct models_options *o, enum models_news news, const char *path,
                const char *text)
{
    struct models_report r = {.news = news, .path = path, .text = text};
    if (o && o->report)
        o->report(&r, o->user);
}

/* ---- fingerprints ---------------------------------------------------------------------------------- */

static enum err_code open_file(const char *path, int *fd, uint64_t *bytes, struct err *e)
{
    struct stat st;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return err_set_sys(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, errno, "cannot open '%s'",
                           path);
    if (fstat(*fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)close(*fd);
        return err_set(e, ERR_ARG, "'%s' is no regular file", path);
    }
    *bytes = (uint64_t)st.st_size;
    return ERR_OK;
}

static enum err_code read_at(int fd, void *p, size_t n, uint64_t at, const char *path,
                             struct err *e)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = pread(fd, (char *)p + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set_sys(e, ERR_IO, got < 0 ? errno : EIO, "cannot read '%s'", path);
        done += (size_t)got;
    }
    return ERR_OK;
}

enum err_code models_quick(const char *path, struct models_file *out, struct err *e)
{
    struct sha256 h;
    int fd;
    enum err_code rc = ERR_OK;
    TRY(open_file(path, &fd, &out->bytes, e));
    unsigned char *piece = mem_alloc(QUICK_PIECE_BYTES);
    sha256_init(&h);
    sha256_add(&h, &out->bytes, sizeof out->bytes);
    for (uint64_t i = 0; i < QUICK_PIECES; i++) {
        uint64_t at = out->bytes / QUICK_PIECES * i;
        size_t n = out->bytes - at < QUICK_PIECE_BYTES ? (size_t)(out->bytes - at)
                                                       : (size_t)QUICK_PIECE_BYTES;
        TRY_GOTO(read_at(fd, piece, n, at, path, e), done);
        sha256_add(&h, piece, n);
    }
    sha256_hex(&h, out->quick);
done:
    mem_free(piece);
    (void)close(fd);
    return rc;
}

enum err_code models_hash(const char *path, const struct models_options *o,
                          char out[SHA256_HEX_SIZE], struct err *e)
{
    struct models_report r = {.news = MODELS_HASHING, .path = path, .text = ""};
    struct sha256 h;
    uint64_t said = 0;
    int fd;
    TRY(open_file(path, &fd, &r.bytes, e));
    enum err_code rc = ERR_OK;
    unsigned char *piece = mem_try_alloc(HASH_PIECE_BYTES);
    if (!piece) {
        rc = err_set(e, ERR_NOMEM, "no memory to read '%s'", path);
        goto done;
    }
    sha256_init(&h);
    while (r.done < r.bytes) {
        size_t n = r.bytes - r.done < HASH_PIECE_BYTES ? (size_t)(r.bytes - r.done)
                                                       : (size_t)HASH_PIECE_BYTES;
        TRY_GOTO(read_at(fd, piece, n, r.done, path, e), done);
        sha256_add(&h, piece, n);
        r.done += n;
        if (o && o->report && (r.done - said >= REPORT_EVERY_BYTES)) {
            said = r.done;
            o->report(&r, o->user);
        }
    }
    sha256_hex(&h, out);
done:
    mem_free(piece);
    (void)close(fd);
    return rc;
}

/* The hub's cache calls the blob behind a link by the sha256 of its bytes. */
static void hash_from_hub(const char *path, char out[SHA256_HEX_SIZE])
{
    char real[MODELS_PATH_BYTES];
    struct stat st;
    if (lstat(path, &st) != 0 || !S_ISLNK(st.st_mode))
        return;
    ssize_t n = readlink(path, real, sizeof real - 1);
    if (n <= 0)
        return;
    real[n] = 0;
    const char *base = strrchr(real, '/');
    if (base && strstr(real, "/blobs/") && strlen(base + 1) == SHA256_HEX_SIZE - 1 &&
        strspn(base + 1, "0123456789abcdef") == SHA256_HEX_SIZE - 1)
        memcpy(out, base + 1, SHA256_HEX_SIZE);
}

/* ---- entering -------------------------------------------------------------------------------------- */

struct found {
    struct models_component c; /* numbers and kind; files and names filled by measure */
    const char *path;
    char (*files)[MODELS_PATH_BYTES];
};

static bool same_place(const struct models_place *p, const char *path)
{
    return strcmp(p->path, path) == 0;
}

static enum err_code add_place(struct models *m, struct models_component *c, const struct found *f,
                               struct err *e)
{
    char volume[MODELS_PATH_BYTES];
    struct models_place p = {0};
    models_volume_of(f->path, volume);
    p.path = models_keep(m, f->path);
    p.volume = models_keep(m, volume);
    if (file_is_dir(f->path)) {
        p.names = arena_array(&m->arena, c->n_files, sizeof *p.names);
        for (size_t i = 0; p.names && i < c->n_files; i++)
            p.names[i] = models_keep(m, strrchr(f->files[i], '/') + 1);
        if (!p.names)
            return err_set(e, ERR_NOMEM, "the model store is full");
    }
    for (size_t i = 0; i < c->n_places; i++) {
        if (same_place(&c->places[i], f->path)) {
            c->places[i] = p;
            return ERR_OK;
        }
    }
    struct models_place *more = models_grow(m, c->places, c->n_places, sizeof p);
    if (!more || c->n_places >= MODELS_MAX_FILES)
        return err_set(e, ERR_LIMIT, "'%s' is stored in too many places", c->id);
    more[c->n_places++] = p;
    c->places = more;
    return ERR_OK;
}

/* The path now holds this component, so another of its kind is no longer there. Of other kinds a folder or a file may
 * hold several: weights beside their tokenizer, a checkpoint with its text encoder. */
static void leave_others(struct models *m, const struct models_component *keep, const char *path)
{
    for (size_t i = 0; i < m->n_components; i++) {
        struct models_component *c = &m->components[i];
        bool gone = c != keep && strcmp(c->kind, keep->kind) == 0;
        for (size_t k = 0; k < c->n_places; k++) {
            if (!same_place(&c->places[k], path))
                continue;
            if (gone || (c != keep && models_place_state(c, &c->places[k]) != MODELS_READY))
                c->places[k--] = c->places[--c->n_places];
        }
    }
}

static enum err_code measure(struct models *m, struct found *f, const struct models_options *o,
                             struct err *e)
{
    struct sha256 all;
    char hex[SHA256_HEX_SIZE], id[128];
    enum err_code rc = ERR_OK;
    f->c.files = arena_array(&m->arena, f->c.n_files, sizeof *f->c.files);
    if (!f->c.files)
        return err_set(e, ERR_NOMEM, "the model store is full");
    sha256_init(&all);
    for (size_t i = 0; rc == ERR_OK && i < f->c.n_files; i++) {
        struct models_file *file = &f->c.files[i];
        rc = models_quick(f->files[i], file, e);
        sha256_add(&all, file->quick, sizeof file->quick);
        hash_from_hub(f->files[i], file->sha256);
        if (rc == ERR_OK && o && o->hash && !file->sha256[0])
            rc = models_hash(f->files[i], o, file->sha256, e);
    }
    sha256_hex(&all, hex);
    (void)snprintf(id, sizeof id, "%s-%.12s", f->c.kind, hex);
    f->c.id = models_keep(m, id);
    return rc;
}

static enum err_code enter(struct models *m, struct found *f, const struct models_options *o,
                           struct models_component **out, struct err *e)
{
    TRY(measure(m, f, o, e));
    struct models_component *c = models_component(m, f->c.id);
    if (!c) {
        c = models_more_components(m);
        if (!c)
            return err_set(e, ERR_LIMIT, "the model store has %d components; that is the limit",
                           MODELS_MAX_COMPONENTS);
        *c = f->c;
        models_say(o, MODELS_FOUND_COMPONENT, f->path, c->about);
    } else {
        for (size_t i = 0; i < c->n_files; i++)
            if (!c->files[i].sha256[0])
                memcpy(c->files[i].sha256, f->c.files[i].sha256, SHA256_HEX_SIZE);
        char where[MODELS_PATH_BYTES];
        if (models_component_state(c, where) != MODELS_READY)
            models_say(o, MODELS_MOVED, f->path, c->about);
    }
    leave_others(m, c, f->path);
    *out = c;
    return add_place(m, c, f, e);
}

/* ---- networks -------------------------------------------------------------------------------------- */

static int64_t positive(int64_t v)
{
    return v > 0 ? v : 0;
}

/* The numbers by which components fit together. */
static void read_numbers(const struct component *c, struct models_component *out)
{
    switch (component_kind(c)) {
    case COMPONENT_FLUX2_TRANSFORMER: /* three layers' states side by side; latents in 2 x 2 patches */
        out->text = positive(component_dim(c, "context_embedder.weight", 1)) / 3;
        out->latent = positive(component_dim(c, "x_embedder.weight", 1)) / 4;
        break;
    case COMPONENT_QWEN_IMAGE_TRANSFORMER:
        out->text = positive(component_dim(c, "txt_in.weight", 1));
        out->latent = positive(component_dim(c, "img_in.weight", 1)) / 4;
        out->layered = component_has(c, "time_text_embed.addition_t_embedding.weight");
        break;
    case COMPONENT_QWEN3:
    case COMPONENT_QWEN2_5_VL:
        out->text = positive(component_dim(c, "model.embed_tokens.weight", 1));
        out->rows = positive(component_dim(c, "model.embed_tokens.weight", 0));
        out->vision = component_has(c, "visual.merger.ln_q.weight");
        out->tokens =
            checkpoint_meta_array_count(component_checkpoint(c), "tokenizer.ggml.tokens") > 0;
        break;
    case COMPONENT_QWEN2_5_VL_VISION:
        out->text = positive(component_dim(c, "visual.merger.mlp.2.weight", 0));
        out->vision = true;
        break;
    case COMPONENT_FLUX2_VAE:
    case COMPONENT_QWEN_IMAGE_VAE:
        out->latent = positive(component_dim(c, "decoder.conv_in.weight", 1));
        out->channels = positive(component_dim(c, "decoder.conv_out.weight", 0));
        break;
    default:
        break;
    }
}

/* Where the checkpoint's files lie: all in one folder, or it is refused. */
static enum err_code list_files(const struct checkpoint *cp, const char *path, struct found *f,
                                struct err *e)
{
    size_t dir = strlen(path);
    f->c.n_files = checkpoint_file_count(cp);
    if (f->c.n_files > MODELS_MAX_FILES)
        return err_set(e, ERR_LIMIT, "'%s' has %zu files", path, f->c.n_files);
    f->files = mem_try_array(f->c.n_files, sizeof *f->files);
    if (!f->files)
        return err_set(e, ERR_NOMEM, "no memory for the names of %zu files", f->c.n_files);
    for (size_t i = 0; i < f->c.n_files; i++) {
        const char *file = checkpoint_file_path(cp, i);
        if (strlen(file) >= MODELS_PATH_BYTES)
            return err_set(e, ERR_LIMIT, "a path below '%s' is too long", path);
        memcpy(f->files[i], file, strlen(file) + 1);
        if (file_is_dir(path) && (strncmp(file, path, dir) != 0 || strchr(file + dir + 1, '/')))
            return err_set(e, ERR_FORMAT, "'%s' has files in other folders", path);
    }
    return ERR_OK;
}

/* Tensors that networks of the kind do not have: they are not used, which the user should know. */
static void tell_leftovers(const struct component *c, const char *path,
                           const struct models_options *o)
{
    const char *first;
    char text[400];
    size_t n = component_leftovers(c, &first, 1);
    if (n == 0)
        return;
    (void)snprintf(text, sizeof text, "%zu tensors are not used, the first is '%.150s'", n, first);
    models_say(o, MODELS_NOTE, path, text);
}

/* The network of that kind in the file or folder, which may hold others too. */
static enum err_code look_for(struct models *m, const char *path, enum component_kind kind,
                              bool in_company, const struct models_options *o,
                              struct models_component **out, struct err *e)
{
    struct component *c = NULL;
    struct checkpoint *cp = NULL;
    struct found f = {.path = path};
    char about[256];
    TRY(checkpoint_open(path, &cp, e));
    TRY(component_from_checkpoint(cp, kind, &c, e));
    tell_leftovers(c, path, o);
    component_describe(c, about, sizeof about);
    f.c.kind = component_kind_id(component_kind(c));
    f.c.about = models_keep(m, about);
    read_numbers(c, &f.c);
    if (in_company)
        f.c.own_bytes = (int64_t)component_bytes(c);
    enum err_code rc = list_files(component_checkpoint(c), path, &f, e);
    component_close(c);
    if (rc == ERR_OK)
        rc = enter(m, &f, o, out, e);
    mem_free(f.files);
    return rc;
}

/* One file that changes a network: no network itself, and of no model. */
static enum err_code look_lora(struct models *m, struct checkpoint *cp, const char *path,
                               const struct models_options *o, struct models_component **out,
                               struct err *e)
{
    struct found f = {.c = {.kind = "lora"}, .path = path};
    struct lora_facts facts;
    struct lora *l = NULL;
    char about[160];
    TRY(lora_from_checkpoint(cp, &l, e));
    lora_facts(l, &facts);
    lora_describe(&facts, about, sizeof about);
    f.c.about = models_keep(m, about);
    f.c.base = models_keep(m, facts.base);
    f.c.rank = facts.rank;
    f.c.text = facts.width;
    enum err_code rc = list_files(lora_checkpoint(l), path, &f, e);
    lora_close(l);
    if (rc == ERR_OK)
        rc = enter(m, &f, o, out, e);
    mem_free(f.files);
    return rc;
}

enum err_code models_look(struct models *m, const char *path, const struct models_options *o,
                          struct models_component **out, struct err *e)
{
    enum component_kind kinds[COMPONENT_COUNT] = {COMPONENT_UNKNOWN};
    struct checkpoint *cp = NULL;
    const char *first = NULL;
    enum err_code rc = checkpoint_open(path, &cp, e);
    int n = rc == ERR_OK ? component_kinds(cp, kinds) : 0;
    *out = NULL;
    if (rc == ERR_OK && n == 0 && lora_is(cp))
        return look_lora(m, cp, path, o, out, e);
    checkpoint_close(cp);
    for (int i = 0; rc == ERR_OK && i < (n > 0 ? n : 1); i++) {
        struct err why = {0};
        rc = look_for(m, path, kinds[i], n > 1, o, out, n > 1 ? &why : e);
        if (rc == ERR_OK && !first)
            first = (*out)->id;
        if (rc == ERR_FORMAT && n > 1) { /* the others may be of use */
            models_say(o, MODELS_REFUSED, path, why.text);
            rc = ERR_OK;
        } else if (rc != ERR_OK && n > 1 && e) {
            *e = why;
        }
    }
    if (rc == ERR_OK && !first)
        return err_set(e, ERR_FORMAT, "nothing in '%s' can be used", path);
    if (rc == ERR_OK)
        *out = models_component(m, first);
    return rc;
}

/* ---- tokenizers and processors --------------------------------------------------------------------- */

static enum err_code enter_small(struct models *m, const char *dir, const char *const *names,
                                 size_t n, struct models_component *proto,
                                 struct models_component **out, struct err *e)
{
    struct found f = {.c = *proto, .path = dir};
    enum err_code rc;
    f.files = mem_try_array(n, sizeof *f.files);
    if (!f.files)
        return err_set(e, ERR_NOMEM, "no memory for file names");
    for (size_t i = 0; i < n; i++) {
        TRY_GOTO(file_join(f.files[f.c.n_files], MODELS_PATH_BYTES, dir, names[i], e), done);
        if (file_exists(f.files[f.c.n_files]))
            f.c.n_files++;
    }
    if (f.c.n_files == 0) {
        rc = err_set(e, ERR_FORMAT, "'%s' contains no such files", dir);
        goto done;
    }
    const struct models_options hash = {.hash = true}; /* small files: at once */
    rc = enter(m, &f, &hash, out, e);
done:
    mem_free(f.files);
    return rc;
}

/* How many tokens tokenizer.json or vocab.json has, and whether Qwen3's words for thinking are among them. */
static enum err_code read_tokenizer(const char *dir, struct models_component *out, struct err *e)
{
    char path[MODELS_PATH_BYTES];
    yyjson_doc *doc = NULL;
    TRY(file_join(path, sizeof path, dir, "tokenizer.json", e));
    if (!file_exists(path))
        TRY(file_join(path, sizeof path, dir, "vocab.json", e));
    TRY(json_read_file(path, TOKENIZER_MAX_BYTES, &doc, e));
    yyjson_val *root = yyjson_doc_get_root(doc), *added = yyjson_obj_get(root, "added_tokens"), *v;
    yyjson_val *vocab = yyjson_obj_get(yyjson_obj_get(root, "model"), "vocab");
    size_t i, n;
    out->rows = (int64_t)(yyjson_obj_size(vocab ? vocab : root));
    if (yyjson_is_arr(added)) {
        yyjson_arr_foreach(added, i, n, v)
        {
            int64_t id = yyjson_get_sint(yyjson_obj_get(v, "id"));
            out->rows = id >= out->rows && id < INT32_MAX ? id + 1 : out->rows;
            out->vision = out->vision || yyjson_equals_str(yyjson_obj_get(v, "content"), "<think>");
        }
    }
    yyjson_doc_free(doc);
    return out->rows > 0 ? ERR_OK : err_set(e, ERR_FORMAT, "'%s' lists no tokens", path);
}

enum err_code models_look_tokenizer(struct models *m, const char *dir,
                                    struct models_component **out, struct err *e)
{
    static const char *const names[] = {"tokenizer.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "added_tokens.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "chat_template.jinja"};
    char about[128];
    struct models_component proto = {.kind = "tokenizer"};
    TRY(read_tokenizer(dir, &proto, e));
    (void)snprintf(about, sizeof about, "tokenizer (%" PRId64 " tokens%s)", proto.rows,
                   proto.vision ? ", Qwen3" : "");
    proto.about = models_keep(m, about);
    return enter_small(m, dir, names, sizeof names / sizeof names[0], &proto, out, e);
}

enum err_code models_look_processor(struct models *m, const char *dir,
                                    struct models_component **out, struct err *e)
{
    static const char *const names[] = {"preprocessor_config.json", "processor_config.json"};
    struct models_component proto = {.kind = "processor", .about = "image preparation"};
    return enter_small(m, dir, names, sizeof names / sizeof names[0], &proto, out, e);
}
