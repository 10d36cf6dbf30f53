/* project_import.c - what a job left, as layers of a project. The result's form is told in jobs.h. */
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
    char doubts[PROJECT_WARNING_SIZE]; /* of all of them together; "" none */
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

/* ---- what is doubtful --------------------------------------------------------------------------- */

/* Sentences, one behind the other as long as they find room whole. */
static void add_sentence(char to[PROJECT_WARNING_SIZE], struct str text)
{
    size_t n = strlen(to);
    const char *space = n > 0 ? " " : "";
    if (text.n == 0 || n + text.n + 3 > PROJECT_WARNING_SIZE)
        return;
    snprintf(to + n, PROJECT_WARNING_SIZE - n, "%s%.*s.", space, STR_ARG(text));
    char *first = to + n + strlen(space);
    if (*first >= 'a' && *first <= 'z')
        *first = (char)(*first - 'a' + 'A');
}

/* A warning about one layer goes to that layer, every other one to all. */
static enum err_code read_warning(yyjson_val *v, struct batch *b, struct err *e)
{
    static const char what[] = "the job's warning";
    struct str code = STR_LIT(""), detail = STR_LIT("");
    double value = -1;
    TRY(json_get_str(v, "code", &code, what, e));
    TRY(json_get_str(v, "detail", &detail, what, e));
    TRY(json_get_double(v, "value", -1e18, 1e18, &value, what, e));
    if (str_eq_z(code, "opaque_layer") && value >= 0 && value < (double)b->n)
        add_sentence(b->layers[(size_t)value].warning,
                     STR_LIT("this layer has no transparency and hides what is under it"));
    else
        add_sentence(b->doubts, detail);
    return ERR_OK;
}

static enum err_code read_warnings(yyjson_val *root, struct batch *b, struct err *e)
{
    size_t i, max;
    yyjson_val *v;
    yyjson_arr_foreach(yyjson_obj_get(root, "warnings"), i, max, v) TRY(read_warning(v, b, e));
    return ERR_OK;
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
    if (rc == ERR_OK)
        rc = read_warnings(yyjson_doc_get_root(doc), b, e);
    yyjson_doc_free(doc);
    job_record_deinit(&r);
    return rc;
}

/* ---- into the place of a layer ------------------------------------------------------------------ */

/* Child c of the parent's image, which was k times its canvas: canvas = parent + R S k (c + p). */
static void take_place(const struct project_layer *parent, double kx, double ky,
                       struct project_layer *c)
{
    bool whole = c->x == 0 && c->y == 0;
    project_point(parent, kx * c->x, ky * c->y, &c->x, &c->y);
    c->scale_x = parent->scale_x * kx;
    c->scale_y = parent->scale_y * ky;
    c->rotation = parent->rotation;
    if (whole)
        memcpy(c->mask, parent->mask, sizeof c->mask);
}

/* What a group would do for its members. */
static void take_looks(const struct project_layer *parent, bool bottom, struct project_layer *c)
{
    char name[2 * LAYER_NAME_SIZE + 8];
    struct layer cleaned = {0};
    c->opacity *= parent->opacity;
    c->visible = c->visible && parent->visible;
    if (bottom)
        c->blend = parent->blend;
    snprintf(name, sizeof name, "%s / %s", parent->name, c->name);
    if (parent->name[0])
        layer_set_name(&cleaned, str_from(name));
    if (parent->name[0])
        memcpy(c->name, cleaned.name, sizeof c->name);
}

/* The layer stays, as the group that its parts are the members of. */
static void make_group(struct project_layer *l, const struct batch *b)
{
    l->kind = PROJECT_GROUP;
    memcpy(l->warning, b->doubts, sizeof l->warning);
}

static enum err_code replace_layer(struct store *s, struct project *p, size_t at, bool group,
                                   struct batch *b, struct err *e)
{
    const struct project_layer parent = p->layers[at];
    struct asset a;
    if (!parent.asset[0])
        return err_set(e, ERR_ARG, "'replace' is '%s', a group that was made of no image",
                       parent.id);
    TRY(asset_get(s, parent.asset, &a, e));
    project_remove_members(p, at);
    at = project_find(p, parent.id);
    if (group)
        make_group(&p->layers[at], b);
    else
        project_remove(p, at);
    for (size_t i = 0; i < b->n; i++) {
        struct project_layer *c = &b->layers[i];
        memcpy(c->parent, group ? parent.id : parent.parent, sizeof c->parent);
        take_place(&parent, (double)a.width / b->w, (double)a.height / b->h, c);
        if (!group)
            take_looks(&parent, i == 0, c);
        TRY(insert(p, at + i, c, e));
    }
    return ERR_OK;
}

static enum err_code import_into(struct store *s, struct project *p,
                                 const struct project_source *from, size_t at, struct batch *b,
                                 struct err *e)
{
    TRY(batch_of_job(s, from->job, b, e));
    if (p->n == 0 && p->w == 0 && p->h == 0) {
        p->w = b->w;
        p->h = b->h;
    }
    if (from->replace)
        return replace_layer(s, p, at, from->group, b, e);
    for (size_t i = 0; i < b->n; i++)
        TRY(insert(p, p->n, &b->layers[i], e));
    return ERR_OK;
}

enum err_code project_import(struct store *s, struct project *p, const struct project_source *from,
                             struct err *e)
{
    size_t at = from->replace ? project_find(p, from->replace) : 0;
    if (from->replace && at == p->n)
        return err_set(e, ERR_NOTFOUND, "the project has no layer '%.70s'", from->replace);
    if (from->group && !from->replace)
        return err_set(e, ERR_ARG, "'group' needs 'replace': the layer that becomes the group");
    struct batch *b = mem_try_alloc(sizeof *b);
    if (!b)
        return err_set(e, ERR_NOMEM, "no memory for a job's layers");
    enum err_code rc = import_into(s, p, from, at, b, e);
    mem_free(b);
    return rc;
}
