/* projects.h - a canvas with an ordered stack of layers, kept with its history.
 *
 * A layer shows an asset. A point p of its image lies on the canvas at
 *     (x, y) + R(rotation) S(scale_x, scale_y) p
 * rotation in degrees, clockwise on the screen, about the image's upper left corner; a negative scale
 * mirrors. JSON form: docs/formats/project.md; project_json.h reads and writes it.
 *
 * A layer may be a group. Its members, groups among them, lie together directly below its own row, and name it as
 * their parent; so the rows of a project are one flat array whatever lies in what. A group is composed by itself and
 * then put onto what lies below it. One that was made by taking a layer apart keeps that layer's image, mask and place:
 * they are referred to, but not drawn.
 *
 * Every change makes a new revision, a number that only grows, also by undo: it is the project's ETag. A
 * change that names another revision than the current one is refused with ERR_BUSY, and project_is_conflict
 * tells so (HTTP's 412). History is a row of undo points with a cursor: a change cuts off what could be
 * redone and appends itself; undo and redo move the cursor.
 *
 *     struct project p;
 *     if ((rc = project_get(s, id, &p, e)) != ERR_OK) ...
 *     p.layers[0].opacity = 0.5;
 *     rc = project_save(s, &p, &(struct project_change){.if_revision = p.revision, .label = "opacity"}, e);
 *     project_deinit(&p);
 *
 * Ownership: a struct project owns its layers. One thread at a time. */
#ifndef VT_STORE_PROJECTS_H
#define VT_STORE_PROJECTS_H

#include "base/buf.h"
#include "image/composite.h"
#include "layers/stack.h"
#include "store/assets.h"
#include "store/store.h"

enum {
    PROJECT_NAME_SIZE = 256,
    PROJECT_LABEL_SIZE = 64,
    PROJECT_LAYERS_MAX = 1000,
    PROJECT_SIDE_MAX = 30000,
    PROJECT_UNDO_MAX = 100, /* undo points kept */
    PROJECT_DEPTH_MAX = 16, /* groups in groups */
    PROJECT_WARNING_SIZE = 256,
};

enum project_kind { PROJECT_IMAGE, PROJECT_GROUP, PROJECT_KINDS };
/* "image", "group". Static string. */
const char *project_kind_name(enum project_kind kind);
bool project_kind_from_name(struct str name, enum project_kind *out);

struct project_layer {
    char id[LAYER_ID_SIZE]; /* stays for life; "" gets one when saved */
    enum project_kind kind;
    char parent[LAYER_ID_SIZE]; /* the group that it lies in; "" none */
    char name[LAYER_NAME_SIZE];
    char warning[PROJECT_WARNING_SIZE]; /* why it is doubtful; "" it is not */
    char asset[ASSET_ID_SIZE];          /* "" none: only a group may lack it */
    char mask
        [ASSET_ID_SIZE]; /* "" none; grey levels, stretched over the layer's image; black hides */
    double x, y;         /* -1,000,000 to 1,000,000 */
    double scale_x, scale_y; /* 0.0001 to 1000 in size; negative mirrors */
    double rotation;         /* degrees, -360 to 360 */
    double opacity;          /* 0 to 1 */
    enum blend_mode blend;
    bool visible, locked;
};

struct project {
    char id[STORE_ID_SIZE]; /* "p..." */
    char name[PROJECT_NAME_SIZE];
    int w, h;
    char selection[ASSET_ID_SIZE]; /* grey levels, stretched over the canvas; "" none */
    size_t n, cap;
    struct project_layer *layers; /* bottom first */

    /* Set by the store. */
    int64_t seq, revision;
    int64_t created_ms, updated_ms;
    bool can_undo, can_redo;
    bool is_head; /* of a list: n says how many layers there are, but they are not here */
};

void project_init(struct project *p, int w, int h);
void project_deinit(struct project *p);
/* Caller: project_deinit. */
ERR_MUST_CHECK enum err_code project_copy(const struct project *p, struct project *out,
                                          struct err *e);
struct project_layer project_layer_defaults(void);
/* Sine and cosine of an angle in degrees; of whole right angles they are exact. */
void project_turn(double degrees, double *s, double *c);
/* Where the point px, py of the layer's image lies on the canvas. */
void project_point(const struct project_layer *l, double px, double py, double *x, double *y);
/* Copies the layer to index (0 = bottom, p->n = top). ERR_LIMIT, ERR_NOMEM. */
ERR_MUST_CHECK enum err_code project_insert(struct project *p, size_t index,
                                            const struct project_layer *l, struct err *e);
/* A group goes with its members. */
void project_remove(struct project *p, size_t index);
/* So that the layer is at index `to` afterwards; a group's members, which stay below it, must have room there. */
void project_move(struct project *p, size_t from, size_t to);
/* p->n when there is none. */
size_t project_find(const struct project *p, const char *layer_id);
/* It is visible, and all groups around it are. */
bool project_is_seen(const struct project *p, const struct project_layer *l);
/* Index of the lowest row that belongs to the layer: itself, or the lowest of a group's members. */
size_t project_lowest(const struct project *p, size_t index);
/* Index of the outermost row, in the group `parent` ("": in none), that the layer belongs to. It lies in there. */
size_t project_unit(const struct project *p, size_t index, const char *parent);
/* Index for a new row on top of the members of the group: that of the group itself; p->n for "" or none. */
size_t project_top_of(const struct project *p, const char *parent);
void project_remove_members(struct project *p, size_t index);
/* Ranges, ids, that ids are unique, and that groups lie as they have to. ERR_ARG names the layer and field. */
ERR_MUST_CHECK enum err_code project_check(const struct project *p, struct err *e);

/* ---- kept ------------------------------------------------------------------------------------- */

struct project_change {
    int64_t if_revision; /* the revision that the caller saw; 0: whatever it is */
    const char
        *label; /* for the undo list: "move", "opacity", ...; NULL: "change". Too long: ERR_ARG */
    /* Replaces the current state without an undo point: one more step of a drag. */
    bool amend;
    /* Nothing was changed: no revision and no undo point, and what can be redone still can. */
    bool nothing;
};

bool project_is_conflict(const struct err *e);

/* Gives p an id and its first revision. ERR_NOTFOUND when an asset is not there. */
ERR_MUST_CHECK enum err_code project_create(struct store *s, struct project *p, struct err *e);
/* Fills p from the store. Caller: project_deinit. */
ERR_MUST_CHECK enum err_code project_get(struct store *s, const char *id, struct project *out,
                                         struct err *e);
/* Keeps p as the new state of p->id and brings p's revision and times up to date. */
ERR_MUST_CHECK enum err_code project_save(struct store *s, struct project *p,
                                          const struct project_change *change, struct err *e);
ERR_MUST_CHECK enum err_code project_delete(struct store *s, const char *id, int64_t if_revision,
                                            struct err *e);

/* *out is the project afterwards. ERR_ARG when there is nothing to undo or redo. */
ERR_MUST_CHECK enum err_code project_undo(struct store *s, const char *id, int64_t if_revision,
                                          struct project *out, struct err *e);
ERR_MUST_CHECK enum err_code project_redo(struct store *s, const char *id, int64_t if_revision,
                                          struct project *out, struct err *e);

struct project_point {
    int64_t position;
    char label[PROJECT_LABEL_SIZE];
    int64_t at_ms;
    bool current;
};
/* Oldest first; fills at most max (PROJECT_UNDO_MAX + 1 is enough). */
ERR_MUST_CHECK enum err_code project_history(struct store *s, const char *id,
                                             struct project_point *out, size_t max, size_t *n,
                                             struct err *e);

/* Heads without layers (n tells how many there are, layers is NULL). Most recently changed first,
 * whatever the clock said; pages as asset_list. */
struct project_list {
    struct project *items;
    size_t n;
    int64_t next; /* `before` for the next page; 0 when there is none */
};
ERR_MUST_CHECK enum err_code project_list(struct store *s, int64_t before, int limit,
                                          struct project_list *out, struct err *e);
void project_list_deinit(struct project_list *l);

/* ---- from jobs -------------------------------------------------------------------------------- */

struct project_source {
    const char *job;
    const char *replace; /* a layer's id; NULL: they go on top */
    bool group;          /* the replaced layer becomes a group, and they its members */
};

/* Puts the layers (or images) of a finished job into p: on top, or in place of the layer `replace`, whose
 * place, transform, opacity, blend mode and visibility they inherit (they were made from its image). As members of
 * a group they inherit its place and transform only. What the job says of doubtful layers becomes their warning. A
 * project that has no layers and no size yet (0 x 0) gets the job's. */
ERR_MUST_CHECK enum err_code project_import(struct store *s, struct project *p,
                                            const struct project_source *from, struct err *e);

/* ---- as images ------------------------------------------------------------------------------ */

enum project_format {
    PROJECT_PNG,
    PROJECT_JPEG,
    PROJECT_WEBP,
    PROJECT_PSD,
    PROJECT_ORA,
    PROJECT_PPTX,
    PROJECT_ZIP,
    PROJECT_FORMATS
};

/* How a project becomes a file. All but the format is for those of one image, and may be left 0. */
struct project_output {
    enum project_format format;
    bool trim;               /* cut to what is seen of the canvas */
    double scale;            /* after that; 0: 1 */
    int quality;             /* 1 to 100, of JPEG (0: 95) and WebP (0: lossless) */
    bool has_ground;         /* of JPEG: ground is set, else it is white */
    unsigned char ground[3]; /* what lies under transparent pixels */
    bool no_metadata;        /* say nothing of where the pixels came from */
};
/* "png", ...; also the extension. Static string. */
const char *project_format_name(enum project_format format);
const char *project_format_mime(enum project_format format);
bool project_format_from_name(struct str name, enum project_format *out);
/* One image of all, not a stack. */
bool project_format_is_flat(enum project_format format);

/* Asked between two layers and while a file is written: true ends the work with ERR_CANCELLED. NULL: never. */
struct project_stop {
    bool (*asked)(void *user);
    void *user;
};
ERR_MUST_CHECK enum err_code project_go_on(const struct project_stop *stop, struct err *e);

/* The layers with transforms and masks applied, as a stack with its groups (hidden ones too; without empty groups).
 * Caller: layer_stack_deinit. */
ERR_MUST_CHECK enum err_code project_render(struct store *s, const struct project *p,
                                            const struct project_stop *stop,
                                            struct layer_stack *out, struct err *e);
/* The visible layers composed, RGBA, as they are seen in that part of the plane (NULL: the canvas); holds one layer at
 * a time, and what each group around it shows so far. Caller: image_free. */
ERR_MUST_CHECK enum err_code project_flatten(struct store *s, const struct project *p,
                                             const struct image_rect *part,
                                             const struct project_stop *stop, struct image *out,
                                             struct err *e);
/* A file without a name that holds it, and its size. Caller: close(*fd). */
ERR_MUST_CHECK enum err_code project_export(struct store *s, const struct project *p,
                                            const struct project_output *how,
                                            const struct project_stop *stop, int *fd,
                                            uint64_t *bytes, struct err *e);
/* What files of the layers that are seen say of where their pixels came from. *out was initialised. */
ERR_MUST_CHECK enum err_code project_about(struct store *s, const struct project *p,
                                           struct image_about *out, struct err *e);
/* A WebP of all that fits into a square of that side; the same for the file. */
ERR_MUST_CHECK enum err_code project_thumbnail(struct store *s, const struct project *p, int side,
                                               const struct project_stop *stop, int *fd,
                                               uint64_t *bytes, struct err *e);
/* The memory that exporting takes at most. ERR_NOTFOUND when an image is not there. */
ERR_MUST_CHECK enum err_code project_weight(struct store *s, const struct project *p,
                                            const struct project_output *how, uint64_t *bytes,
                                            struct err *e);

#endif
