/* json_groups.c - groups in the manifest, a list beside that of the layers. The list is in any order, so parents are found
 * when all are there; and a manifest is anybody's, so that it goes round or comes back is checked before anything
 * follows it. */
#include "layers/json_groups.h"

#include "layers/json.h"

/* ---- writing ------------------------------------------------------------------------------------ */

static bool put_group(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct layer_stack *s,
                      const struct layer_group *g)
{
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
    return o && yyjson_mut_obj_add_str(doc, o, "id", g->id) &&
           yyjson_mut_obj_add_str(doc, o, "name", g->name) &&
           (!g->parent || yyjson_mut_obj_add_str(doc, o, "group", s->groups[g->parent - 1].id)) &&
           yyjson_mut_obj_add_real(doc, o, "opacity", g->opacity) &&
           yyjson_mut_obj_add_str(doc, o, "blend_mode", blend_mode_name(g->blend)) &&
           yyjson_mut_obj_add_bool(doc, o, "visible", g->visible);
}

bool layers_groups_put(yyjson_mut_doc *doc, yyjson_mut_val *root, const struct layer_stack *s)
{
    if (s->n_groups == 0)
        return true;
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, root, "groups");
    bool good = list != NULL;
    for (size_t i = 0; good && i < s->n_groups; i++)
        good = put_group(doc, list, s, &s->groups[i]);
    return good;
}

/* ---- reading ------------------------------------------------------------------------------------ */

enum err_code layers_group_find(const struct layer_stack *s, struct str id, size_t *at,
                                struct err *e)
{
    for (size_t i = 0; i < s->n_groups; i++) {
        if (str_eq_z(id, s->groups[i].id)) {
            *at = i + 1;
            return ERR_OK;
        }
    }
    return err_set(e, ERR_FORMAT, "there is no group '%.*s'", (int)(id.n < 64 ? id.n : 64), id.p);
}

static enum err_code read_group(yyjson_val *o, struct layer_stack *s, struct err *e)
{
    static const char what[] = "group";
    struct str id = STR_LIT(""), name = STR_LIT(""), blend = STR_LIT("normal");
    struct layer named = {0};
    struct layer_group g = {.opacity = 1, .visible = true};
    size_t at;
    TRY(json_get_str(o, "id", &id, what, e));
    TRY(json_get_str(o, "name", &name, what, e));
    TRY(json_get_str(o, "blend_mode", &blend, what, e));
    TRY(json_get_double(o, "opacity", 0, 1, &g.opacity, what, e));
    TRY(json_get_bool(o, "visible", &g.visible, what, e));
    if (!blend_mode_from_name(blend, &g.blend))
        return err_set(e, ERR_FORMAT, "there is no blend mode '%.*s'", STR_ARG(blend));
    if (!layer_set_id(&named, id) || layer_stack_has_id(s, named.id))
        return err_set(e, ERR_FORMAT, "'%.*s' is no id of a group, or is there twice", STR_ARG(id));
    layer_set_name(&named, name);
    memcpy(g.id, named.id, sizeof g.id);
    memcpy(g.name, named.name, sizeof g.name);
    return layer_stack_add_group(s, &g, &at, e);
}

/* All are there: which lies in which. */
static enum err_code read_parent(yyjson_val *o, struct layer_stack *s, size_t i, struct err *e)
{
    struct str parent = STR_LIT("");
    TRY(json_get_str(o, "group", &parent, "group", e));
    return parent.n ? layers_group_find(s, parent, &s->groups[i].parent, e) : ERR_OK;
}

enum err_code layers_groups_read(yyjson_val *root, struct layer_stack *s, struct err *e)
{
    yyjson_val *list = yyjson_obj_get(root, "groups"), *o;
    size_t i, n;
    if (yyjson_arr_size(list) > LAYERS_MAX)
        return err_set(e, ERR_LIMIT, "%zu groups, the limit is %d", yyjson_arr_size(list),
                       LAYERS_MAX);
    yyjson_arr_foreach(list, i, n, o) TRY(read_group(o, s, e));
    yyjson_arr_foreach(list, i, n, o) TRY(read_parent(o, s, i, e));
    return layer_stack_check_groups(s, e);
}
