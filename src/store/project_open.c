/* project_open.c - files of every kind that is read, as projects.
 *
 * A layered file is measured by its headers first. That is what it may take, and reading it is stopped there: a file that
 * lies in its headers is refused instead of taking what nobody allowed. Then its stack becomes rows, from the bottom,
 * a group's row behind those of its members. */
#include "store/project_open.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "store/store_impl.h"

_Static_assert((int)LAYERS_GROUP_DEPTH_MAX <= (int)PROJECT_DEPTH_MAX, "what is read can be kept");

static const double SMALL_THINGS = 4 << 20;

/* Beside the layers, those that become one; around them one that is decoded, packed or read out of an archive, and the
 * flattened image with what it is compared with. */
uint64_t project_open_weight(struct store *s, int fd, uint64_t bytes)
{
    const struct reader_file f = {.fd = fd, .bytes = bytes};
    struct layers_size n = {0};
    struct err e = {0};
    if (reader_layers_size(s->reader, &f, &n, &e) != ERR_OK)
        err_clear(&e); /* reading it will say what is wrong */
    return (uint64_t)(8.0 * (double)n.all + 20.0 * (double)n.largest + 24.0 * (double)n.canvas +
                      SMALL_THINGS);
}

static void set_name(struct project *p, const char *name)
{
    struct layer cleaned = {0};
    const char *dot = strrchr(name, '.');
    size_t n = dot && dot != name ? (size_t)(dot - name) : strlen(name);
    layer_set_name(&cleaned, (struct str){name, n});
    memcpy(p->name, cleaned.name, sizeof p->name);
}

/* An image that the store takes as it is. */
static enum err_code open_image(struct store *s, struct str bytes, const char *name,
                                struct project *out, struct err *e)
{
    struct project_layer l = project_layer_defaults();
    struct asset a;
    TRY(asset_put(s, bytes, &(struct asset_note){.name = name, .origin = "upload"}, &a, e));
    project_init(out, a.width, a.height);
    set_name(out, name);
    memcpy(l.asset, a.id, sizeof l.asset);
    memcpy(l.name, out->name, sizeof l.name);
    return project_insert(out, 0, &l, e);
}

struct opening {
    struct store *store;
    const struct layer_stack *stack;
    struct project *to;
};

/* Of the group that something lies in; "" for none. */
static const char *id_of(const struct layer_stack *s, size_t group)
{
    return group ? s->groups[group - 1].id : "";
}

static enum err_code put_layer(void *user, size_t index, struct err *e)
{
    const struct opening *o = user;
    const struct layer *from = &o->stack->layers[index];
    struct project_layer l = project_layer_defaults();
    const struct asset_note note = {.origin = "open", .about = &o->stack->about};
    struct asset a;
    TRY(asset_put_image(o->store, &from->image, &note, &a, e));
    memcpy(l.id, from->id, sizeof l.id);
    memcpy(l.name, from->name, sizeof l.name);
    memcpy(l.asset, a.id, sizeof l.asset);
    (void)snprintf(l.parent, sizeof l.parent, "%s", id_of(o->stack, from->group));
    l.x = from->x;
    l.y = from->y;
    l.opacity = from->opacity;
    l.blend = from->blend;
    l.visible = from->visible;
    return project_insert(o->to, o->to->n, &l, e);
}

static enum err_code put_group(void *user, const struct layer_group *g, struct err *e)
{
    const struct opening *o = user;
    struct project_layer l = project_layer_defaults();
    l.kind = PROJECT_GROUP;
    memcpy(l.id, g->id, sizeof l.id);
    memcpy(l.name, g->name, sizeof l.name);
    (void)snprintf(l.parent, sizeof l.parent, "%s", id_of(o->stack, g->parent));
    l.opacity = g->opacity;
    l.blend = g->blend;
    l.visible = g->visible;
    return project_insert(o->to, o->to->n, &l, e);
}

static enum err_code put_stack(struct store *s, const struct layer_stack *stack,
                               struct project *out, struct err *e)
{
    struct opening o = {s, stack, out};
    const struct layers_visitor v = {NULL, put_layer, put_group, &o, false};
    project_init(out, stack->w, stack->h);
    TRY(layers_visit(stack, &v, e));
    return project_check(out, e);
}

static enum err_code open_stack(struct store *s, const struct reader_file *f, const char *name,
                                struct project *out, struct buf *notes, struct err *e)
{
    struct layers_limits limits = layers_limits_defaults();
    struct layer_stack stack;
    limits.max_layers = PROJECT_LAYERS_MAX;
    limits.groups = true;
    limits.untrusted = !s->reader;
    TRY(reader_layers(s->reader, f, &limits, &stack, e));
    enum err_code rc = put_stack(s, &stack, out, e);
    if (rc == ERR_OK) {
        set_name(out, name);
        *notes = stack.notes;
        stack.notes = (struct buf){0};
    }
    layer_stack_deinit(&stack);
    return rc;
}

static enum err_code open_mapped(struct store *s, const struct reader_file *f, struct str bytes,
                                 const char *name, struct project *out, struct buf *notes,
                                 struct err *e)
{
    enum image_format format = image_sniff(bytes);
    bool whole =
        format == IMAGE_FORMAT_PNG || format == IMAGE_FORMAT_JPEG || format == IMAGE_FORMAT_WEBP;
    return whole ? open_image(s, bytes, name, out, e) : open_stack(s, f, name, out, notes, e);
}

enum err_code project_open(struct store *s, int fd, uint64_t bytes, const char *name,
                           struct project *out, struct buf *notes, struct err *e)
{
    const struct reader_file f = {.fd = fd, .bytes = bytes};
    project_init(out, 0, 0);
    buf_init(notes, 1 << 16);
    void *p = bytes ? mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    enum err_code rc =
        p == MAP_FAILED ? err_set_sys(e, ERR_IO, errno, "cannot read the file again")
                        : open_mapped(s, &f, (struct str){p, (size_t)bytes}, name, out, notes, e);
    if (p != MAP_FAILED)
        (void)munmap(p, (size_t)bytes);
    if (rc != ERR_OK)
        project_deinit(out);
    return rc;
}
