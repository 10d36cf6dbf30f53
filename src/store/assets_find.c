/* assets_find.c - lists of images by their marks, where they come from and words; and the marks. */
#include "base/mem.h"
#include "store/assets.h"
#include "store/store_impl.h"

struct asset_filter asset_filter_all(void)
{
    return (struct asset_filter){.marks = {-1, -1}};
}

static void bind_filter(struct db_query *q, const struct asset_filter *f)
{
    db_bind_int(q, 1, f->marks.starred);
    db_bind_int(q, 2, f->marks.trashed);
    db_bind_text(q, 3, f->origin ? f->origin : "");
    db_bind_text(q, 4, f->words ? f->words : "");
}

enum err_code asset_list(struct store *s, const struct asset_filter *filter, int64_t before,
                         int limit, struct asset_list *out, struct err *e)
{
    *out = (struct asset_list){0};
    limit = limit < 1 ? 1 : limit > 1000 ? 1000 : limit;
    out->items = mem_try_array((size_t)limit, sizeof *out->items);
    if (!out->items)
        return err_set(e, ERR_NOMEM, "no memory for a list of %d assets", limit);
    db_lock(&s->ro);
    struct db_query q = db_query(&s->ro,
                                 "SELECT " ASSET_COLUMNS " FROM assets"
                                 " WHERE (?1 < 0 OR starred = ?1) AND (?2 < 0 OR trashed = ?2)"
                                 " AND (?3 = '' OR origin = ?3) AND seq < ?5"
                                 " AND (?4 = '' OR has_words(?4, name, prompt))"
                                 " ORDER BY seq DESC LIMIT ?6",
                                 e);
    bind_filter(&q, filter);
    db_bind_int(&q, 5, before > 0 ? before : INT64_MAX);
    db_bind_int(&q, 6, limit + 1); /* one more tells whether there is a next page */
    while (db_row(&q)) {
        if (out->n == (size_t)limit) {
            out->next = out->items[out->n - 1].seq;
            break;
        }
        asset_row_read(&q, &out->items[out->n++]);
    }
    enum err_code rc = db_done(&q);
    db_unlock(&s->ro);
    if (rc != ERR_OK)
        asset_list_deinit(out);
    return rc;
}

void asset_list_deinit(struct asset_list *l)
{
    mem_free(l->items);
    *l = (struct asset_list){0};
}

static enum err_code mark(struct store *s, const char *id, struct asset_marks marks,
                          struct asset *out, struct err *e)
{
    struct db_query q = db_query(&s->rw,
                                 "UPDATE assets SET starred = iif(?2 < 0, starred, ?2),"
                                 " touched_ms = iif(?3 = 1 AND NOT trashed, ?4, touched_ms),"
                                 " trashed = iif(?3 < 0, trashed, ?3)"
                                 " WHERE id = ?1 RETURNING " ASSET_COLUMNS,
                                 e);
    db_bind_text(&q, 1, id);
    db_bind_int(&q, 2, marks.starred);
    db_bind_int(&q, 3, marks.trashed);
    db_bind_int(&q, 4, store_now_ms(s));
    bool there = db_row(&q);
    if (there)
        asset_row_read(&q, out);
    TRY(db_run(&q));
    return there ? ERR_OK : err_set(e, ERR_NOTFOUND, "there is no asset '%.80s'", id);
}

enum err_code asset_mark(struct store *s, const char *id, struct asset_marks marks,
                         struct asset *out, struct err *e)
{
    TRY(store_begin(s, e));
    TRY(db_end(&s->rw, mark(s, id, marks, out, e), e));
    store_tell_asset(s, out->id, false);
    return ERR_OK;
}
