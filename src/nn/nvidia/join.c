/* join.c - joins tensors without copies: the nodes that make the parts write them into the joined tensor.
 *
 * The joined tensor has memory and is made by a node that does nothing. A part that is made by a node of ours, and has
 * no place yet, becomes a view of the joined tensor; any other part is copied there. */
#include "nn/nvidia/nodes.h"

static enum err_code launch_nothing(const struct nv_job *j)
{
    (void)j;
    return ERR_OK;
}

static const struct nv_op op_room = {.name = "room", .launch = launch_nothing};
static const struct nv_op op_joined = {.name = "joined", .launch = launch_nothing};

static enum err_code launch_copy(const struct nv_job *j)
{
    const struct nv_map_job m = {.a = j->t->src[0], .y = j->t, .op = NV_MAP_COPY};
    return nv_map_launch(j, &m);
}

static const struct nv_op op_copy = {.name = "copy", .launch = launch_copy};

/* The node that makes all of t, as t or as something of the same elements in the same order. */
static struct ggml_tensor *maker(struct ggml_tensor *t)
{
    struct ggml_tensor *m = t->view_src ? t->view_src : t;
    return t->view_offs == 0 && ggml_nelements(m) == ggml_nelements(t) ? m : NULL;
}

/* Whether m may be told to write elsewhere. Along the outermost axis a part is one piece; otherwise its rows come
 * apart, which not every kernel writes and no reshaped view survives. */
static bool movable(const struct ggml_tensor *m, const struct ggml_tensor *t, bool in_one_piece)
{
    const struct nv_op *op = m ? nv_op_of(m) : NULL;
    if (!op || m->view_src || m->data || m->src[GGML_MAX_SRC - 1] ||
        (m->flags & GGML_TENSOR_FLAG_OUTPUT) || !ggml_is_contiguous(m))
        return false;
    return in_one_piece ? ggml_is_contiguous(t) : op->strided && m == t && ggml_n_dims(t) <= 2;
}

static void move(struct ggml_tensor *m, struct ggml_tensor *room, size_t at, bool in_one_piece)
{
    m->view_src = room;
    m->view_offs = at;
    m->src[GGML_MAX_SRC - 1] = room; /* so that it is there before */
    if (in_one_piece)
        return;
    m->nb[1] = room->nb[1];
    m->nb[2] = m->nb[1] * (size_t)m->ne[1];
    m->nb[3] = m->nb[2] * (size_t)m->ne[2];
}

/* The part of `room` that t goes to. */
static struct ggml_tensor *place(struct nn_graph *g, struct ggml_tensor *room,
                                 struct ggml_tensor *t, size_t at)
{
    return ggml_view_4d(nn_ctx(g), room, t->ne[0], t->ne[1], t->ne[2], t->ne[3], room->nb[1],
                        room->nb[2], room->nb[3], at);
}

static struct ggml_tensor *put(struct nn_graph *g, struct ggml_tensor *room, struct ggml_tensor *t,
                               size_t at, bool in_one_piece)
{
    struct ggml_tensor *m = maker(t);
    if (movable(m, t, in_one_piece)) {
        move(m, room, at, in_one_piece);
        return t;
    }
    struct ggml_tensor *part = place(g, room, t, at);
    struct ggml_tensor *src[] = {t, room};
    struct ggml_tensor *copy =
        nv_node_new(g, &(struct nv_node){.op = &op_copy,
                                         .type = room->type,
                                         .ne = {t->ne[0], t->ne[1], t->ne[2], t->ne[3]},
                                         .src = src,
                                         .n_src = 2});
    copy->view_src = room;
    copy->view_offs = at;
    for (int d = 0; d < GGML_MAX_DIMS; d++)
        copy->nb[d] = part->nb[d];
    return copy;
}

struct ggml_tensor *nv_join(struct nn_graph *g, struct ggml_tensor *a, struct ggml_tensor *b,
                            int axis)
{
    if (!nv_is_on(g))
        return NULL;
    enum ggml_type type = a->type == b->type ? a->type : nv_product_type(g);
    int64_t ne[4] = {a->ne[0], a->ne[1], a->ne[2], a->ne[3]};
    ne[axis] += b->ne[axis];
    bool in_one_piece = true;
    for (int d = axis + 1; d < GGML_MAX_DIMS; d++)
        in_one_piece = in_one_piece && ne[d] == 1;
    struct ggml_tensor *room = nv_node_new(g, &(struct nv_node){.op = &op_room,
                                                                .type = type,
                                                                .ne = {ne[0], ne[1], ne[2], ne[3]},
                                                                .src = NULL,
                                                                .n_src = 0});
    struct ggml_tensor *x = a->type == type ? a : ggml_cast(nn_ctx(g), a, type);
    struct ggml_tensor *y = b->type == type ? b : ggml_cast(nn_ctx(g), b, type);
    struct ggml_tensor *src[] = {
        put(g, room, x, 0, in_one_piece),
        put(g, room, y, (size_t)a->ne[axis] * room->nb[axis], in_one_piece), room};
    struct ggml_tensor *joined =
        nv_node_new(g, &(struct nv_node){.op = &op_joined,
                                         .type = type,
                                         .ne = {ne[0], ne[1], ne[2], ne[3]},
                                         .src = src,
                                         .n_src = 3});
    joined->view_src = room;
    return joined;
}
