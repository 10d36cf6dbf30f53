/* routes_assets.c - images in and out. The core has written uploads to the store before a handler runs. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json_text.h"
#include "server/api/asset_json.h"
#include "server/api/page.h"
#include "server/routes.h"
#include "server/server_internal.h"
#include "store/assets.h"

/* An image's bytes never change under its id. Private: a shared cache would answer without a token. */
static const char forever[] = "private, max-age=31536000, immutable";

/* ---- putting in --------------------------------------------------------------------------------- */

static const struct http_field upload_body[] = {
    {.name = "*", .type = HTTP_ANY, .help = "one or more files, under any names"}, {0}};

static const struct http_field upload_gives[] = {
    {.name = "id", .type = HTTP_ASSET, .required = true, .help = "of the first file"},
    {.name = "url", .type = HTTP_STRING, .required = true, .help = "of the first file"},
    {.name = "existed",
     .type = HTTP_BOOL,
     .required = true,
     .help = "the store had every one of these files before"},
    {.name = "assets",
     .type = HTTP_ARRAY,
     .items = HTTP_OBJECT,
     .fields = asset_fields,
     .required = true,
     .help = "all files, in order"},
    {0}};

static enum err_code upload(struct http_request *rq, struct http_reply *re, struct err *e)
{
    size_t n = http_upload_count(rq);
    bool existed = true;
    if (n == 0)
        return http_refuse(rq, 422, NULL, e, "there is no file in the request");
    for (size_t i = 0; i < n; i++)
        existed = existed && ((const struct asset *)http_upload(rq, i)->info)->existed;
    const char *id = http_upload(rq, 0)->id;
    json_object(&re->body, NULL);
    json_put_z(&re->body, "id", id);
    asset_put_url(&re->body, id);
    json_put_bool(&re->body, "existed", existed);
    json_array(&re->body, "assets");
    for (size_t i = 0; i < n; i++)
        asset_json(http_upload(rq, i)->info, &re->body);
    json_end_array(&re->body);
    json_end_object(&re->body);
    snprintf(re->location, sizeof re->location, "/v1/assets/%s", id);
    if (existed)
        re->status = 200;
    return ERR_OK;
}

/* ---- listing ------------------------------------------------------------------------------------ */

static const struct http_field list_query[] = {
    {.name = "q",
     .type = HTTP_STRING,
     .lo = 0,
     .hi = 1000,
     .help = "words that are all in the prompt or the name, without case"},
    {.name = "starred", .type = HTTP_BOOL, .help = "only those that are, or are not"},
    {.name = "trashed",
     .type = HTTP_BOOL,
     .fallback = "false",
     .help = "those in the trash instead of the others"},
    {.name = "origin",
     .type = HTTP_STRING,
     .lo = 1,
     .hi = ASSET_ORIGIN_SIZE - 1,
     .help = "only those: upload, result, render, found"},
    PAGE_QUERY(1),
    {0}};

static const struct http_field list_gives[] = {{.name = "assets",
                                                .type = HTTP_ARRAY,
                                                .items = HTTP_OBJECT,
                                                .fields = asset_fields,
                                                .required = true,
                                                .help = "newest first"},
                                               PAGE_NEXT,
                                               {0}};

static struct asset_filter read_filter(struct http_request *rq)
{
    const bool by_star = http_query(rq, "starred") != NULL;
    return (struct asset_filter){
        .marks = {.starred = by_star ? http_query_bool(rq, "starred", false) : -1,
                  .trashed = http_query_bool(rq, "trashed", false)},
        .origin = http_query(rq, "origin"),
        .words = http_query(rq, "q")};
}

static enum err_code list(struct http_request *rq, struct http_reply *re, struct err *e)
{
    const struct asset_filter filter = read_filter(rq);
    struct asset_list l;
    TRY(asset_list(store_of(rq), &filter, page_before(rq), page_limit(rq), &l, e));
    page_begin(&re->body, "assets");
    for (size_t i = 0; i < l.n; i++)
        asset_json(&l.items[i], &re->body);
    page_end(&re->body, l.next);
    asset_list_deinit(&l);
    return ERR_OK;
}

/* ---- one image -------------------------------------------------------------------------------- */

static const struct http_field get_query[] = {
    {.name = "w",
     .type = HTTP_INT,
     .lo = 1,
     .hi = ASSET_THUMB_MAX,
     .help = "a small WebP that fits into a square of this side, rounded up to 64, 128, 256, 512 "
             "or 1024"},
    {.name = "download",
     .type = HTTP_BOOL,
     .fallback = "false",
     .help = "as an attachment with a file name"},
    {0}};

/* "cat.png" for "cat.jpeg" when it is a PNG; "image.png" without a name. */
static void name_file(const struct asset *a, struct http_reply *re)
{
    const char *dot = strrchr(a->name, '.');
    size_t n = dot && dot != a->name ? (size_t)(dot - a->name) : strlen(a->name);
    if (n > 0)
        snprintf(re->filename, sizeof re->filename, "%.*s.%s", (int)n, a->name,
                 asset_extension(a->format));
    else
        snprintf(re->filename, sizeof re->filename, "image-%.8s.%s", a->id,
                 asset_extension(a->format));
}

static enum err_code get_thumb(struct http_request *rq, int side, struct http_reply *re,
                               struct err *e)
{
    int used = 0;
    const char *id = http_path(rq, "id");
    struct asset a;
    TRY(asset_thumb_find(store_of(rq), id, side, &re->fd, &re->fd_bytes, &used, e));
    snprintf(re->etag, sizeof re->etag, "%.64s-w%d", id, used);
    re->type = "image/webp";
    re->cache = forever;
    if (re->fd >= 0 || !http_wants_body(rq, re))
        return ERR_OK;
    TRY(asset_get(store_of(rq), id, &a, e));
    if (!http_heavy(rq, re, 8 * (uint64_t)a.width * (uint64_t)a.height + (1 << 20)))
        return ERR_OK;
    return asset_thumb_open(store_of(rq), id, side, &re->fd, &re->fd_bytes, &used, e);
}

static enum err_code get(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct asset a;
    int side = (int)http_query_int(rq, "w", 0);
    if (side > 0)
        return get_thumb(rq, side, re, e);
    TRY(asset_open(store_of(rq), http_path(rq, "id"), &a, &re->fd, e));
    snprintf(re->etag, sizeof re->etag, "%s", a.id);
    re->fd_bytes = a.bytes;
    re->type = asset_mime(a.format);
    re->cache = forever;
    if (http_query_bool(rq, "download", false))
        name_file(&a, re);
    return ERR_OK;
}

static enum err_code answer_asset(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct asset a;
    TRY(asset_get(store_of(rq), http_path(rq, "id"), &a, e));
    asset_json(&a, &re->body);
    return ERR_OK;
}

/* The recipe, on its way from the process that read it and into the answer. */
enum { INFO_BYTES = 4 * IMAGE_RECIPE_MAX_BYTES };

static enum err_code info(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct asset a;
    TRY(asset_get(store_of(rq), http_path(rq, "id"), &a, e));
    if (!http_wants_body(rq, re) || !http_heavy(rq, re, INFO_BYTES))
        return ERR_OK;
    return asset_info_json(store_of(rq), &a, &re->body, e);
}

static const struct http_field mark_body[] = {
    {.name = "starred", .type = HTTP_BOOL, .help = "a starred image is never tidied away"},
    {.name = "trashed",
     .type = HTTP_BOOL,
     .help = "left out of lists, and deleted after the store's days unless something refers to it"},
    {0}};

/* 1, 0, or -1 where the member is missing. */
static int read_mark(struct http_request *rq, const char *name)
{
    return yyjson_obj_get(http_body(rq), name) ? http_body_bool(rq, name, false) : -1;
}

static enum err_code change(struct http_request *rq, struct http_reply *re, struct err *e)
{
    const struct asset_marks marks = {read_mark(rq, "starred"), read_mark(rq, "trashed")};
    struct asset a;
    TRY(asset_mark(store_of(rq), http_path(rq, "id"), marks, &a, e));
    asset_json(&a, &re->body);
    return ERR_OK;
}

static enum err_code drop(struct http_request *rq, struct http_reply *re, struct err *e)
{
    TRY(answer_asset(rq, re, e));
    return asset_delete(store_of(rq), http_path(rq, "id"), e);
}

const struct http_route routes_assets[] = {
    {HTTP_POST, "/v1/assets", "uploadAssets",
     "Put images in: PNG, JPEG, WebP, TIFF, HEIC, AVIF, GIF or BMP, as the body or as files of a "
     "form",
     .tag = "assets", .run = upload, .body = upload_body, .gives = upload_gives,
     .accepts = HTTP_BYTES | HTTP_MULTIPART, .status = 201},
    {HTTP_GET, "/v1/assets", "listAssets", "List and search images, newest first", .tag = "assets",
     .run = list, .query = list_query, .gives = list_gives},
    {HTTP_GET, "/v1/assets/{id}", "getAsset", "An image's file, or a small version of it",
     .tag = "assets", .run = get, .query = get_query, .type = "image/*", .flags = HTTP_ETAG},
    {HTTP_GET, "/v1/assets/{id}/info", "describeAsset",
     "What is known of an image, and the recipe that its file carries", .tag = "assets",
     .run = info, .gives = asset_info_fields},
    {HTTP_PATCH, "/v1/assets/{id}", "changeAsset", "Star an image, or put it into the trash",
     .tag = "assets", .run = change, .body = mark_body, .gives = asset_fields, .accepts = HTTP_JSON,
     .flags = HTTP_MERGE},
    {HTTP_DELETE, "/v1/assets/{id}", "deleteAsset",
     "Remove an image and its small versions; 409 while a project or a job refers to it",
     .tag = "assets", .run = drop, .gives = asset_fields},
    {0}};
