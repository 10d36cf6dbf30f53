#include "cli/interrupt.h"

#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "cli/cli.h"

struct target {
    void (*stop)(void *user);
    void *user;
};

/* The handler looks at `target` only between its two changes of `handlers`, and only while it is armed;
 * interrupt_set changes it only while it is not and no handler is inside. */
static struct target target;
static atomic_bool armed, stopped;
static atomic_int handlers;

static void on_signal(int sig)
{
    (void)sig;
    if (atomic_exchange(&stopped, true))
        _exit(CLI_INTERRUPTED);
    atomic_fetch_add(&handlers, 1);
    if (atomic_load(&armed))
        target.stop(target.user);
    atomic_fetch_sub(&handlers, 1);
}

void interrupt_set(void (*stop)(void *user), void *user)
{
    struct sigaction sa = {.sa_handler = on_signal};
    atomic_store(&armed, false);
    while (atomic_load(&handlers) > 0)
        (void)sched_yield();
    target = (struct target){stop, user};
    if (stop)
        atomic_store(&armed, true);
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

const atomic_bool *interrupt_flag(void)
{
    return &stopped;
}
