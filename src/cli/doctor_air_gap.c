/* doctor_air_gap.c - shows that this process cannot reach the network: what it is linked with, and what the
 * kernel answers when it tries. */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "cli/doctor.h"
#include "sandbox/sandbox.h"

/* Libraries whose job is to talk to other machines as a client. */
static const char *const clients[] = {"libcurl",  "libsoup", "libneon",   "libssh",   "libnghttp",
                                      "libngtcp", "libzmq",  "librdmacm", "libwinpr", "libcpr"};

struct libraries {
    struct buf names; /* JSON strings */
    char plain[400];  /* for people */
    char bad[128];    /* a client, if there is one */
    size_t n, at;
};

static void take_library(const char *name, void *user)
{
    struct libraries *l = user;
    json_put_z(&l->names, NULL, name);
    if (l->at < sizeof l->plain)
        l->at += (size_t)snprintf(l->plain + l->at, sizeof l->plain - l->at, "%s%s",
                                  l->n ? " " : "", name);
    l->n++;
    for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++)
        if (strncmp(name, clients[i], strlen(clients[i])) == 0)
            (void)snprintf(l->bad, sizeof l->bad, "%s", name);
}

static void look_at_libraries(struct doctor *d)
{
    struct libraries l = {.n = 0};
    buf_init(&l.names, 1 << 16);
    if (!elf_needed(take_library, &l))
        doctor_add(d, DOCTOR_NOTE, "air gap", NULL, "the program's own file cannot be read");
    else if (l.bad[0])
        doctor_add(d, DOCTOR_BAD, "air gap", "install the program from its own package",
                   "the program is linked with %s, a network client", l.bad);
    else
        doctor_add(d, DOCTOR_OK, "air gap", NULL,
                   "the program is linked with %zu libraries, none of them a network client", l.n);
    if (l.n)
        doctor_add(d, DOCTOR_OK, "air gap", NULL, "linked with: %s", l.plain);
    json_array(&d->details, "libraries");
    json_put_raw(&d->details, NULL, buf_str(&l.names));
    json_end_array(&d->details);
    buf_deinit(&l.names);
}

static void try_the_network(struct doctor *d)
{
    struct sandbox_attempt a[SANDBOX_MAX_ATTEMPTS];
    int n = sandbox_try_network(a);
    json_array(&d->details, "attempts");
    for (int i = 0; i < n; i++) {
        doctor_add(d, a[i].refused ? DOCTOR_OK : DOCTOR_BAD, "air gap",
                   a[i].refused ? NULL : "do not rely on the air gap on this system", "%s: %s%s",
                   a[i].what, a[i].refused ? "refused: " : "went through",
                   a[i].refused ? strerror(a[i].sys) : "");
        json_object(&d->details, NULL);
        json_put_z(&d->details, "what", a[i].what);
        json_put_bool(&d->details, "refused", a[i].refused);
        json_put_z(&d->details, "error", a[i].refused ? strerror(a[i].sys) : "");
        json_end_object(&d->details);
    }
    json_end_array(&d->details);
}

void doctor_air_gap(struct doctor *d)
{
    look_at_libraries(d);
    try_the_network(d);
    if (sandbox_landlock_abi())
        doctor_add(d, DOCTOR_OK, "air gap", NULL,
                   "Landlock %d refuses TCP for sockets that are open already, too",
                   sandbox_landlock_abi());
    else
        doctor_add(d, DOCTOR_NOTE, "air gap", "Linux 6.7 and newer can do it",
                   "this kernel has no network rules in Landlock; new sockets are refused without");
    doctor_add(d, DOCTOR_OK, "air gap", NULL,
               "there is no telemetry and no update check to turn off; `veetance-fetch` is the one "
               "program that downloads, and --rpc the one option that keeps the network");
}
