/* queue_edit.c - what clients change of the queue: a job's place in it, and whether it goes on. In the store first. */
#include <string.h>

#include "base/mem.h"
#include "server/jobs/queue_internal.h"
#include "store/meta.h"

#define PAUSED "queue.paused"

enum { PAUSED_BYTES = 16 };

/* ---- places -------------------------------------------------------------------------------------------- */

struct order {
    char (*ids)[STORE_ID_SIZE]; /* of those that wait, as they will stand */
    size_t n;
};

static void put_id(struct order *o, const char *id)
{
    memcpy(o->ids[o->n++], id, STORE_ID_SIZE);
}

/* With the job at its new index. The lock is held. */
static enum err_code plan_move(struct queue *q, const char *id, int index, struct order *out,
                               struct err *e)
{
    const struct live *moved = line_find_waiting(q, id);
    if (!moved || moved->is_ending)
        return err_set(e, ERR_BUSY, "job %.40s does not wait", id);
    out->ids = mem_try_array((size_t)q->length, sizeof *out->ids);
    if (!out->ids)
        return err_set(e, ERR_NOMEM, "no memory for the order of %d jobs", q->length);
    for (const struct live *j = q->first; j; j = j->next) {
        if (j == moved)
            continue;
        if (index-- == 0)
            put_id(out, id);
        put_id(out, j->id);
    }
    if (index >= 0)
        put_id(out, id);
    return ERR_OK;
}

/* Some may have started or ended while the store was told. */
static enum err_code carry_move(struct queue *q, const char *id, int index, struct err *e)
{
    pthread_mutex_lock(&q->lock);
    struct live *j = line_find_waiting(q, id);
    bool waits = j && !j->is_ending;
    if (waits) {
        line_move(q, j, index);
        queue_tell_positions(q);
    }
    pthread_mutex_unlock(&q->lock);
    return waits ? ERR_OK : err_set(e, ERR_BUSY, "job %.40s does not wait any more", id);
}

enum err_code queue_move(struct queue *q, const char *id, int index, struct err *e)
{
    struct order order = {0};
    pthread_mutex_lock(&q->add_lock);
    pthread_mutex_lock(&q->lock);
    enum err_code rc = plan_move(q, id, index, &order, e);
    pthread_mutex_unlock(&q->lock);
    if (rc == ERR_OK)
        rc = jobs_place(q->server->store, (const char(*)[STORE_ID_SIZE])order.ids, order.n, e);
    if (rc == ERR_OK)
        rc = carry_move(q, id, index, e);
    pthread_mutex_unlock(&q->add_lock);
    mem_free(order.ids);
    return rc;
}

/* ---- pause --------------------------------------------------------------------------------------------- */

enum err_code queue_read_pause(struct queue *q, struct err *e)
{
    struct buf b;
    buf_init(&b, PAUSED_BYTES);
    enum err_code rc = meta_get(q->server->store, PAUSED, &b, e);
    q->paused = rc == ERR_OK && str_eq_z(buf_str(&b), "true");
    buf_deinit(&b);
    return rc;
}

enum err_code queue_pause(struct queue *q, bool paused, struct err *e)
{
    pthread_mutex_lock(&q->add_lock);
    enum err_code rc = meta_put(q->server->store, PAUSED, str_from(paused ? "true" : "false"), e);
    if (rc == ERR_OK) {
        pthread_mutex_lock(&q->lock);
        q->paused = paused;
        pthread_cond_broadcast(&q->wake);
        queue_tell_line(q);
        pthread_mutex_unlock(&q->lock);
    }
    pthread_mutex_unlock(&q->add_lock);
    return rc;
}
