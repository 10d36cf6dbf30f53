/* json.c - PNG files and layers.json in a folder or a ZIP; see json.h.
 *
 * Writing: images first, the manifest last, so that a folder with a manifest is complete. Folder and archive share
 * the code through two small tables of functions (sink, source). Reading trusts nothing: names in the manifest are
 * checked before they are joined to a folder, links are resolved and must stay inside, and every image is counted
 * against the limits by its header before it is decoded.
 */
#include "layers/json.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "image/png_save.h"
#include "layers/assemble.h"
#include "layers/json_groups.h"
#include "layers/png.h"
#include "layers/zipfile.h"

enum {
    FORMAT_VERSION = 1,
    FILE_NAME_MAX = 255,
    MANIFEST_BYTES_MAX = 16 << 20,
    PATH_ROOM = 4096,
};

static const size_t PNG_BYTES_MAX = (size_t)1 << 30;

/* ---- the manifest ---------------------------------------------------------------------------- */

static void file_name(char out[32], size_t index)
{
    (void)snprintf(out, 32, "layer_%zu.png", index);
}

static bool add_layer(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct layer_stack *s,
                      size_t index)
{
    const struct layer *l = &s->layers[index];
    char file[32];
    file_name(file, index);
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
    return o && yyjson_mut_obj_add_str(doc, o, "id", l->id) &&
           yyjson_mut_obj_add_str(doc, o, "name", l->name) &&
           (!l->group || yyjson_mut_obj_add_str(doc, o, "group", s->groups[l->group - 1].id)) &&
           yyjson_mut_obj_add_strcpy(doc, o, "file", file) &&
           yyjson_mut_obj_add_int(doc, o, "x", l->x) && yyjson_mut_obj_add_int(doc, o, "y", l->y) &&
           yyjson_mut_obj_add_int(doc, o, "width", l->image.w) &&
           yyjson_mut_obj_add_int(doc, o, "height", l->image.h) &&
           yyjson_mut_obj_add_real(doc, o, "opacity", l->opacity) &&
           yyjson_mut_obj_add_str(doc, o, "blend_mode", blend_mode_name(l->blend)) &&
           yyjson_mut_obj_add_bool(doc, o, "visible", l->visible);
}

enum err_code layers_json_write(const struct layer_stack *s, struct buf *out, struct err *e)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *list = yyjson_mut_arr(doc);
    yyjson_mut_doc_set_root(doc, root);
    bool ok = yyjson_mut_obj_add_int(doc, root, "version", FORMAT_VERSION) &&
              yyjson_mut_obj_add_int(doc, root, "width", s->w) &&
              yyjson_mut_obj_add_int(doc, root, "height", s->h) &&
              yyjson_mut_obj_add_val(doc, root, "layers", list);
    for (size_t i = 0; i < s->n && ok; i++)
        ok = add_layer(doc, list, s, i);
    ok = ok && layers_groups_put(doc, root, s);
    size_t n = 0;
    char *text = ok ? yyjson_mut_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, &n) : NULL;
    yyjson_mut_doc_free(doc);
    if (!text)
        return err_set(e, ERR_NOMEM, "no memory for the manifest of %zu layers", s->n);
    buf_add(out, text, n);
    buf_add_byte(out, '\n');
    mem_free(text); /* yyjson's default allocator is the one behind mem_free */
    return buf_failed(out) ? err_set(e, ERR_NOMEM, "no memory for the manifest") : ERR_OK;
}

/* ---- where files go to and come from --------------------------------------------------------- */

/* A folder or an archive, so that the set itself is written and read by one piece of code. */
struct sink {
    enum err_code (*put)(void *self, const char *name, struct str bytes, struct err *e);
    enum err_code (*put_image)(void *self, const char *name, const struct image *im,
                               const struct image_about *about, struct err *e);
    void *self;
    const struct image_out *out; /* of an archive, else NULL */
};

struct source {
    enum err_code (*get)(void *self, const char *name, size_t max_bytes, struct buf *out,
                         struct err *e);
    void *self;
};

static enum err_code put_into_folder(void *self, const char *name, struct str bytes, struct err *e)
{
    char path[PATH_ROOM];
    TRY(file_join(path, sizeof path, self, name, e));
    return file_write_atomic(path, bytes.p, bytes.n, e);
}

static enum err_code put_image_into_folder(void *self, const char *name, const struct image *im,
                                           const struct image_about *about, struct err *e)
{
    char path[PATH_ROOM];
    TRY(file_join(path, sizeof path, self, name, e));
    struct image_about_texts texts;
    image_about_texts_init(&texts, about);
    enum err_code rc = image_png_write_file(path, im, texts.texts, texts.n, e);
    image_about_texts_deinit(&texts);
    return rc;
}

static enum err_code put_into_zip(void *self, const char *name, struct str bytes, struct err *e)
{
    zipfile_add(self, name, bytes, ZIPFILE_DEFLATED);
    return zipfile_poll(self, e);
}

static enum err_code put_image_into_zip(void *self, const char *name, const struct image *im,
                                        const struct image_about *about, struct err *e)
{
    return layers_png_add(self, name, im, about, e);
}

/* The name has been checked; what is left is a link that leads out of the folder. */
static enum err_code get_from_folder(void *self, const char *name, size_t max_bytes,
                                     struct buf *out, struct err *e)
{
    char path[PATH_ROOM], real_dir[PATH_MAX], real_file[PATH_MAX];
    buf_init(out, max_bytes);
    TRY(file_join(path, sizeof path, self, name, e));
    if (!realpath(self, real_dir) || !realpath(path, real_file))
        return err_set_sys(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, errno, "cannot open '%s'",
                           name);
    struct str dir = str_from(real_dir), file = str_from(real_file);
    bool root = dir.n == 1;
    if (!str_starts(file, dir) || (!root && file.p[dir.n] != '/'))
        return err_set(e, ERR_FORMAT, "'%s' is a link that leaves the folder", name);
    return file_read(real_file, max_bytes, out, e);
}

static enum err_code get_from_zip(void *self, const char *name, size_t max_bytes, struct buf *out,
                                  struct err *e)
{
    TRY(zipfile_read(self, name, out, e));
    if (out->n <= max_bytes)
        return ERR_OK;
    size_t n = out->n;
    buf_deinit(out);
    return err_set(e, ERR_LIMIT, "'%s' has %zu bytes, the limit is %zu", name, n, max_bytes);
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum err_code put_composite(struct sink *to, const struct layer_stack *s, struct err *e)
{
    struct image flat = {0};
    enum err_code rc;
    TRY_GOTO(layers_flatten_for(s, to->out, &flat, e), done);
    rc = to->put_image(to->self, "composite.png", &flat, &s->about, e);
done:
    image_free(&flat);
    return rc;
}

static enum err_code put_set(struct sink *to, const struct layer_stack *s, struct err *e)
{
    for (size_t i = 0; i < s->n; i++) {
        char name[32];
        file_name(name, i);
        TRY(to->put_image(to->self, name, &s->layers[i].image, &s->about, e));
    }
    TRY(put_composite(to, s, e));
    struct buf b;
    enum err_code rc;
    buf_init(&b, MANIFEST_BYTES_MAX);
    TRY_GOTO(layers_json_write(s, &b, e), done);
    rc = to->put(to->self, LAYERS_JSON_NAME, buf_str(&b), e);
done:
    buf_deinit(&b);
    return rc;
}

enum err_code layers_folder_write(const struct layer_stack *s, const char *dir, struct err *e)
{
    char self[PATH_ROOM];
    if (snprintf(self, sizeof self, "%s", dir) >= (int)sizeof self)
        return err_set(e, ERR_LIMIT, "the path '%.80s...' is too long", dir);
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return err_set_sys(e, ERR_IO, errno, "cannot make the folder '%s'", dir);
    struct sink to = {put_into_folder, put_image_into_folder, self, NULL};
    return put_set(&to, s, e);
}

enum err_code layers_zip_write(const struct layer_stack *s, const struct image_out *out,
                               struct err *e)
{
    struct zipfile_writer *z = zipfile_writer_new(out);
    struct sink to = {put_into_zip, put_image_into_zip, z, out};
    enum err_code rc;
    TRY_GOTO(put_set(&to, s, e), done);
    rc = zipfile_finish(z, e);
done:
    zipfile_writer_free(z);
    return rc;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Relative, forward slashes, no empty, "." or ".." part: such a name cannot leave its folder. */
static bool is_inside_name(struct str s)
{
    if (s.n == 0 || s.n > FILE_NAME_MAX)
        return false;
    size_t part = 0;
    for (size_t i = 0; i <= s.n; i++) {
        unsigned char c = i < s.n ? (unsigned char)s.p[i] : '/';
        if (c < 0x20 || c == '\\' || c == ':')
            return false;
        if (c != '/')
            continue;
        struct str name = {s.p + part, i - part};
        if (name.n == 0 || str_eq_z(name, ".") || str_eq_z(name, ".."))
            return false;
        part = i + 1;
    }
    return true;
}

struct entry {
    struct str id, name, file, blend_mode, group;
    int64_t x, y, w, h;
    double opacity;
    bool visible;
};

static enum err_code parse_entry(yyjson_val *o, struct entry *t, struct err *e)
{
    static const char what[] = "layer";
    const int64_t max = LAYER_OFFSET_MAX;
    enum err_code rc;
    *t = (struct entry){.opacity = 1, .visible = true, .blend_mode = STR_LIT("normal")};
    if (!yyjson_is_obj(o))
        return err_set(e, ERR_FORMAT, "not an object");
    if ((rc = json_get_str(o, "id", &t->id, what, e)) != ERR_OK ||
        (rc = json_get_str(o, "name", &t->name, what, e)) != ERR_OK ||
        (rc = json_get_str(o, "file", &t->file, what, e)) != ERR_OK ||
        (rc = json_get_str(o, "group", &t->group, what, e)) != ERR_OK ||
        (rc = json_get_str(o, "blend_mode", &t->blend_mode, what, e)) != ERR_OK ||
        (rc = json_get_i64(o, "x", -max, max, &t->x, what, e)) != ERR_OK ||
        (rc = json_get_i64(o, "y", -max, max, &t->y, what, e)) != ERR_OK ||
        (rc = json_get_i64(o, "width", 1, max, &t->w, what, e)) != ERR_OK ||
        (rc = json_get_i64(o, "height", 1, max, &t->h, what, e)) != ERR_OK ||
        (rc = json_get_double(o, "opacity", 0, 1, &t->opacity, what, e)) != ERR_OK ||
        (rc = json_get_bool(o, "visible", &t->visible, what, e)) != ERR_OK)
        return rc;
    if (!is_inside_name(t->file))
        return err_set(e, ERR_FORMAT, "the file name '%.*s' does not name a file inside the folder",
                       STR_ARG(t->file));
    return ERR_OK;
}

struct reading {
    struct source from;
    const struct layers_limits *limits;
    uint64_t pixels;
    struct layer_stack *out;
};

static enum err_code load_entry(struct reading *r, const struct entry *t, struct layer *l,
                                struct err *e)
{
    struct buf b;
    enum err_code rc = r->from.get(r->from.self, t->file.p, PNG_BYTES_MAX, &b, e);
    if (rc == ERR_OK) {
        rc = layers_png_read(buf_str(&b), t->file.p, r->limits, &r->pixels, &l->image, e);
        if (rc == ERR_OK)
            layers_about_join(r->out, r->out->n, buf_str(&b));
        buf_deinit(&b);
    }
    if (rc != ERR_OK)
        return rc;
    if ((t->w && t->w != l->image.w) || (t->h && t->h != l->image.h))
        return err_set(e, ERR_FORMAT, "'%.*s' is %d x %d pixels, the manifest says %d x %d",
                       STR_ARG(t->file), l->image.w, l->image.h, (int)t->w, (int)t->h);
    return ERR_OK;
}

static enum err_code read_entry(struct reading *r, yyjson_val *o, struct err *e)
{
    struct entry t;
    struct layer l = {0};
    enum err_code rc = parse_entry(o, &t, e);
    if (rc != ERR_OK)
        return rc;
    if (!blend_mode_from_name(t.blend_mode, &l.blend))
        return err_set(e, ERR_FORMAT, "there is no blend mode '%.*s'", STR_ARG(t.blend_mode));
    if (t.id.n && !layer_set_id(&l, t.id))
        return err_set(e, ERR_FORMAT, "'%.*s' is not a valid layer id", STR_ARG(t.id));
    if (t.group.n)
        TRY(layers_group_find(r->out, t.group, &l.group, e));
    layer_set_name(&l, t.name);
    l.x = (int)t.x;
    l.y = (int)t.y;
    l.opacity = t.opacity;
    l.visible = t.visible;
    if ((rc = load_entry(r, &t, &l, e)) != ERR_OK) {
        layer_deinit(&l);
        return rc;
    }
    return layer_stack_add(r->out, &l, e);
}

static enum err_code read_manifest(struct reading *r, yyjson_val *root, struct err *e)
{
    int64_t version = 0, w = 0, h = 0;
    yyjson_val *list = yyjson_obj_get(root, "layers"), *o;
    size_t i, n;
    enum err_code rc;
    if ((rc = json_get_i64(root, "version", 0, INT64_MAX, &version, LAYERS_JSON_NAME, e)) !=
            ERR_OK ||
        (rc = json_get_i64(root, "width", 0, INT32_MAX, &w, LAYERS_JSON_NAME, e)) != ERR_OK ||
        (rc = json_get_i64(root, "height", 0, INT32_MAX, &h, LAYERS_JSON_NAME, e)) != ERR_OK)
        return rc;
    if (version != FORMAT_VERSION || !yyjson_is_arr(list))
        return err_set(e, ERR_FORMAT, LAYERS_JSON_NAME " needs version 1 and a list of layers");
    if ((rc = layers_check_canvas(r->limits, w, h, e)) != ERR_OK)
        return rc;
    if (yyjson_arr_size(list) > r->limits->max_layers)
        return err_set(e, ERR_LIMIT, "%zu layers, the limit is %zu", yyjson_arr_size(list),
                       r->limits->max_layers);
    layer_stack_init(r->out, (int)w, (int)h);
    TRY(layers_groups_read(root, r->out, e));
    yyjson_arr_foreach(list, i, n, o)
    {
        if (read_entry(r, o, e) != ERR_OK)
            return err_note(e, "layer %zu of " LAYERS_JSON_NAME, i);
    }
    TRY(layer_stack_check_groups(r->out, e));
    return r->limits->groups ? layer_stack_prune_groups(r->out, e)
                             : layers_dissolve_groups(r->out, e);
}

static enum err_code get_set(struct source from, const struct layers_limits *limits,
                             struct layer_stack *out, struct err *e)
{
    struct layers_limits defaults = layers_limits_defaults();
    struct reading r = {.from = from, .limits = limits ? limits : &defaults, .out = out};
    struct buf b;
    yyjson_doc *doc = NULL;
    layer_stack_init(out, 0, 0);
    TRY(from.get(from.self, LAYERS_JSON_NAME, MANIFEST_BYTES_MAX, &b, e));
    enum err_code rc;
    TRY_GOTO(json_parse(buf_str(&b), LAYERS_JSON_NAME, &doc, e), done);
    rc = read_manifest(&r, yyjson_doc_get_root(doc), e);
done:
    yyjson_doc_free(doc);
    buf_deinit(&b);
    if (rc != ERR_OK)
        layer_stack_deinit(out);
    return rc;
}

enum err_code layers_folder_read(const char *dir, const struct layers_limits *limits,
                                 struct layer_stack *out, struct err *e)
{
    char self[PATH_ROOM];
    layer_stack_init(out, 0, 0);
    if (snprintf(self, sizeof self, "%s", dir) >= (int)sizeof self)
        return err_set(e, ERR_LIMIT, "the path '%.80s...' is too long", dir);
    enum err_code rc = get_set((struct source){get_from_folder, self}, limits, out, e);
    return rc == ERR_OK ? rc : err_note(e, "'%s'", dir);
}

enum err_code layers_zip_decode(struct str bytes, const struct layers_limits *limits,
                                struct layer_stack *out, struct err *e)
{
    struct zipfile_limits zl = zipfile_limits_defaults();
    struct zipfile_reader *z = NULL;
    layer_stack_init(out, 0, 0);
    enum err_code rc;
    TRY_GOTO(zipfile_open(bytes, &zl, &z, e), done);
    rc = get_set((struct source){get_from_zip, z}, limits, out, e);
done:
    zipfile_close(z);
    return rc;
}
