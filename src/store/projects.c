/* projects.c - projects in the database. A project's row is its head; its states lie in `history`, and
 * head.position says which of them is the current one. Revision and position move apart: undo makes a new
 * revision at an older position. */
#include "store/projects.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/project_json.h"
#include "store/store_impl.h"

enum { OWNER_SIZE = STORE_ID_SIZE + 32, DOC_MAX_BYTES = 8 << 20 };

struct head {
    int64_t revision, position, updated_ms;
    int64_t lowest, highest; /* positions that there are */
};

bool project_is_conflict(const struct err *e)
{
    return e && e->code == ERR_BUSY && e->sys == ESTALE;
}

static enum err_code not_found(const char *id, struct err *e)
{
    return err_set(e, ERR_NOTFOUND, "there is no project '%.40s'", id ? id : "");
}

static void owner_of(const char *id, int64_t position, char out[OWNER_SIZE])
{
    snprintf(out, OWNER_SIZE, "p:%s:%lld", id, (long long)position);
}

/* Grows with every change of any project: the order of the list. */
#define NEXT_TURN "(SELECT coalesce(max(turn), 0) + 1 FROM projects)"

/* ---- states, within a transaction --------------------------------------------------------------- */

static enum err_code read_head(struct store *s, const char *id, struct head *h, struct err *e)
{
    if (!store_is_id(id, 'p'))
        return not_found(id, e);
    struct db_query q = db_query(&s->rw,
                                 "SELECT revision, position, updated_ms,"
                                 " (SELECT min(position) FROM history WHERE project = ?1),"
                                 " (SELECT max(position) FROM history WHERE project = ?1)"
                                 " FROM projects WHERE id = ?1",
                                 e);
    db_bind_text(&q, 1, id);
    bool there = db_row(&q);
    if (there)
        *h = (struct head){.revision = db_int(&q, 0),
                           .position = db_int(&q, 1),
                           .updated_ms = db_int(&q, 2),
                           .lowest = db_int(&q, 3),
                           .highest = db_int(&q, 4)};
    TRY(db_done(&q));
    return there ? ERR_OK : not_found(id, e);
}

static enum err_code expect_revision(const struct head *h, int64_t wanted, struct err *e)
{
    if (wanted == 0 || wanted == h->revision)
        return ERR_OK;
    (void)err_set(e, ERR_BUSY, "the project is at revision %lld, not %lld", (long long)h->revision,
                  (long long)wanted);
    if (e)
        e->sys = ESTALE;
    return ERR_BUSY;
}

/* Takes out the states from first to last, and what they referred to. */
static enum err_code drop_states(struct store *s, const char *id, int64_t first, int64_t last,
                                 struct err *e)
{
    char owner[OWNER_SIZE];
    for (int64_t at = first; at <= last; at++) {
        owner_of(id, at, owner);
        TRY(refs_drop(s, owner, e));
    }
    if (first > last)
        return ERR_OK;
    struct db_query q = db_query(
        &s->rw, "DELETE FROM history WHERE project = ?1 AND position BETWEEN ?2 AND ?3", e);
    db_bind_text(&q, 1, id);
    db_bind_int(&q, 2, first);
    db_bind_int(&q, 3, last);
    return db_run(&q);
}

static enum err_code add_ref(struct store *s, const char *owner, const char *asset, struct err *e)
{
    return asset[0] ? refs_add(s, owner, asset, e) : ERR_OK;
}

/* All that the state shows or remembers. */
static enum err_code add_refs(struct store *s, const struct project *p, int64_t position,
                              struct err *e)
{
    char owner[OWNER_SIZE];
    owner_of(p->id, position, owner);
    TRY(add_ref(s, owner, p->selection, e));
    for (size_t i = 0; i < p->n; i++) {
        TRY(add_ref(s, owner, p->layers[i].asset, e));
        TRY(add_ref(s, owner, p->layers[i].mask, e));
    }
    return ERR_OK;
}

static enum err_code add_state(struct store *s, const struct project *p, int64_t position,
                               const char *label, struct err *e)
{
    struct buf doc;
    struct layer clean = {0};
    if (strlen(label) >= PROJECT_LABEL_SIZE)
        return err_set(e, ERR_ARG, "the label has %zu bytes; at most %d are kept", strlen(label),
                       PROJECT_LABEL_SIZE - 1);
    layer_set_name(&clean, str_from(label));
    buf_init(&doc, DOC_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(project_json_write(p, &doc, e), done);
    struct db_query q = db_query(&s->rw,
                                 "INSERT INTO history (project, position, label, at_ms, doc)"
                                 " VALUES (?1, ?2, ?3, ?4, ?5)",
                                 e);
    db_bind_text(&q, 1, p->id);
    db_bind_int(&q, 2, position);
    db_bind_text(&q, 3, clean.name);
    db_bind_int(&q, 4, store_now_ms(s));
    db_bind_str(&q, 5, buf_str(&doc));
    rc = db_run(&q);
done:
    buf_deinit(&doc);
    return rc == ERR_OK ? add_refs(s, p, position, e) : rc;
}

static enum err_code write_head(struct store *s, const struct project *p, int64_t position,
                                struct err *e)
{
    struct db_query q = db_query(&s->rw,
                                 "UPDATE projects SET name = ?2, width = ?3, height = ?4,"
                                 " layers = ?5, revision = ?6, position = ?7, updated_ms = ?8,"
                                 " turn = " NEXT_TURN " WHERE id = ?1",
                                 e);
    db_bind_text(&q, 1, p->id);
    db_bind_text(&q, 2, p->name);
    db_bind_int(&q, 3, p->w);
    db_bind_int(&q, 4, p->h);
    db_bind_int(&q, 5, (int64_t)p->n);
    db_bind_int(&q, 6, p->revision);
    db_bind_int(&q, 7, position);
    db_bind_int(&q, 8, p->updated_ms);
    return db_run(&q);
}

/* ---- making and saving -------------------------------------------------------------------------- */

static enum err_code name_layers(struct project *p, struct err *e)
{
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < p->n; i++) {
        char id[STORE_ID_SIZE];
        if (p->layers[i].id[0])
            continue;
        rc = store_new_id('l', id, e);
        snprintf(p->layers[i].id, sizeof p->layers[i].id, "%s", id);
    }
    return rc;
}

static enum err_code insert_project(struct store *s, struct project *p, struct err *e)
{
    struct db_query q = db_query(
        &s->rw,
        "INSERT INTO projects (id, name, width, height, layers, revision, position,"
        " created_ms, updated_ms, turn) VALUES (?1, ?2, ?3, ?4, ?5, 1, 1, ?6, ?6, " NEXT_TURN
        ") RETURNING seq",
        e);
    db_bind_text(&q, 1, p->id);
    db_bind_text(&q, 2, p->name);
    db_bind_int(&q, 3, p->w);
    db_bind_int(&q, 4, p->h);
    db_bind_int(&q, 5, (int64_t)p->n);
    db_bind_int(&q, 6, p->updated_ms);
    if (db_row(&q))
        p->seq = db_int(&q, 0);
    TRY(db_run(&q));
    return add_state(s, p, 1, "new", e);
}

enum err_code project_create(struct store *s, struct project *p, struct err *e)
{
    TRY(name_layers(p, e));
    TRY(project_check(p, e));
    TRY(store_new_id('p', p->id, e));
    TRY(store_begin(s, e));
    p->revision = 1;
    p->created_ms = p->updated_ms = store_now_ms(s);
    p->can_undo = p->can_redo = false;
    return db_end(&s->rw, insert_project(s, p, e), e);
}

static enum err_code save(struct store *s, struct project *p, const struct project_change *c,
                          struct head *h, struct err *e)
{
    TRY(read_head(s, p->id, h, e));
    TRY(expect_revision(h, c->if_revision, e));
    if (c->nothing) {
        p->revision = h->revision;
        p->updated_ms = h->updated_ms;
        return ERR_OK;
    }
    /* The state a project began with is never amended: the first drag must be undone to something. */
    bool amend = c->amend && h->position > h->lowest && h->position == h->highest;
    int64_t position = amend ? h->position : h->position + 1;
    TRY(drop_states(s, p->id, position, h->highest, e));
    TRY(add_state(s, p, position, c->label ? c->label : "change", e));
    if (position - h->lowest > PROJECT_UNDO_MAX) {
        TRY(drop_states(s, p->id, h->lowest, position - PROJECT_UNDO_MAX - 1, e));
        h->lowest = position - PROJECT_UNDO_MAX;
    }
    h->position = h->highest = position;
    p->revision = h->revision + 1;
    p->updated_ms = store_now_ms(s);
    return write_head(s, p, position, e);
}

enum err_code project_save(struct store *s, struct project *p, const struct project_change *change,
                           struct err *e)
{
    static const struct project_change plain = {0};
    struct head h = {0};
    TRY(name_layers(p, e));
    TRY(project_check(p, e));
    TRY(store_begin(s, e));
    TRY(db_end(&s->rw, save(s, p, change ? change : &plain, &h, e), e));
    p->can_undo = h.position > h.lowest;
    p->can_redo = h.position < h.highest;
    return ERR_OK;
}

static enum err_code delete_project(struct store *s, const char *id, int64_t if_revision,
                                    struct err *e)
{
    struct head h = {0};
    TRY(read_head(s, id, &h, e));
    TRY(expect_revision(&h, if_revision, e));
    TRY(drop_states(s, id, h.lowest, h.highest, e));
    struct db_query q = db_query(&s->rw, "DELETE FROM projects WHERE id = ?1", e);
    db_bind_text(&q, 1, id);
    return db_run(&q);
}

enum err_code project_delete(struct store *s, const char *id, int64_t if_revision, struct err *e)
{
    TRY(store_begin(s, e));
    return db_end(&s->rw, delete_project(s, id, if_revision, e), e);
}

/* ---- reading ------------------------------------------------------------------------------------ */

#define HEAD_COLUMNS                                                                               \
    "p.seq, p.id, p.name, p.width, p.height, p.layers, p.revision, p.created_ms, p.updated_ms,"    \
    " EXISTS (SELECT 1 FROM history h WHERE h.project = p.id AND h.position < p.position),"        \
    " EXISTS (SELECT 1 FROM history h WHERE h.project = p.id AND h.position > p.position)"

enum { HEAD_COLUMN_COUNT = 11 };

static void read_columns(struct db_query *q, struct project *p)
{
    p->seq = db_int(q, 0);
    db_text_into(q, 1, p->id, sizeof p->id);
    db_text_into(q, 2, p->name, sizeof p->name);
    p->w = (int)db_int(q, 3);
    p->h = (int)db_int(q, 4);
    p->n = (size_t)db_int(q, 5);
    p->revision = db_int(q, 6);
    p->created_ms = db_int(q, 7);
    p->updated_ms = db_int(q, 8);
    p->can_undo = db_int(q, 9) != 0;
    p->can_redo = db_int(q, 10) != 0;
}

/* The document is the state; the row adds what only the store knows. */
static enum err_code read_project(struct db_query *q, struct project *out, struct err *e)
{
    struct project head = {0};
    read_columns(q, &head);
    enum err_code rc = project_json_parse(db_text(q, 11), out, e);
    if (rc != ERR_OK)
        return e ? err_note(e, "project %s", head.id) : rc;
    memcpy(out->id, head.id, sizeof out->id);
    out->seq = head.seq;
    out->revision = head.revision;
    out->created_ms = head.created_ms;
    out->updated_ms = head.updated_ms;
    out->can_undo = head.can_undo;
    out->can_redo = head.can_redo;
    return ERR_OK;
}

static enum err_code get_from(struct db *db, const char *id, struct project *out, struct err *e)
{
    struct db_query q = db_query(db,
                                 "SELECT " HEAD_COLUMNS ", d.doc FROM projects p JOIN history d"
                                 " ON d.project = p.id AND d.position = p.position WHERE p.id = ?1",
                                 e);
    db_bind_text(&q, 1, id);
    bool there = db_row(&q);
    enum err_code rc = there ? read_project(&q, out, e) : ERR_OK;
    enum err_code query_rc = db_done(&q);
    if (rc == ERR_OK)
        rc = query_rc;
    return rc == ERR_OK && !there ? not_found(id, e) : rc;
}

enum err_code project_get(struct store *s, const char *id, struct project *out, struct err *e)
{
    *out = (struct project){0};
    if (!store_is_id(id, 'p'))
        return not_found(id, e);
    db_lock(&s->ro);
    enum err_code rc = get_from(&s->ro, id, out, e);
    db_unlock(&s->ro);
    return rc;
}

enum err_code project_list(struct store *s, int64_t before, int limit, struct project_list *out,
                           struct err *e)
{
    *out = (struct project_list){0};
    limit = limit < 1 ? 1 : limit > 1000 ? 1000 : limit;
    out->items = mem_try_array((size_t)limit, sizeof *out->items);
    if (!out->items)
        return err_set(e, ERR_NOMEM, "no memory for a list of %d projects", limit);
    db_lock(&s->ro);
    struct db_query q =
        db_query(&s->ro,
                 "SELECT " HEAD_COLUMNS
                 ", p.turn FROM projects p WHERE p.turn < ?1 ORDER BY p.turn DESC LIMIT ?2",
                 e);
    db_bind_int(&q, 1, before > 0 ? before : INT64_MAX);
    db_bind_int(&q, 2, limit + 1); /* one more tells whether there is a next page */
    int64_t last = 0;
    while (db_row(&q)) {
        if (out->n == (size_t)limit) {
            out->next = last;
            break;
        }
        read_columns(&q, &out->items[out->n]);
        out->items[out->n++].is_head = true;
        last = db_int(&q, HEAD_COLUMN_COUNT);
    }
    enum err_code rc = db_done(&q);
    db_unlock(&s->ro);
    if (rc != ERR_OK)
        project_list_deinit(out);
    return rc;
}

void project_list_deinit(struct project_list *l)
{
    mem_free(l->items);
    *l = (struct project_list){0};
}

/* ---- undo and redo ------------------------------------------------------------------------------ */

static enum err_code step(struct store *s, const char *id, int64_t if_revision, int direction,
                          struct project *out, struct err *e)
{
    struct head h = {0};
    TRY(read_head(s, id, &h, e));
    TRY(expect_revision(&h, if_revision, e));
    int64_t position = h.position + direction;
    if (position < h.lowest || position > h.highest)
        return err_set(e, ERR_ARG, "there is nothing to %s", direction < 0 ? "undo" : "redo");
    struct db_query q = db_query(&s->rw, "UPDATE projects SET position = ?2 WHERE id = ?1", e);
    db_bind_text(&q, 1, id);
    db_bind_int(&q, 2, position);
    TRY(db_run(&q));
    TRY(get_from(&s->rw, id, out, e));
    out->revision = h.revision + 1;
    out->updated_ms = store_now_ms(s);
    return write_head(s, out, position, e);
}

static enum err_code step_locked(struct store *s, const char *id, int64_t if_revision,
                                 int direction, struct project *out, struct err *e)
{
    *out = (struct project){0};
    enum err_code rc = store_begin(s, e);
    if (rc != ERR_OK)
        return rc;
    rc = db_end(&s->rw, step(s, id, if_revision, direction, out, e), e);
    if (rc != ERR_OK)
        project_deinit(out);
    return rc;
}

enum err_code project_undo(struct store *s, const char *id, int64_t if_revision,
                           struct project *out, struct err *e)
{
    return step_locked(s, id, if_revision, -1, out, e);
}

enum err_code project_redo(struct store *s, const char *id, int64_t if_revision,
                           struct project *out, struct err *e)
{
    return step_locked(s, id, if_revision, 1, out, e);
}

enum err_code project_history(struct store *s, const char *id, struct project_point *out,
                              size_t max, size_t *n, struct err *e)
{
    *n = 0;
    if (!store_is_id(id, 'p'))
        return not_found(id, e);
    db_lock(&s->ro);
    struct db_query q = db_query(&s->ro,
                                 "SELECT h.position, h.label, h.at_ms, h.position = p.position"
                                 " FROM history h JOIN projects p ON p.id = h.project"
                                 " WHERE h.project = ?1 ORDER BY h.position",
                                 e);
    db_bind_text(&q, 1, id);
    while (*n < max && db_row(&q)) {
        struct project_point *p = &out[(*n)++];
        *p = (struct project_point){
            .position = db_int(&q, 0), .at_ms = db_int(&q, 2), .current = db_int(&q, 3) != 0};
        db_text_into(&q, 1, p->label, sizeof p->label);
    }
    enum err_code rc = db_done(&q);
    db_unlock(&s->ro);
    return rc == ERR_OK && *n == 0 ? not_found(id, e) : rc;
}
