/* routes_project_export.c - projects as files. What was made is kept for its revision. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "server/api/exports.h"
#include "server/api/project_change.h"
#include "server/routes.h"
#include "server/server_internal.h"
#include "store/project_edit.h"

/* ---- what is wished ----------------------------------------------------------------------------- */

enum { IDS_MAX_BYTES = 60000 };

static const struct http_field export_query[] = {
    {.name = "format",
     .type = HTTP_STRING,
     .values = "png|jpeg|webp|psd|ora|pptx|zip",
     .fallback = "\"png\""},
    {.name = "layers",
     .type = HTTP_STRING,
     .lo = 1,
     .hi = IDS_MAX_BYTES,
     .help = "ids, commas between: only these, hidden or not; a group's stands for its members"},
    {.name = "scale",
     .type = HTTP_NUMBER,
     .lo = 0.01,
     .hi = 16,
     .fallback = "1",
     .help = "of png, jpeg and webp"},
    {.name = "trim",
     .type = HTTP_BOOL,
     .fallback = "false",
     .help = "of png, jpeg and webp: cut to what is seen"},
    {.name = "quality",
     .type = HTTP_INT,
     .lo = 1,
     .hi = 100,
     .help = "of jpeg, else 95, and webp, which is lossless without it"},
    {.name = "background",
     .type = HTTP_STRING,
     .lo = 1,
     .hi = 16,
     .fallback = "\"#ffffff\"",
     .help = "of jpeg, under transparent pixels: \"#rrggbb\""},
    {.name = "no_metadata",
     .type = HTTP_BOOL,
     .fallback = "false",
     .help = "say nothing of where the pixels came from, nor how they were made"},
    {0}};

/* A wish that the format cannot grant. */
static enum err_code refuse_for(struct http_request *rq, const char *field,
                                enum project_format format, struct err *e)
{
    return http_refuse(rq, 422, field, e, "%s means nothing for %s", field,
                       project_format_name(format));
}

static enum err_code read_scale(struct http_request *rq, const struct project *p,
                                struct project_output *how, struct err *e)
{
    const uint64_t most = image_limits_defaults().max_pixels;
    const char *text = http_query(rq, "scale");
    if (text && !str_to_double(str_from(text), &how->scale))
        return http_refuse(rq, 400, "scale", e, "scale is '%.40s', not a number", text);
    if (!text || how->scale == 1)
        return ERR_OK;
    if (!project_format_is_flat(how->format))
        return refuse_for(rq, "scale", how->format, e);
    double w = p->w * how->scale, h = p->h * how->scale;
    if (w > IMAGE_SIDE_MAX || h > IMAGE_SIDE_MAX || w * h > (double)most)
        return http_refuse(rq, 422, "scale", e,
                           "with scale %g the image has %.0f x %.0f pixels; %" PRIu64
                           " are the most",
                           how->scale, w, h, most);
    return ERR_OK;
}

static enum err_code read_colours(struct http_request *rq, struct project_output *how,
                                  struct err *e)
{
    const char *ground = http_query(rq, "background");
    how->quality = (int)http_query_int(rq, "quality", 0);
    if (how->quality && how->format != PROJECT_JPEG && how->format != PROJECT_WEBP)
        return refuse_for(rq, "quality", how->format, e);
    if (ground && how->format != PROJECT_JPEG)
        return refuse_for(rq, "background", how->format, e);
    how->has_ground = ground != NULL;
    if (ground && !image_colour_parse(str_from(ground), how->ground))
        return http_refuse(rq, 422, "background", e, "'%.16s' is no colour; \"#rrggbb\" is one",
                           ground);
    return ERR_OK;
}

static enum err_code choose(struct http_request *rq, struct project *p, struct err *e)
{
    const char *list = http_query(rq, "layers");
    char *ids = list ? arena_strdup(http_arena(rq), str_from(list)) : NULL;
    size_t n = 0, most = list ? strlen(list) / 2 + 1 : 0;
    const char **each = list ? arena_alloc(http_arena(rq), most * sizeof *each) : NULL;
    if (!list)
        return ERR_OK;
    if (!ids || !each)
        return err_set(e, ERR_NOMEM, "no memory for a list of layers");
    for (char *rest = ids, *id; (id = strtok_r(rest, ",", &rest));)
        each[n++] = id;
    return project_blame_reference(rq, project_choose(p, (struct project_choice){each, n}, e),
                                   "layers", e);
}

static enum err_code read_wishes(struct http_request *rq, struct project *p,
                                 struct project_output *how, struct err *e)
{
    const char *name = http_query(rq, "format");
    if (name && !project_format_from_name(str_from(name), &how->format))
        return http_refuse(rq, 422, "format", e, "there is no format '%.20s'", name);
    how->trim = http_query_bool(rq, "trim", false);
    how->no_metadata = http_query_bool(rq, "no_metadata", false);
    if (how->trim && !project_format_is_flat(how->format))
        return refuse_for(rq, "trim", how->format, e);
    TRY(read_scale(rq, p, how, e));
    TRY(read_colours(rq, how, e));
    return choose(rq, p, e);
}

/* One word for all wishes but the format: what was made is found by it. 0 without any. */
static uint64_t wishes_hash(const struct http_request *rq)
{
    uint64_t h = 0;
    for (const struct http_field *f = export_query + 1; f->name; f++) {
        const char *v = http_query(rq, f->name);
        if (v)
            h = h * 31 + (str_hash(str_from(f->name)) ^ str_hash(str_from(v)) * 7);
    }
    return h;
}

/* ---- the file ----------------------------------------------------------------------------------- */

/* From what was made before, or made now. */
static enum err_code make_export(struct http_request *rq, struct http_reply *re,
                                 const struct project *p, const struct project_output *how,
                                 struct err *e)
{
    const struct project_stop stop = project_stop_of(rq);
    struct exports *x = server_of(rq)->exports;
    char key[112];
    uint64_t bytes = 0;
    (void)snprintf(key, sizeof key, "%s %s", p->id, re->etag);
    if (exports_find(x, key, &re->fd, &re->fd_bytes) || !http_wants_body(rq, re))
        return ERR_OK;
    TRY(project_weight(store_of(rq), p, how, &bytes, e));
    if (!http_heavy(rq, re, bytes))
        return ERR_OK;
    TRY(project_export(store_of(rq), p, how, &stop, &re->fd, &re->fd_bytes, e));
    exports_keep(x, key, re->fd, re->fd_bytes);
    return ERR_OK;
}

static void describe(const struct http_request *rq, const struct project *p,
                     enum project_format format, struct http_reply *re)
{
    const char *name = project_format_name(format);
    uint64_t wishes = wishes_hash(rq);
    re->type = project_format_mime(format);
    re->cache = "private, no-cache";
    if (wishes)
        snprintf(re->etag, sizeof re->etag, "%lld-%s-%016" PRIx64, (long long)p->revision, name,
                 wishes);
    else
        snprintf(re->etag, sizeof re->etag, "%lld-%s", (long long)p->revision, name);
    snprintf(re->filename, sizeof re->filename, "%s.%s", p->name[0] ? p->name : "project",
             format == PROJECT_JPEG ? "jpg" : name);
}

static enum err_code give_export(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct project p;
    struct project_output how = {0};
    TRY(project_get(store_of(rq), http_path(rq, "id"), &p, e));
    enum err_code rc = read_wishes(rq, &p, &how, e);
    if (rc == ERR_OK) {
        describe(rq, &p, how.format, re);
        rc = make_export(rq, re, &p, &how, e);
    }
    project_deinit(&p);
    return rc;
}

const struct http_route routes_project_export[] = {
    {HTTP_GET, "/v1/projects/{id}/export", "exportProject",
     "The project as an image or a layered file", .tag = "projects", .run = give_export,
     .query = export_query, .type = "application/octet-stream", .flags = HTTP_ETAG},
    {0}};
