/* app.c - what the server tells the HTTP core: files that come with requests become images in the store, and failures
 * of the store have statuses of their own. */
#include "server/compat/face.h"
#include "server/jobs/queue.h"
#include "server/routes.h"
#include "server/server_internal.h"
#include "store/assets.h"
#include "store/projects.h"

enum { FILE_LEAST_BYTES = 1 << 20 /* to look at a file that is no image */ };

_Static_assert((int)HTTP_FILE_NAME_BYTES <= (int)ASSET_NAME_SIZE, "no file's name is cut");

static enum err_code begin_file(void *app, uint64_t max_bytes, void **file, struct err *e)
{
    struct server *s = app;
    struct asset_writer *w = NULL;
    enum err_code rc = asset_writer_begin(s->store, max_bytes, &w, e);
    *file = w;
    return rc;
}

static enum err_code write_file(void *file, const void *p, size_t n, struct err *e)
{
    return asset_writer_write(file, p, n, e);
}

/* Decoded, and once more while colours are brought to sRGB or the image is turned. */
static uint64_t weight(const void *file)
{
    return 2 * 4 * asset_writer_pixels(file) + FILE_LEAST_BYTES;
}

static enum err_code finish_file(void *app, void *file, const char *name, struct arena *a,
                                 struct http_upload *out, struct err *e)
{
    struct asset_note note = {.name = name, .origin = "upload"};
    struct asset *asset = arena_alloc(a, sizeof *asset);
    (void)app;
    if (!asset) {
        asset_writer_abort(file);
        return err_set(e, ERR_NOMEM, "no memory for a file");
    }
    TRY(asset_writer_finish(file, &note, asset, e));
    out->id = asset->id;
    out->info = asset;
    return ERR_OK;
}

static void abort_file(void *file)
{
    asset_writer_abort(file);
}

int server_status_of(const struct err *e)
{
    if (store_is_full(e))
        return 507;
    return project_is_conflict(e) ? 412 : http_status_of(e);
}

/* For who was told to come back later. */
static int retry_after(void *app)
{
    const struct server *s = app;
    double t = s->queue ? queue_seconds_left(s->queue) : 1;
    return t < 1 ? 1 : t > 60 ? 60 : (int)t;
}

struct http_app server_app(struct server *s)
{
    static const char *const types[] = {"image/png",  "image/jpeg", "image/webp", "image/tiff",
                                        "image/heic", "image/heif", "image/avif", "image/gif",
                                        "image/bmp",  NULL};
    return (struct http_app){
        .user = s,
        .routes = routes_all,
        .sink = {types, begin_file, write_file, weight, finish_file, abort_file},
        .status_of = server_status_of,
        .retry_after = retry_after,
        .face_status = face_status,
        .face_error = face_error};
}
