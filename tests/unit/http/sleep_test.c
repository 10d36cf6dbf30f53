/* Connections of a real daemon that sleep, and clients on a loopback socket that wait for them or leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/sleep.h"

enum { WAIT_SECONDS = 60 };

/* How a request sleeps, by its path. */
enum way { WATCHED = 'w', UNWATCHED = 'u', HELD = 'h' };

struct guest {
    struct http_nap nap;
    enum way way;
    struct guest *next;
};

/* The lock guards the lists: whoever ends a nap holds it, so that the guest is not freed meanwhile. It comes before
 * that of the sleepers, as the queue's does. */
struct world {
    pthread_mutex_t lock;
    struct http_sleepers *sleepers;
    struct MHD_Daemon *daemon;
    int port;
    struct guest *asleep, *held;
    int n_asleep, n_held, began, answered, left;
    bool closing;
};

static struct world world;

static void add(struct guest **list, int *n, struct guest *g)
{
    g->next = *list;
    *list = g;
    (*n)++;
}

static bool drop(struct guest **list, int *n, struct guest *g)
{
    for (struct guest **p = list; *p; p = &(*p)->next)
        if (*p == g) {
            *p = g->next;
            (*n)--;
            return true;
        }
    return false;
}

static void fall_asleep(struct guest *g, struct MHD_Connection *c)
{
    pthread_mutex_lock(&world.lock);
    world.began++;
    if (g->way == HELD) {
        http_nap_hold(&g->nap, world.sleepers, c);
        add(&world.held, &world.n_held, g);
    } else {
        http_nap_begin(&g->nap, world.sleepers, c, g->way == WATCHED);
        add(&world.asleep, &world.n_asleep, g);
    }
    pthread_mutex_unlock(&world.lock);
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **state)
{
    struct guest *g = *state;
    (void)user;
    (void)method;
    (void)version;
    (void)upload;
    (void)upload_bytes;
    if (!g) {
        *state = g = mem_alloc(sizeof *g);
        g->way = (enum way)url[1];
        return MHD_YES;
    }
    if (!g->nap.among) {
        fall_asleep(g, c);
        return MHD_YES;
    }
    if (http_nap_gone(&g->nap))
        return MHD_NO;
    struct MHD_Response *r = MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result ok = MHD_queue_response(c, 200, r);
    MHD_destroy_response(r);
    return ok;
}

static void completed(void *user, struct MHD_Connection *c, void **state,
                      enum MHD_RequestTerminationCode why)
{
    struct guest *g = *state;
    (void)user;
    (void)c;
    (void)why;
    if (!g)
        return;
    bool gone = http_nap_gone(&g->nap);
    pthread_mutex_lock(&world.lock);
    (void)drop(&world.asleep, &world.n_asleep, g);
    world.answered += !gone;
    world.left += gone;
    pthread_mutex_unlock(&world.lock);
    mem_free(g);
}

static int setup(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    (void)state;
    memset(&world, 0, sizeof world);
    pthread_mutex_init(&world.lock, NULL);
    assert_int_equal(http_sleepers_open(&world.sleepers, NULL), ERR_OK);
    world.daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0,
                                    NULL, NULL, on_request, NULL, MHD_OPTION_SOCK_ADDR,
                                    (struct sockaddr *)&a, MHD_OPTION_THREAD_POOL_SIZE, 2u,
                                    MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
    assert_non_null(world.daemon);
    world.port = MHD_get_daemon_info(world.daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    MHD_stop_daemon(world.daemon);
    http_sleepers_close(world.sleepers);
    pthread_mutex_destroy(&world.lock);
    return 0;
}

/* ---- clients ------------------------------------------------------------------------------------------- */

static int ask(enum way way)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons((uint16_t)world.port)};
    char text[] = "GET /w HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    text[5] = (char)way;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = WAIT_SECONDS};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
        connect(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        write(fd, text, sizeof text - 1) != (ssize_t)sizeof text - 1)
        return -1;
    return fd;
}

static bool is_answered(int fd)
{
    char text[1024];
    ssize_t n = read(fd, text, sizeof text);
    (void)close(fd);
    return n > 12 && memcmp(text, "HTTP/1.1 200", 12) == 0;
}

/* Waits until *n is want; n is guarded by the world's lock. */
static void wait_for(const int *n, int want)
{
    double end = clock_s() + WAIT_SECONDS;
    for (;;) {
        pthread_mutex_lock(&world.lock);
        int now = *n;
        pthread_mutex_unlock(&world.lock);
        if (now == want)
            return;
        if (clock_s() > end)
            fail_msg("%d after %d s, %d were expected", now, WAIT_SECONDS, want);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void wake_all(void)
{
    pthread_mutex_lock(&world.lock);
    for (struct guest *g = world.asleep; g; g = g->next)
        http_nap_end(&g->nap);
    pthread_mutex_unlock(&world.lock);
}

static struct guest *take_held(void)
{
    pthread_mutex_lock(&world.lock);
    struct guest *g = world.held;
    if (g)
        (void)drop(&world.held, &world.n_held, g);
    pthread_mutex_unlock(&world.lock);
    return g;
}

/* ---- one at a time ------------------------------------------------------------------------------------- */

static void sleeping_request_is_answered_when_woken(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        int fd = ask(i ? UNWATCHED : WATCHED);
        assert_true(fd >= 0);
        wait_for(&world.n_asleep, 1);
        wake_all();
        wake_all(); /* the second finds it awake */
        assert_true(is_answered(fd));
        wait_for(&world.answered, i + 1);
    }
    assert_int_equal(world.left, 0);
}

static void client_that_leaves_ends_what_is_watched(void **state)
{
    (void)state;
    for (int half = 0; half < 2; half++) {
        int fd = ask(WATCHED);
        assert_true(fd >= 0);
        wait_for(&world.n_asleep, 1);
        if (half)
            (void)shutdown(fd, SHUT_WR);
        else
            (void)close(fd);
        wait_for(&world.left, half + 1);
        if (half)
            (void)close(fd);
    }
    assert_int_equal(world.n_asleep, 0);
}

static void what_is_not_watched_sleeps_on_when_its_client_leaves(void **state)
{
    (void)state;
    int fd = ask(UNWATCHED);
    assert_true(fd >= 0);
    wait_for(&world.n_asleep, 1);
    struct guest *g = world.asleep;
    (void)close(fd);
    double end = clock_s() + WAIT_SECONDS;
    while (!http_nap_gone(&g->nap) && clock_s() < end)
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_true(http_nap_gone(&g->nap));
    assert_int_equal(world.n_asleep, 1);
    wake_all();
    wait_for(&world.left, 1);
}

static void held_request_wakes_when_released(void **state)
{
    (void)state;
    int fd = ask(HELD);
    assert_true(fd >= 0);
    wait_for(&world.n_held, 1);
    struct guest *g = take_held();
    http_nap_end(&g->nap); /* leaves word */
    assert_true(g->nap.asleep);
    http_nap_release(&g->nap, false);
    assert_true(is_answered(fd));
    wait_for(&world.answered, 1);
}

static void held_request_sleeps_on_when_its_work_waits(void **state)
{
    (void)state;
    int fd = ask(HELD);
    assert_true(fd >= 0);
    wait_for(&world.n_held, 1);
    struct guest *g = take_held();
    pthread_mutex_lock(&world.lock);
    http_nap_begin(&g->nap, world.sleepers, g->nap.connection, true);
    add(&world.asleep, &world.n_asleep, g);
    http_nap_release(&g->nap, false);
    pthread_mutex_unlock(&world.lock);
    assert_true(g->nap.asleep);
    (void)close(fd);
    wait_for(&world.left, 1);
}

static void worker_sees_that_its_client_has_left(void **state)
{
    (void)state;
    int fd = ask(HELD);
    assert_true(fd >= 0);
    wait_for(&world.n_held, 1);
    struct guest *g = take_held();
    (void)close(fd);
    double end = clock_s() + WAIT_SECONDS;
    while (!http_nap_gone(&g->nap) && clock_s() < end)
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_true(http_nap_gone(&g->nap));
    http_nap_release(&g->nap, true);
    wait_for(&world.left, 1);
}

/* ---- many at once -------------------------------------------------------------------------------------- */

enum { CLIENTS = 12, ROUNDS = 40, WORKERS = 3 };

struct client {
    unsigned seed;
    int asked, failed;
};

/* Asks again and again; now and then it does not wait for the answer. */
static void *be_client(void *user)
{
    static const enum way ways[] = {WATCHED, UNWATCHED, HELD};
    struct client *c = user;
    for (int i = 0; i < ROUNDS; i++) {
        int fd = ask(ways[(unsigned)rand_r(&c->seed) % 3]);
        unsigned leaves = (unsigned)rand_r(&c->seed) % 4;
        if (fd < 0) {
            c->failed++;
            continue;
        }
        c->asked++;
        if (leaves == 0)
            (void)close(fd);
        else
            c->failed += !is_answered(fd);
    }
    return NULL;
}

/* Wakes whoever sleeps, and works for those that are held: some of them sleep on after it. */
static void *be_worker(void *user)
{
    unsigned seed = *(unsigned *)user;
    for (;;) {
        pthread_mutex_lock(&world.lock);
        bool end = world.closing;
        pthread_mutex_unlock(&world.lock);
        if (end)
            return NULL;
        wake_all();
        struct guest *g = take_held();
        bool sleeps_on = g && !http_nap_gone(&g->nap) && rand_r(&seed) % 2;
        if (sleeps_on) {
            pthread_mutex_lock(&world.lock);
            http_nap_begin(&g->nap, world.sleepers, g->nap.connection, true);
            add(&world.asleep, &world.n_asleep, g);
            http_nap_release(&g->nap, false);
            pthread_mutex_unlock(&world.lock);
        } else if (g) {
            http_nap_release(&g->nap, true);
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
}

static void everyone_is_answered_when_many_leave(void **state)
{
    struct client clients[CLIENTS];
    pthread_t threads[CLIENTS + WORKERS];
    unsigned seeds[WORKERS];
    int asked = 0;
    (void)state;
    for (unsigned i = 0; i < WORKERS; i++) {
        seeds[i] = 1000 + i;
        assert_int_equal(pthread_create(&threads[CLIENTS + i], NULL, be_worker, &seeds[i]), 0);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        clients[i] = (struct client){.seed = i};
        assert_int_equal(pthread_create(&threads[i], NULL, be_client, &clients[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(clients[i].failed, 0);
        asked += clients[i].asked;
    }
    assert_int_equal(asked, CLIENTS * ROUNDS);
    /* Who left at once may still be on its way in; then all are seen off. */
    double end = clock_s() + WAIT_SECONDS;
    bool over = false;
    while (!over && clock_s() < end) {
        pthread_mutex_lock(&world.lock);
        over = world.answered + world.left == world.began && !world.n_asleep && !world.n_held;
        pthread_mutex_unlock(&world.lock);
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    pthread_mutex_lock(&world.lock);
    world.closing = true;
    pthread_mutex_unlock(&world.lock);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(threads[CLIENTS + i], NULL);
    assert_true(over);
    assert_true(world.answered > 0 && world.left > 0);
}

int main(void)
{
#define CASE(F) cmocka_unit_test_setup_teardown(F, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(sleeping_request_is_answered_when_woken),
        CASE(client_that_leaves_ends_what_is_watched),
        CASE(what_is_not_watched_sleeps_on_when_its_client_leaves),
        CASE(held_request_wakes_when_released),
        CASE(held_request_sleeps_on_when_its_work_waits),
        CASE(worker_sees_that_its_client_has_left),
        CASE(everyone_is_answered_when_many_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
