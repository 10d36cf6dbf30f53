/* routes_project_open.c - a file becomes a project. It is written to the disk as it comes in, and read, on a thread for
 * such work, before the handler runs: the sink leaves the project as a document. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file_out.h"
#include "base/json.h"
#include "base/mem.h"
#include "http/core.h"
#include "server/api/project_change.h"
#include "server/limits.h"
#include "server/routes.h"
#include "server/server_internal.h"
#include "store/project_json.h"
#include "store/project_open.h"

/* ---- the file ----------------------------------------------------------------------------------- */

struct incoming {
    struct store *store;
    int fd;
    uint64_t bytes, max;
};

/* What was made of it. */
struct opened {
    const char *document, *notes; /* JSON, and a line each */
};

static enum err_code begin(void *app, uint64_t max_bytes, void **file, struct err *e)
{
    struct server *s = app;
    int fd = -1;
    *file = NULL;
    TRY(store_scratch(s->store, &fd, e));
    struct incoming *in = mem_alloc(sizeof *in);
    *in = (struct incoming){.store = s->store, .fd = fd, .max = max_bytes};
    *file = in;
    return ERR_OK;
}

static enum err_code write_piece(void *file, const void *p, size_t n, struct err *e)
{
    struct incoming *in = file;
    if (n > in->max - in->bytes)
        return err_set(e, ERR_LIMIT, "the file has more than %llu bytes",
                       (unsigned long long)in->max);
    in->bytes += n;
    return file_write_all(in->fd, p, n, e);
}

static void drop(void *file)
{
    struct incoming *in = file;
    (void)close(in->fd);
    mem_free(in);
}

static uint64_t weight(const void *file)
{
    const struct incoming *in = file;
    return project_open_weight(in->store, in->fd, in->bytes);
}

static enum err_code keep(const struct project *p, const struct buf *notes, struct arena *a,
                          struct http_upload *out, struct err *e)
{
    struct opened *o = arena_alloc(a, sizeof *o);
    struct buf document;
    buf_init(&document, LIMIT_DOCUMENT);
    enum err_code rc = project_json_write(p, &document, e);
    if (rc == ERR_OK && o) {
        o->document = arena_strdup(a, buf_str(&document));
        o->notes = arena_strdup(a, buf_str(notes));
    }
    buf_deinit(&document);
    if (rc == ERR_OK && (!o || !o->document || !o->notes))
        rc = err_set(e, ERR_NOMEM, "no memory for a project");
    out->id = "";
    out->info = o;
    return rc;
}

static enum err_code finish(void *app, void *file, const char *name, struct arena *a,
                            struct http_upload *out, struct err *e)
{
    const struct incoming *in = file;
    struct project p;
    struct buf notes;
    (void)app;
    enum err_code rc = project_open(in->store, in->fd, in->bytes, name, &p, &notes, e);
    if (rc == ERR_OK) {
        rc = keep(&p, &notes, a, out, e);
        project_deinit(&p);
        buf_deinit(&notes);
    }
    drop(file);
    return rc;
}

static const char *const types[] = {"image/vnd.adobe.photoshop",
                                    "image/x-photoshop",
                                    "application/x-photoshop",
                                    "image/openraster",
                                    "application/zip",
                                    "application/x-zip-compressed",
                                    "application/octet-stream",
                                    "image/png",
                                    "image/jpeg",
                                    "image/webp",
                                    "image/tiff",
                                    "image/heic",
                                    "image/heif",
                                    "image/avif",
                                    "image/gif",
                                    "image/bmp",
                                    NULL};

static const struct http_sink documents = {types, begin, write_piece, weight, finish, drop};

/* ---- the project -------------------------------------------------------------------------------- */

static const struct http_field open_query[] = {{.name = "name",
                                                .type = HTTP_STRING,
                                                .hi = PROJECT_NAME_SIZE - 1,
                                                .help = "of the project; else the file's"},
                                               {0}};

static const struct http_field open_body[] = {
    {.name = "file", .type = HTTP_STRING, .file = true, .required = true, .help = "the file"}, {0}};

static bool add_notes(yyjson_mut_doc *doc, yyjson_mut_val *root, struct str lines)
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "notes");
    bool good = list != NULL;
    while (good && lines.n > 0) {
        const char *end = memchr(lines.p, '\n', lines.n);
        size_t n = end ? (size_t)(end - lines.p) : lines.n;
        good = yyjson_mut_arr_add_strncpy(doc, list, lines.p, n);
        lines = str_skip(lines, end ? n + 1 : n);
    }
    return good;
}

/* The project, and what its file had that could not be kept. */
static enum err_code answer(const struct project *p, struct str notes, struct buf *b, struct err *e)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = doc ? project_json_value(doc, p) : NULL;
    if (root)
        yyjson_mut_doc_set_root(doc, root);
    bool good = root && add_notes(doc, root, notes);
    enum err_code rc =
        good ? json_put_doc(b, NULL, doc, e) : err_set(e, ERR_NOMEM, "no memory for the answer");
    yyjson_mut_doc_free(doc);
    return rc;
}

static enum err_code create(struct http_request *rq, const struct opened *o, struct project *p,
                            struct http_reply *re, struct err *e)
{
    const char *name = http_query(rq, "name");
    struct layer cleaned = {0};
    TRY(project_json_parse(str_from(o->document), p, e));
    layer_set_name(&cleaned, str_from(name ? name : p->name));
    memcpy(p->name, cleaned.name, sizeof p->name);
    /* An image that came without the name of a file is called what its project is. */
    if (p->n == 1 && !p->layers[0].name[0])
        memcpy(p->layers[0].name, p->name, sizeof p->layers[0].name);
    TRY(project_create(store_of(rq), p, e));
    project_tell(rq, p, false);
    snprintf(re->location, sizeof re->location, "/v1/projects/%s", p->id);
    snprintf(re->etag, sizeof re->etag, "%lld", (long long)p->revision);
    return answer(p, str_from(o->notes), &re->body, e);
}

static enum err_code open_file(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct project p;
    if (http_upload_count(rq) != 1)
        return http_refuse(rq, 422, "file", e, "there are %zu files in the request; one is opened",
                           http_upload_count(rq));
    project_init(&p, 0, 0);
    enum err_code rc = create(rq, http_upload(rq, 0)->info, &p, re, e);
    project_deinit(&p);
    return rc;
}

const struct http_route routes_project_open[] = {
    {HTTP_POST, "/v1/projects/open", "openProject",
     "Make a project of a file: PSD, OpenRaster, ZIP of layers.json, or an image",
     .tag = "projects", .run = open_file, .query = open_query, .body = open_body,
     .gives = project_opened_fields, .accepts = HTTP_BYTES | HTTP_MULTIPART, .sink = &documents,
     .max_file = LIMIT_DOCUMENT, .status = 201},
    {0}};
