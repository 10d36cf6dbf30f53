/* process.h - a program that this one starts, talks to over a socket (child/wire.h), and outlives.
 *
 *     rc = process_start(&(struct process_start){.program = "/proc/self/exe", .arguments = words}, &p, e);
 *     rc = wire_send(process_socket(p), &m, e);
 *     ...
 *     process_end(p, 0, &how);    // it was killed, or has gone by itself: how says
 *     process_free(p);
 *
 * The program finds the socket as descriptor PROCESS_SOCKET, and nothing else that was open here. Its standard error is
 * read all the time: every line goes to our log, and the last ones are kept for who asks what it said before it died. Of
 * the environment it gets what a library may need to find its files, and nothing that may be secret.
 *
 * A thread a process, the keeper, starts it, reads what it says and takes its end: so the signal that the kernel sends a
 * child whose parent dies, which is about the thread that started it, comes when it should.
 *
 * Threads: one talks; process_kill and process_log are for any. */
#ifndef VT_CHILD_PROCESS_H
#define VT_CHILD_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum { PROCESS_SOCKET = 3, PROCESS_LOG_BYTES = 4096 };

struct process_start {
    const char *name;    /* what errors and the log call it, as long as it runs; NULL: "engine" */
    const char *program; /* a path */
    const char *const *arguments; /* the first is its name; ends with NULL */
    const char *temporary;        /* what it finds as TMPDIR; NULL: what we have */
};

/* How it ended. */
struct process_ending {
    bool ended; /* false: it still runs */
    int signal; /* that killed it; 0: it left by itself, with this code */
    int code;
    bool
        out_of_memory; /* the kernel has killed for want of memory meanwhile, and this with its signal */
};

struct process;

ERR_MUST_CHECK enum err_code process_start(const struct process_start *o, struct process **out,
                                           struct err *e);
int process_socket(const struct process *p);
/* At once and for certain. */
void process_kill(struct process *p);
/* Waits so long for its end. */
void process_end(struct process *p, int milliseconds, struct process_ending *out);
/* The last lines that it wrote, without what is not text. */
void process_log(struct process *p, char out[PROCESS_LOG_BYTES]);
/* Closes the socket, by which it knows that it is to end, and kills it if it does not. Accepts NULL. */
void process_free(struct process *p);

/* ---- in the program that was started ----------------------------------------------------------------------- */

/* Whether descriptor PROCESS_SOCKET is a socket of process_start. Then: dies with the parent, and is the first to be
 * killed when memory runs out. */
bool process_is_child(void);

#endif
