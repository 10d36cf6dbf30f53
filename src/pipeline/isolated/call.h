/* call.h - one question to an engine's process and its answer; shared by the files isolated/parent*.c. */
#ifndef VT_PIPELINE_ISOLATED_CALL_H
#define VT_PIPELINE_ISOLATED_CALL_H

#include <stdatomic.h>

#include "child/process.h"
#include "pipeline/isolated/isolated.h"
#include "pipeline/isolated/messages.h"

struct isolated {
    struct vt_engine_options options; /* its strings are ours */
    double patience;                  /* seconds */
    struct grants granted;
    struct process *process; /* NULL: none */
    int cancel_fd; /* an eventfd, as long as the engine lives: what a signal handler may write to */
    char model[MODEL_PATH_BYTES];
    struct iso_state state;
    uint64_t budget; /* that was set; 0: the default */
    bool has_budget;
    bool has_begun; /* the process has said anything since it was asked last */
    bool is_busy;   /* in a call: its callbacks may not make another */
    char last_words[PROCESS_LOG_BYTES];
};

/* What is asked. write, read and image get user; each may be NULL. */
struct call {
    uint32_t type;
    const char *model;                    /* that has to be readable; NULL: none */
    const struct vt_loras *loras;         /* likewise; NULL: none */
    const char *trace_path, *cache_dir;   /* that have to be writable; NULL: none */
    const struct vt_callbacks *callbacks; /* may be NULL */
    void (*write)(struct code *c, void *user);
    void (*read)(struct code *c, void *user); /* what a good answer holds */
    /* An image that is done: c was not yet read. */
    enum err_code (*image)(struct code *c, void *user, struct err *e);
    void *user;
};

ERR_MUST_CHECK enum err_code call_make(struct isolated *g, const struct call *call, struct err *e);

#endif
