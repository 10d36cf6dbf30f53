/* project_import.c - what a job left, as layers of a project. The result's form is told in jobs.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "store/jobs.h"
#include "store/projects.h"

/* Keeps the layer's id unless the project has it: the same job may come in twice. */
static enum err_code insert(struct project *p, size_t at, struct project_layer *l, struct err *e)
{
    if (project_find(p, l->id) < p->n)
        l->id[0] = '\0';
    return project_insert(p, at, l, e);
}

/* The layers of a result, with the canvas that they are on. */
struct batch {
    int w, h;
    size_t n;
    struct project_layer layers[PROJECT_LAYERS_MAX];
};

static enum err_code read_layer(struct store *s, yyjson_val *v, struct project_layer *l,
                                struct asset *asset, struct err *e)
{
    static const char what[] = "the job's result";
    struct str id = STR_LIT(""), own = STR_LIT(""), name = STR_LIT(""), blend = STR_LIT("normal");
    struct layer cleaned = {0};
    *l = project_layer_defaults();
    enum err_code rc;
    TRY_GOTO(json_get_str(v, "asset", &id, what, e), done);
    TRY_GOTO(json_get_str(v, "id", &own, what, e), done);
    TRY_GOTO(json_get_str(v, "name", &name, what, e), done);
    TRY_GOTO(json_get_str(v, "blend_mode", &blend, what, e), done);
    TRY_GOTO(json_get_double(v, "x", -LAYER_OFFSET_MAX, LAYER_OFFSET_MAX, &l->x, what, e), done);
    TRY_GOTO(json_get_double(v, "y", -LAYER_OFFSET_MAX, LAYER_OFFSET_MAX, &l->y, what, e), done);
    TRY_GOTO(json_get_double(v, "opacity", 0, 1, &l->opacity, what, e), done);
    TRY_GOTO(json_get_bool(v, "visible", &l->visible, what, e), done);
    TRY_GOTO(asset_get(s, id.p, asset, e), done);
    if (!blend_mode_from_name(blend, &l->blend))
        rc = err_set(e, ERR_FORMAT, "%s has the blend mode '%.40s'", what, blend.p);
done:
    layer_set_name(&cleaned, name);
    memcpy(l->name, cleaned.name, sizeof l->name);
    if (layer_set_id(&cleaned, own))
        memcpy(l->id, cleaned.id, sizeof l->id);
    memcpy(l->asset, asset->id, sizeof l->asset);
    return rc;
}

static enum err_code read_batch(struct store *s, yyjson_val *root, const char *kind,
                                struct batch *b, struct err *e)
{
    int64_t w = 0, h = 0;
    yyjson_val *list = yyjson_obj_get(root, "layers"), *item;
    size_t i, max;
    if (!yyjson_is_arr(list))
        list = yyjson_obj_get(root, "images");
    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0)
        return err_set(e, ERR_ARG, "the job left no layers and no images");
    enum err_code rc = json_get_i64(root, "width", 1, PROJECT_SIDE_MAX, &w, "the job's result", e);
    if (rc == ERR_OK)
        rc = json_get_i64(root, "height", 1, PROJECT_SIDE_MAX, &h, "the job's result", e);
    yyjson_arr_foreach(list, i, max, item)
    {
        struct asset a = {0};
        if (rc == ERR_OK && b->n == PROJECT_LAYERS_MAX)
            rc = err_set(e, ERR_LIMIT, "the job left more than %d layers", PROJECT_LAYERS_MAX);
        if (rc == ERR_OK)
            rc = read_layer(s, item, &b->layers[b->n], &a, e);
        if (rc != ERR_OK)
            return rc;
        if (!b->layers[b->n].name[0])
            snprintf(b->layers[b->n].name, LAYER_NAME_SIZE, "%.40s %zu", kind, b->n + 1);
        w = w ? w : a.width;
        h = h ? h : a.height;
        b->n++;
    }
    b->w = (int)w;
    b->h = (int)h;
    return rc;
}

static enum err_code batch_of_job(struct store *s, const char *job_id, struct batch *b,
                                  struct err *e)
{
    struct job_record r;
    yyjson_doc *doc = NULL;
    enum err_code rc = jobs_get(s, job_id, &r, e);
    if (rc != ERR_OK)
        return rc;
    if (r.state != JOB_DONE)
        rc = err_set(e, ERR_ARG, "job %s is %s, not done", r.id, job_state_name(r.state));
    if (rc == ERR_OK)
        rc = json_parse(str_from(r.result), "the job's result", &doc, e);
    if (rc == ERR_OK)
        rc = read_batch(s, yyjson_doc_get_root(doc), r.kind, b, e);
    yyjson_doc_free(doc);
    job_record_deinit(&r);
    return rc;
}

/* ---- into the place of a layer ------------------------------------------------------------------ */

/* Child c of the parent's image, which was k times its canvas: canvas = parent + R S k (c + p). */
static void inherit(const struct project_layer *parent, double kx, double ky, bool bottom,
                    struct project_layer *c)
{
    char name[2 * LAYER_NAME_SIZE + 8];
    struct layer cleaned = {0};
    double angle = parent->rotation * (3.14159265358979323846 / 180.0);
    double sx = parent->scale_x * kx, sy = parent->scale_y * ky;
    double dx = sx * c->x, dy = sy * c->y;
    bool whole = c->x == 0 && c->y == 0;
    c->x = parent->x + cos(angle) * dx - sin(angle) * dy;
    c->y = parent->y + sin(angle) * dx + cos(angle) * dy;
    c->scale_x = sx;
    c->scale_y = sy;
    c->rotation = parent->rotation;
    c->opacity *= parent->opacity;
    c->visible = c->visible && parent->visible;
    if (bottom)
        c->blend = parent->blend;
    if (whole)
        memcpy(c->mask, parent->mask, sizeof c->mask);
    snprintf(name, sizeof name, "%s / %s", parent->name, c->name);
    if (parent->name[0])
        layer_set_name(&cleaned, str_from(name));
    if (parent->name[0])
        memcpy(c->name, cleaned.name, sizeof c->name);
}

static enum err_code replace_layer(struct store *s, struct project *p, size_t at, struct batch *b,
                                   struct err *e)
{
    const struct project_layer parent = p->layers[at];
    struct asset a;
    TRY(asset_get(s, parent.asset, &a, e));
    project_remove(p, at);
    for (size_t i = 0; i < b->n; i++) {
        inherit(&parent, (double)a.width / b->w, (double)a.height / b->h, i == 0, &b->layers[i]);
        TRY(insert(p, at + i, &b->layers[i], e));
    }
    return ERR_OK;
}

enum err_code project_import(struct store *s, struct project *p, const char *job_id,
                             const char *replace, struct err *e)
{
    size_t at = replace ? project_find(p, replace) : 0;
    if (replace && at == p->n)
        return err_set(e, ERR_NOTFOUND, "the project has no layer '%.70s'", replace);
    struct batch *b = mem_try_alloc(sizeof *b);
    if (!b)
        return err_set(e, ERR_NOMEM, "no memory for a job's layers");
    enum err_code rc = batch_of_job(s, job_id, b, e);
    if (rc == ERR_OK && p->n == 0 && p->w == 0 && p->h == 0) {
        p->w = b->w;
        p->h = b->h;
    }
    if (rc == ERR_OK && replace)
        rc = replace_layer(s, p, at, b, e);
    else
        for (size_t i = 0; rc == ERR_OK && i < b->n; i++)
            rc = insert(p, p->n, &b->layers[i], e);
    mem_free(b);
    return rc;
}
