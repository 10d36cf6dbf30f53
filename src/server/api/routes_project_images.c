/* routes_project_images.c - projects as images: small versions, parts, and changes that make new images. All of
 * it is done on the threads for such work. */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "image/composite.h"
#include "server/api/exports.h"
#include "server/api/project_change.h"
#include "server/routes.h"
#include "server/server_internal.h"
#include "store/project_edit.h"

/* ---- small versions ----------------------------------------------------------------------------- */

enum { THUMBNAIL_DEFAULT = 256 };

static const struct http_field thumbnail_query[] = {{.name = "size",
                                                     .type = HTTP_INT,
                                                     .lo = 16,
                                                     .hi = ASSET_THUMB_MAX,
                                                     .fallback = "256",
                                                     .help = "of a square that it fits into"},
                                                    {0}};

static enum err_code make_thumbnail(struct http_request *rq, struct http_reply *re,
                                    const struct project *p, int side, struct err *e)
{
    const struct project_stop stop = project_stop_of(rq);
    struct exports *kept = server_of(rq)->thumbnails;
    char key[80];
    uint64_t bytes = 0;
    (void)snprintf(key, sizeof key, "%s %lld %d", p->id, (long long)p->revision, side);
    if (exports_find(kept, key, &re->fd, &re->fd_bytes) || !http_wants_body(rq, re))
        return ERR_OK;
    TRY(project_image_weight(store_of(rq), p, &(struct image_rect){0, 0, p->w, p->h}, &bytes, e));
    if (!http_heavy(rq, re, bytes))
        return ERR_OK;
    TRY(project_thumbnail(store_of(rq), p, side, &stop, &re->fd, &re->fd_bytes, e));
    exports_keep(kept, key, re->fd, re->fd_bytes);
    return ERR_OK;
}

static enum err_code thumbnail(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct project p;
    int side = (int)http_query_int(rq, "size", THUMBNAIL_DEFAULT);
    TRY(project_get(store_of(rq), http_path(rq, "id"), &p, e));
    re->type = "image/webp";
    re->cache = "private, no-cache";
    snprintf(re->etag, sizeof re->etag, "%lld-%d", (long long)p.revision, side);
    enum err_code rc = make_thumbnail(rq, re, &p, side, e);
    project_deinit(&p);
    return rc;
}

/* ---- which layers ------------------------------------------------------------------------------- */

/* The ids in the body's "layers"; they live as long as the request. n is 0 when there is no such member. */
static enum err_code body_choice(struct http_request *rq, struct project_choice *out, struct err *e)
{
    yyjson_val *list = yyjson_obj_get(http_body(rq), "layers"), *id;
    size_t i, max;
    const char **ids = arena_alloc(http_arena(rq), (yyjson_arr_size(list) + 1) * sizeof *ids);
    if (!ids)
        return err_set(e, ERR_NOMEM, "no memory for a list of layers");
    yyjson_arr_foreach(list, i, max, id) ids[i] = yyjson_get_str(id);
    *out = (struct project_choice){ids, yyjson_arr_size(list)};
    return ERR_OK;
}

#define LAYERS_ROW                                                                                 \
    .name = "layers", .type = HTTP_ARRAY, .items = HTTP_STRING, .lo = 1, .hi = PROJECT_LAYERS_MAX

/* ---- a part as an image ------------------------------------------------------------------------- */

static const struct http_field render_body[] = {
    {LAYERS_ROW,
     .help = "ids of layers, hidden or not; a group's stands for its members. Without it: all that "
             "are visible"},
    {.name = "region",
     .type = HTTP_ARRAY,
     .items = HTTP_INT,
     .lo = -LAYER_OFFSET_MAX,
     .hi = LAYER_OFFSET_MAX,
     .help = "x, y, width and height: of the canvas only what lies in there"},
    {.name = "hidden",
     .type = HTTP_BOOL,
     .fallback = "false",
     .help = "hidden layers are drawn as well"},
    {.name = "background",
     .type = HTTP_STRING,
     .lo = 1,
     .hi = 16,
     .help = "\"#rrggbb\": what is transparent gets this colour"},
    {0}};

static const struct http_field render_gives[] = {
    {.name = "asset", .type = HTTP_ASSET, .required = true},
    {.name = "x", .type = HTTP_INT, .required = true, .help = "where it lies on the canvas"},
    {.name = "y", .type = HTTP_INT, .required = true},
    {.name = "width", .type = HTTP_INT, .required = true},
    {.name = "height", .type = HTTP_INT, .required = true},
    {0}};

struct view {
    struct project p; /* what is to be seen of it */
    struct image_rect part;
    bool has_ground;
    unsigned char ground[3];
};

static int clamp(int64_t v, int hi)
{
    return v < 0 ? 0 : v > hi ? hi : (int)v;
}

/* What the canvas and the body's "region" have in common. */
static enum err_code read_region(struct http_request *rq, struct view *v, struct err *e)
{
    yyjson_val *list = yyjson_obj_get(http_body(rq), "region");
    int64_t r[4] = {0, 0, v->p.w, v->p.h};
    size_t n = 4;
    if (list && yyjson_arr_size(list) != n)
        return http_refuse(rq, 422, "region", e,
                           "region has %zu numbers; x, y, width and height are 4",
                           yyjson_arr_size(list));
    for (size_t i = 0; list && i < n; i++)
        r[i] = (int64_t)yyjson_get_num(yyjson_arr_get(list, i));
    int x0 = clamp(r[0], v->p.w), x1 = clamp(r[0] + r[2], v->p.w);
    int y0 = clamp(r[1], v->p.h), y1 = clamp(r[1] + r[3], v->p.h);
    if (x1 <= x0 || y1 <= y0)
        return http_refuse(rq, 422, "region", e, "region has nothing of the canvas in it");
    v->part = (struct image_rect){x0, y0, x1 - x0, y1 - y0};
    return ERR_OK;
}

static enum err_code read_ground(struct http_request *rq, struct view *v, struct err *e)
{
    const char *colour = http_body_str(rq, "background", NULL);
    v->has_ground = colour != NULL;
    if (colour && !image_colour_parse(str_from(colour), v->ground))
        return http_refuse(rq, 422, "background", e, "'%.16s' is no colour; \"#rrggbb\" is one",
                           colour);
    return ERR_OK;
}

static enum err_code read_view(struct http_request *rq, struct view *v, struct err *e)
{
    struct project_choice choice;
    TRY(read_region(rq, v, e));
    TRY(read_ground(rq, v, e));
    TRY(body_choice(rq, &choice, e));
    if (choice.n > 0)
        TRY(project_blame_reference(rq, project_choose(&v->p, choice, e), "layers", e));
    for (size_t i = 0; http_body_bool(rq, "hidden", false) && i < v->p.n; i++)
        v->p.layers[i].visible = true;
    return ERR_OK;
}

static enum err_code draw(struct http_request *rq, const struct view *v, struct image *out,
                          struct err *e)
{
    const struct project_stop stop = project_stop_of(rq);
    struct image seen = {0};
    TRY(project_flatten(store_of(rq), &v->p, &v->part, &stop, &seen, e));
    if (!v->has_ground) {
        *out = seen;
        return ERR_OK;
    }
    enum err_code rc = image_on_ground(&seen, v->ground, out, e);
    image_free(&seen);
    return rc;
}

static enum err_code keep_view(struct http_request *rq, const struct view *v, struct http_reply *re,
                               struct err *e)
{
    struct image_about about;
    const struct asset_note note = {
        .name = v->p.name[0] ? v->p.name : NULL, .origin = "render", .about = &about};
    struct image im = {0};
    struct asset a;
    TRY(draw(rq, v, &im, e));
    image_about_init(&about);
    enum err_code rc = project_about(store_of(rq), &v->p, &about, e);
    if (rc == ERR_OK)
        rc = asset_put_image(store_of(rq), &im, &note, &a, e);
    image_about_deinit(&about);
    image_free(&im);
    if (rc != ERR_OK)
        return rc;
    json_object(&re->body, NULL);
    json_put_z(&re->body, "asset", a.id);
    json_put_int(&re->body, "x", v->part.x);
    json_put_int(&re->body, "y", v->part.y);
    json_put_int(&re->body, "width", v->part.w);
    json_put_int(&re->body, "height", v->part.h);
    json_end_object(&re->body);
    snprintf(re->location, sizeof re->location, "/v1/assets/%s", a.id);
    return ERR_OK;
}

static enum err_code render(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct view v = {0};
    uint64_t bytes;
    enum err_code rc;
    TRY(project_get(store_of(rq), http_path(rq, "id"), &v.p, e));
    TRY_GOTO(read_view(rq, &v, e), done);
    TRY_GOTO(project_image_weight(store_of(rq), &v.p, &v.part, &bytes, e), done);
    if (http_heavy(rq, re, bytes))
        rc = keep_view(rq, &v, re, e);
done:
    project_deinit(&v.p);
    return rc;
}

/* ---- merging ------------------------------------------------------------------------------------ */

static const struct http_field merge_body[] = {
    {LAYERS_ROW, .required = true, .help = "ids of layers; a group's stands for its members"},
    {.name = "name",
     .type = HTTP_STRING,
     .hi = LAYER_NAME_SIZE - 1,
     .help = "of the new layer; else the topmost one's"},
    {0}};

static enum err_code merge_change(struct http_request *rq, struct project *p,
                                  struct project_change *c, struct err *e)
{
    const struct project_stop stop = project_stop_of(rq);
    struct project_choice choice;
    (void)c;
    TRY(body_choice(rq, &choice, e));
    return project_blame_reference(
        rq, project_merge(store_of(rq), p, choice, http_body_str(rq, "name", NULL), &stop, e),
        "layers", e);
}

static enum err_code merge(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct project p;
    struct project_choice choice;
    uint64_t bytes = 0;
    TRY(body_choice(rq, &choice, e));
    TRY(project_get(store_of(rq), http_path(rq, "id"), &p, e));
    enum err_code rc = project_merge_weight(store_of(rq), &p, choice, &bytes, e);
    project_deinit(&p);
    TRY(project_blame_reference(rq, rc, "layers", e));
    return http_heavy(rq, re, bytes) ? project_apply(rq, re, "merge", merge_change, e) : ERR_OK;
}

/* ---- single layers ------------------------------------------------------------------------------ */

/* NULL: there is none, or it is a group; *e says so. */
static struct project_layer *image_layer(struct http_request *rq, struct project *p, struct err *e)
{
    const char *id = http_path(rq, "layer");
    size_t at = project_find(p, id);
    if (at == p->n)
        (void)err_set(e, ERR_NOTFOUND, "the project has no layer '%.70s'", id);
    else if (p->layers[at].kind == PROJECT_GROUP)
        (void)http_refuse(rq, 422, NULL, e, "'%s' is a group, not an image", id);
    else
        return &p->layers[at];
    return NULL;
}

static enum err_code
change_image(struct http_request *rq, struct project *p, struct project_change *c,
             enum err_code (*change)(struct store *s, struct project_layer *l, struct err *e),
             struct err *e)
{
    struct project_layer *l = image_layer(rq, p, e);
    if (!l)
        return e->code;
    const struct project_layer before = *l;
    TRY(change(store_of(rq), l, e));
    c->nothing = strcmp(before.asset, l->asset) == 0 && strcmp(before.mask, l->mask) == 0;
    return ERR_OK;
}

static enum err_code trim_change(struct http_request *rq, struct project *p,
                                 struct project_change *c, struct err *e)
{
    return change_image(rq, p, c, project_trim, e);
}

static enum err_code clean_change(struct http_request *rq, struct project *p,
                                  struct project_change *c, struct err *e)
{
    return change_image(rq, p, c, project_clean, e);
}

static enum err_code rework(struct http_request *rq, struct http_reply *re, const char *label,
                            project_change_fn change, struct err *e)
{
    struct project p;
    uint64_t bytes = 0;
    TRY(project_get(store_of(rq), http_path(rq, "id"), &p, e));
    const struct project_layer *l = image_layer(rq, &p, e);
    enum err_code rc = l ? project_layer_weight(store_of(rq), l, &bytes, e) : e->code;
    project_deinit(&p);
    if (rc != ERR_OK || !http_heavy(rq, re, bytes))
        return rc;
    return project_apply(rq, re, label, change, e);
}

static enum err_code trim(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return rework(rq, re, "trim", trim_change, e);
}

static enum err_code clean(struct http_request *rq, struct http_reply *re, struct err *e)
{
    return rework(rq, re, "clean edges", clean_change, e);
}

#define TAG .tag = "projects"

const struct http_route routes_project_images[] = {
    {HTTP_GET, "/v1/projects/{id}/thumbnail", "thumbnailProject", "A small version of a project",
     TAG, .run = thumbnail, .query = thumbnail_query, .type = "image/webp", .flags = HTTP_ETAG},
    {HTTP_POST, "/v1/projects/{id}/render", "renderProject",
     "What some or all layers look like, as an image in the store", TAG, .run = render,
     .body = render_body, .gives = render_gives, .accepts = HTTP_JSON, .status = 201},
    {HTTP_POST, "/v1/projects/{id}/merge", "mergeLayers", "Make one layer of several", TAG,
     .run = merge, .flags = HTTP_IF_MATCH, .query = project_change_query, .body = merge_body,
     .gives = project_fields, .accepts = HTTP_JSON},
    {HTTP_POST, "/v1/projects/{id}/layers/{layer}/trim", "trimLayer",
     "Cut the transparent edges of a layer off", TAG, .run = trim, .flags = HTTP_IF_MATCH,
     .query = project_change_query, .gives = project_fields},
    {HTTP_POST, "/v1/projects/{id}/layers/{layer}/clean", "cleanLayer",
     "Clean the edges of a layer: no faint alpha, no fringe of the old background", TAG,
     .run = clean, .flags = HTTP_IF_MATCH, .query = project_change_query, .gives = project_fields},
    {0}};
