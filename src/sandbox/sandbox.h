/* sandbox.h - giving up the right to the network, for good.
 *
 * After sandbox_drop_network no thread of this process, present or future, and none of its children can make
 * a socket of another family than AF_UNIX: socket() answers EACCES (it never kills), io_uring, which could
 * make sockets past the filter, answers EPERM, and so does taking a descriptor out of another process. What
 * is open already stays: a listening socket goes on accepting. Where the kernel has Landlock's network rules
 * (ABI 4), connecting and binding over TCP is refused for the open ones, too. Capabilities are reduced to those
 * that concern files, memory locks and priorities, and no program started from here can gain any.
 *
 * Call it before threads start: seccomp reaches every thread, capabilities and Landlock only the calling one
 * and those that it starts afterwards. There is no way back.
 *
 *     listen_on(&socket);
 *     if (sandbox_drop_network(SANDBOX_OFFLINE, &e) != ERR_OK) ...
 *     serve(socket);
 *
 * Graphics drivers need AF_UNIX and ioctl, and keep both.
 */
#ifndef VT_SANDBOX_SANDBOX_H
#define VT_SANDBOX_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum sandbox_network {
    SANDBOX_OFFLINE, /* no network at all: what every command uses */
    SANDBOX_RPC,     /* AF_INET and AF_INET6 stay, for a compute server that the person named */
};

/* ERR_DEVICE when the kernel cannot do it (no seccomp); then nothing is promised. */
ERR_MUST_CHECK enum err_code sandbox_drop_network(enum sandbox_network network, struct err *e);

/* ---- files -------------------------------------------------------------------------------------------- */

/* From here on this thread and those that it starts later open only what lies in these files and folders: to read, or to
 * read, write and make files; nothing else, whatever its owner may do. What is open already stays open. The paths that do
 * not exist are left out. Also: other programs cannot be started, and neither other processes be looked into nor sockets
 * be made (but for the network's with SANDBOX_RPC, local ones where they are asked for, and pairs). Files can be confined
 * where the kernel has Landlock (5.13); without it *files is false, and the rest still holds. */
struct sandbox_rights {
    const char *const *read;
    size_t n_read;
    const char *const *write;
    size_t n_write;
    bool local_sockets; /* AF_UNIX stays: graphics drivers ask services of theirs */
};
ERR_MUST_CHECK enum err_code sandbox_confine(const struct sandbox_rights *r,
                                             enum sandbox_network network, bool *files,
                                             struct err *e);
/* Only the files of these rights. */
ERR_MUST_CHECK enum err_code sandbox_confine_files(const struct sandbox_rights *r, bool *files,
                                                   struct err *e);

/* From here on this process computes: it reads and writes what is open, asks for memory, starts threads, and nothing
 * else: no file is opened, no program or process started, no other process reached, no memory made executable. Whatever
 * else it asks of the kernel is refused (EPERM), it is never killed for it. */
ERR_MUST_CHECK enum err_code sandbox_compute(struct err *e);

/* ---- showing that it holds ------------------------------------------------------------------------ */

/* What one attempt to reach the network met. */
struct sandbox_attempt {
    const char *what; /* "socket(AF_INET, SOCK_STREAM)" */
    bool refused;
    int sys; /* errno, 0 when it succeeded */
};

enum { SANDBOX_MAX_ATTEMPTS = 16 };

/* Tries every way in, closes what opens, and says how each ended. Returns how many. */
int sandbox_try_network(struct sandbox_attempt out[SANDBOX_MAX_ATTEMPTS]);
/* Landlock's version of network rules, or 0 when the kernel has none. */
int sandbox_landlock_abi(void);

#endif
