#include "server/api/exports.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { KEY_BYTES = 80 };

static const uint64_t KEPT_BYTES = (uint64_t)1 << 30;

struct kept {
    char key[KEY_BYTES]; /* "": free */
    int fd;
    uint64_t bytes, used; /* used: the time of the last use, in calls */
};

struct exports {
    pthread_mutex_t lock; /* guards all */
    uint64_t calls, bytes;
    size_t max;
    struct kept kept[]; /* max */
};

struct exports *exports_new(size_t max)
{
    struct exports *x = mem_alloc(sizeof *x + max * sizeof x->kept[0]);
    x->max = max;
    pthread_mutex_init(&x->lock, NULL);
    return x;
}

static void drop(struct exports *x, struct kept *k)
{
    (void)close(k->fd);
    x->bytes -= k->bytes;
    *k = (struct kept){0};
}

void exports_free(struct exports *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->max; i++)
        if (x->kept[i].key[0])
            drop(x, &x->kept[i]);
    pthread_mutex_destroy(&x->lock);
    mem_free(x);
}

static struct kept *find(struct exports *x, const char *key)
{
    for (size_t i = 0; i < x->max; i++)
        if (strcmp(x->kept[i].key, key) == 0)
            return &x->kept[i];
    return NULL;
}

static struct kept *oldest(struct exports *x)
{
    struct kept *old = NULL;
    for (size_t i = 0; i < x->max; i++)
        if (x->kept[i].key[0] && (!old || x->kept[i].used < old->used))
            old = &x->kept[i];
    return old;
}

/* The place in the file belongs to all copies of a descriptor; what reads it says where (pread, sendfile). */
bool exports_find(struct exports *x, const char *key, int *fd, uint64_t *bytes)
{
    pthread_mutex_lock(&x->lock);
    struct kept *k = find(x, key);
    int copy = k ? fcntl(k->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (copy >= 0) {
        k->used = ++x->calls;
        *fd = copy;
        *bytes = k->bytes;
    }
    pthread_mutex_unlock(&x->lock);
    return copy >= 0;
}

void exports_keep(struct exports *x, const char *key, int fd, uint64_t bytes)
{
    if (bytes > KEPT_BYTES || strlen(key) >= KEY_BYTES)
        return;
    pthread_mutex_lock(&x->lock);
    int copy = find(x, key) ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy >= 0) {
        while (!find(x, "") || x->bytes + bytes > KEPT_BYTES)
            drop(x, oldest(x));
        struct kept *k = find(x, "");
        (void)snprintf(k->key, sizeof k->key, "%s", key);
        k->fd = copy;
        k->bytes = bytes;
        k->used = ++x->calls;
        x->bytes += bytes;
    }
    pthread_mutex_unlock(&x->lock);
}
