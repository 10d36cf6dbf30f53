/* err.h - how every function in this program reports a failure.
 *
 * A function that can fail returns `enum err_code` and takes a caller-owned `struct err *` last (NULL
 * when the caller wants no text). The code that detects the failure writes the text (what, which, expected, got);
 * a layer above may put one prefix in front with err_note (which file, which step) and never replaces
 * it. Needs no allocation, so it also works when memory has run out. Not thread-local and not global:
 * a job that changes threads carries its own error.
 *
 *     if (end > f->payload_bytes)
 *         return err_set(e, ERR_FORMAT, "tensor '%s' ends at byte %zu of %zu", name, end, f->payload_bytes);
 */
#ifndef VT_BASE_ERR_H
#define VT_BASE_ERR_H

#include <stdbool.h>

#define ERR_MUST_CHECK __attribute__((warn_unused_result))

enum err_code {
    ERR_OK = 0,
    ERR_ARG,       /* the caller asked for something that makes no sense */
    ERR_NOTFOUND,  /* a file, tensor, model or device is not there */
    ERR_FORMAT,    /* bytes from outside are not what they claim to be */
    ERR_LIMIT,     /* sound, but larger than this program allows */
    ERR_IO,        /* the operating system failed to read or write */
    ERR_NOMEM,     /* not enough memory (host or device) */
    ERR_DEVICE,    /* a compute device failed, or cannot do what is needed */
    ERR_BUSY,      /* try again later */
    ERR_CANCELLED, /* the run was asked to stop */
    ERR_NUMERIC,   /* NaN or infinity where finite numbers should be */
    ERR_INTERNAL,  /* a bug of ours */
    /* An engine's process ended in the middle of a request. */
    ERR_ENGINE_CRASHED,
    ERR_ENGINE_LOST_WORKER,
    ERR_ENGINE_OUT_OF_MEMORY,
    ERR_ENGINE_STUCK,
    ERR_CODES, /* how many there are */
};

static inline bool err_is_engine_death(enum err_code code)
{
    return code >= ERR_ENGINE_CRASHED && code <= ERR_ENGINE_STUCK;
}

struct err {
    enum err_code code;
    int sys;        /* errno where the system failed, else 0 */
    char text[480]; /* one line, no final full stop */
};

/* err_set(e, code, fmt, ...) sets code and text and gives code, so that `return err_set(...)` reads well.
 * e may be NULL. err_set_sys(e, code, sys, fmt, ...) appends strerror(sys). Macros, so that compilers and
 * analysers see that what comes back is the code. */
#define err_set(e, code, ...) (err_set_text((e), (code), __VA_ARGS__), err_same(code))
#define err_set_sys(e, code, sys, ...)                                                             \
    (err_set_sys_text((e), (code), (sys), __VA_ARGS__), err_same(code))

static inline enum err_code err_same(enum err_code code)
{
    return code;
}

void err_set_text(struct err *e, enum err_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void err_set_sys_text(struct err *e, enum err_code code, int sys, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "PREFIX: " in front of the text of a failed call; returns the error's code, so e must be there
 * (ERR_INTERNAL without one). */
enum err_code err_note(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A function that owns nothing yet leaves with the first failure:
 *
 *     TRY(project_check(p, e));
 *     return store_begin(s, e);
 *
 * One that owns something ends in one place, whose label is `done`; rc holds the failure:
 *
 *     enum err_code rc;
 *     TRY_GOTO(codec_read_header(in, &h, e), done);
 *     rc = codec_read_pixels(in, &h, out, e);
 *     done:
 *     codec_free(in);
 *     return rc;
 */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        enum err_code try_rc = (call);                                                             \
        if (try_rc != ERR_OK)                                                                      \
            return try_rc;                                                                         \
    } while (0)
#define TRY_GOTO(call, label)                                                                      \
    do {                                                                                           \
        rc = (call);                                                                               \
        if (rc != ERR_OK)                                                                          \
            goto label;                                                                            \
    } while (0)

/* Marks a failure as handled on purpose. */
void err_clear(struct err *e);

/* "format", "limit", ...: a stable word for scripts and JSON. Static string. */
const char *err_code_name(enum err_code code);

#endif
