#include "server/face.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json_text.h"
#include "image/save.h"
#include "server/base64.h"
#include "server/server_internal.h"

enum { FILE_MAX_BYTES = 256 << 20 };

struct face_request face_request_defaults(void)
{
    return (struct face_request){.width = -1,
                                 .height = -1,
                                 .steps = -1,
                                 .seed = -1,
                                 .count = -1,
                                 .guidance = -1,
                                 .strength = -1,
                                 .feather = -1};
}

static void add_int(struct buf *b, const char *name, int64_t v)
{
    if (v >= 0)
        buf_printf(b, ",\"%s\":%lld", name, (long long)v);
}

static void request_json(const struct face_request *f, struct buf *b)
{
    buf_add_z(b, "{\"prompt\":");
    json_add_z(b, f->prompt ? f->prompt : "");
    if (f->model) {
        buf_add_z(b, ",\"model\":");
        json_add_z(b, f->model);
    }
    add_int(b, "width", f->width);
    add_int(b, "height", f->height);
    add_int(b, "steps", f->steps);
    add_int(b, "seed", f->seed);
    add_int(b, "count", f->count);
    add_int(b, "feather", f->feather);
    if (f->guidance >= 0)
        buf_printf(b, ",\"guidance\":%.9g", f->guidance);
    if (f->strength >= 0)
        buf_printf(b, ",\"strength\":%.9g", f->strength);
    for (size_t i = 0; i < f->n_images; i++)
        buf_printf(b, "%s\"%s\"", i ? "," : ",\"images\":[", f->images[i]);
    buf_add_z(b, f->n_images ? "]" : "");
    if (f->mask)
        buf_printf(b, ",\"mask\":\"%s\"", f->mask);
    buf_add_byte(b, '}');
}

enum err_code face_submit(struct http_request *rq, const struct face_request *f,
                          struct job_record *out, struct err *e)
{
    const char *kind = f->n_images ? "edit" : "generate";
    yyjson_doc *doc = NULL;
    struct buf b;
    buf_init(&b, 32 << 20);
    request_json(f, &b);
    enum err_code rc = json_parse(buf_str(&b), "the request", &doc, e);
    if (rc == ERR_OK)
        rc = check_object(f->n_images ? fields_edit : fields_generate, yyjson_doc_get_root(doc),
                          false, rq->field, e);
    if (rc == ERR_OK)
        rc = job_submit(rq, kind, yyjson_doc_get_root(doc), out, e);
    yyjson_doc_free(doc);
    buf_deinit(&b);
    return rc;
}

enum err_code face_pictures(const char *result, struct face_picture out[FACE_MAX_PICTURES],
                            size_t *n, struct err *e)
{
    yyjson_doc *doc = NULL;
    yyjson_val *v;
    size_t i, max;
    *n = 0;
    enum err_code rc = json_parse(str_from(result), "the result", &doc, e);
    yyjson_val *list = yyjson_obj_get(yyjson_doc_get_root(doc), "images");
    yyjson_arr_foreach(list, i, max, v)
    {
        struct face_picture *p = &out[*n];
        struct str id = {0};
        if (rc == ERR_OK)
            rc = json_get_str(v, "asset", &id, "the result", e);
        if (rc == ERR_OK)
            rc = json_get_i64(v, "seed", 0, INT64_MAX, &p->seed, "the result", e);
        if (rc == ERR_OK)
            rc = json_get_i64(v, "width", 1, 100000, &p->width, "the result", e);
        if (rc == ERR_OK)
            rc = json_get_i64(v, "height", 1, 100000, &p->height, "the result", e);
        if (rc != ERR_OK || *n == FACE_MAX_PICTURES - 1)
            break;
        (void)snprintf(p->asset, sizeof p->asset, "%.*s", (int)id.n, id.p);
        (*n)++;
    }
    yyjson_doc_free(doc);
    return rc;
}

static enum err_code read_all(int fd, struct buf *out, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size > FILE_MAX_BYTES)
        return err_set(e, ERR_IO, "the picture's file cannot be read");
    char *p = buf_grow(out, (size_t)st.st_size);
    for (off_t done = 0; p && done < st.st_size;) {
        ssize_t k = pread(fd, p + done, (size_t)(st.st_size - done), done);
        if (k <= 0)
            return err_set(e, ERR_IO, "the picture's file cannot be read");
        done += k;
    }
    return p ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for the picture");
}

static enum err_code encoded(struct store *s, const char *asset, bool jpeg, struct buf *out,
                             struct err *e)
{
    struct image im = {0};
    enum err_code rc = asset_load(s, asset, &im, e);
    if (rc == ERR_OK)
        rc = jpeg ? image_jpeg_write(&im, 95, out, e) : image_webp_write(&im, 90, out, e);
    image_free(&im);
    return rc;
}

enum err_code face_base64(struct store *s, const char *asset, const char *format, struct buf *b,
                          struct err *e)
{
    struct buf file;
    int fd = -1;
    enum err_code rc;
    buf_init(&file, FILE_MAX_BYTES);
    if (strcmp(format, "png") != 0) {
        rc = encoded(s, asset, strcmp(format, "jpeg") == 0, &file, e);
    } else {
        rc = asset_open(s, asset, NULL, &fd, e);
        if (rc == ERR_OK)
            rc = read_all(fd, &file, e);
        if (fd >= 0)
            (void)close(fd);
    }
    if (rc == ERR_OK)
        base64_add(b, buf_str(&file));
    buf_deinit(&file);
    return rc;
}

static enum err_code keep_id(struct http_request *rq, const struct asset *a, const char **id,
                             struct err *e)
{
    *id = arena_strdup(&rq->arena, str_from(a->id));
    return *id ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for the request");
}

enum err_code face_upload(struct http_request *rq, const char *text, const char *field,
                          const char **id, struct err *e)
{
    const char *comma = strncmp(text, "data:", 5) == 0 ? strchr(text, ',') : NULL;
    struct buf bytes;
    struct asset a;
    buf_init(&bytes, FILE_MAX_BYTES);
    enum err_code rc =
        base64_decode(str_from(comma ? comma + 1 : text), &bytes)
            ? asset_put(rq->server->store, buf_str(&bytes), NULL, &a, e)
            : http_refuse(rq, 422, field, e, "%s should be a picture in base64", field);
    if (rc == ERR_OK)
        rc = keep_id(rq, &a, id, e);
    else
        (void)snprintf(rq->field, sizeof rq->field, "%s", field);
    buf_deinit(&bytes);
    return rc;
}

enum err_code face_mask_of_alpha(struct http_request *rq, const char *asset, const char **id,
                                 struct err *e)
{
    struct image im = {0}, mask = {0};
    struct asset a;
    struct asset_note note = {.name = "mask.png", .origin = "upload", .trusted = true};
    enum err_code rc = asset_load(rq->server->store, asset, &im, e);
    if (rc == ERR_OK && !image_has_alpha(&im)) {
        image_free(&im);
        *id = asset;
        return ERR_OK;
    }
    if (rc == ERR_OK)
        rc = image_new(&mask, im.w, im.h, 1, e);
    for (int y = 0; rc == ERR_OK && y < im.h; y++) {
        const unsigned char *src = image_row(&im, y);
        unsigned char *out = image_row(&mask, y);
        for (int x = 0; x < im.w; x++)
            out[x] = (unsigned char)(255 - src[x * im.channels + im.channels - 1]);
    }
    if (rc == ERR_OK)
        rc = asset_put_image(rq->server->store, &mask, &note, &a, e);
    if (rc == ERR_OK)
        rc = keep_id(rq, &a, id, e);
    image_free(&mask);
    image_free(&im);
    return rc;
}
