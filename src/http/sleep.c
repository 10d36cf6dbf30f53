#include "http/sleep.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

enum { EVENTS_AT_ONCE = 64 };

struct http_sleepers {
    int epoll, stop; /* stop: an eventfd, serial 0 */
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* guards the list, and every nap in it */
    uint64_t last_serial;
    struct http_nap *first;
};

/* The lock is held. */
static void rise(struct http_nap *n)
{
    struct http_sleepers *s = n->among;
    if (n->before)
        n->before->next = n->next;
    else
        s->first = n->next;
    if (n->next)
        n->next->before = n->before;
    n->next = n->before = NULL;
    n->asleep = false;
    (void)epoll_ctl(s->epoll, EPOLL_CTL_DEL, n->fd, NULL);
    MHD_resume_connection(n->connection);
}

/* An event may be told after its nap has ended and another has begun: the serial tells them apart. */
static void client_left(struct http_sleepers *s, uint64_t serial)
{
    pthread_mutex_lock(&s->lock);
    struct http_nap *n = s->first;
    while (n && n->serial != serial)
        n = n->next;
    if (n) {
        n->gone = true;
        (void)shutdown(n->fd, SHUT_RDWR); /* so that libmicrohttpd sees it, too */
        if (n->watched && !n->held)
            rise(n);
    }
    pthread_mutex_unlock(&s->lock);
}

static void *watch(void *sleepers)
{
    struct http_sleepers *s = sleepers;
    struct epoll_event events[EVENTS_AT_ONCE];
    for (;;) {
        int n = epoll_wait(s->epoll, events, EVENTS_AT_ONCE, -1);
        if (n < 0 && errno != EINTR)
            return NULL;
        for (int i = 0; i < n; i++) {
            if (events[i].data.u64 == 0)
                return NULL;
            client_left(s, events[i].data.u64);
        }
    }
}

enum err_code http_sleepers_open(struct http_sleepers **out, struct err *e)
{
    struct http_sleepers *s = mem_alloc(sizeof *s);
    struct epoll_event stop = {.events = EPOLLIN};
    *out = s;
    pthread_mutex_init(&s->lock, NULL);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    s->stop = eventfd(0, EFD_CLOEXEC);
    if (s->epoll < 0 || s->stop < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->stop, &stop) != 0)
        return err_set_sys(e, ERR_IO, errno, "cannot watch connections");
    s->has_thread = pthread_create(&s->thread, NULL, watch, s) == 0;
    return s->has_thread ? ERR_OK : err_set(e, ERR_NOMEM, "no thread that watches connections");
}

void http_sleepers_close(struct http_sleepers *s)
{
    if (!s)
        return;
    if (s->has_thread) {
        (void)eventfd_write(s->stop, 1);
        pthread_join(s->thread, NULL);
    }
    if (s->stop >= 0)
        (void)close(s->stop);
    if (s->epoll >= 0)
        (void)close(s->epoll);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

/* The lock is held. */
static void fall_asleep(struct http_nap *n, struct http_sleepers *s,
                        struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *n = (struct http_nap){.among = s,
                           .connection = connection,
                           .serial = ++s->last_serial,
                           .fd = info ? info->connect_fd : -1,
                           .asleep = true,
                           .next = s->first};
    if (n->next)
        n->next->before = n;
    s->first = n;
    MHD_suspend_connection(connection);
    /* Without it nothing is lost but the early end. */
    struct epoll_event e = {.events = EPOLLRDHUP | EPOLLONESHOT, .data = {.u64 = n->serial}};
    (void)epoll_ctl(s->epoll, EPOLL_CTL_ADD, n->fd, &e);
}

void http_nap_begin(struct http_nap *n, struct http_sleepers *s, struct MHD_Connection *connection,
                    bool watched)
{
    pthread_mutex_lock(&s->lock);
    if (!n->held)
        fall_asleep(n, s, connection);
    n->watched = watched;
    n->called = false;
    pthread_mutex_unlock(&s->lock);
}

void http_nap_hold(struct http_nap *n, struct http_sleepers *s, struct MHD_Connection *connection)
{
    pthread_mutex_lock(&s->lock);
    fall_asleep(n, s, connection);
    n->held = true;
    pthread_mutex_unlock(&s->lock);
}

void http_nap_release(struct http_nap *n, bool awake)
{
    struct http_sleepers *s = n->among;
    pthread_mutex_lock(&s->lock);
    n->held = false;
    if (awake || n->called || (n->gone && n->watched))
        rise(n);
    pthread_mutex_unlock(&s->lock);
}

void http_nap_end(struct http_nap *n)
{
    struct http_sleepers *s = n->among;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    n->called = true;
    if (n->asleep && !n->held)
        rise(n);
    pthread_mutex_unlock(&s->lock);
}

bool http_nap_gone(struct http_nap *n)
{
    if (!n->among)
        return false;
    pthread_mutex_lock(&n->among->lock);
    bool gone = n->gone;
    pthread_mutex_unlock(&n->among->lock);
    return gone;
}
