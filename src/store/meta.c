#include "store/meta.h"

#include "store/store_impl.h"

enum err_code meta_get(struct store *s, const char *name, struct buf *out, struct err *e)
{
    db_lock(&s->ro);
    struct db_query q = db_query(&s->ro, "SELECT value FROM meta WHERE key = ?1", e);
    db_bind_text(&q, 1, name);
    if (db_row(&q))
        buf_add_str(out, db_text(&q, 0));
    enum err_code rc = db_done(&q);
    db_unlock(&s->ro);
    if (rc == ERR_OK && buf_failed(out))
        rc = err_set(e, ERR_LIMIT, "what is kept as '%s' is too large", name);
    return rc;
}

enum err_code meta_put(struct store *s, const char *name, struct str text, struct err *e)
{
    TRY(store_begin(s, e));
    struct db_query q =
        db_query(&s->rw, "INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)", e);
    db_bind_text(&q, 1, name);
    db_bind_str(&q, 2, text);
    return db_end(&s->rw, db_run(&q), e);
}
