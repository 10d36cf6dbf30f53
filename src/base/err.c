#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 4, 0))) static void err_write(struct err *e, enum err_code code,
                                                            int sys, const char *fmt, va_list ap)
{
    e->code = code;
    e->sys = sys;
    int n = vsnprintf(e->text, sizeof e->text, fmt, ap);
    if (sys != 0 && n >= 0 && (size_t)n < sizeof e->text)
        (void)snprintf(e->text + n, sizeof e->text - (size_t)n, ": %s", strerror(sys));
}

void err_set_text(struct err *e, enum err_code code, const char *fmt, ...)
{
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        err_write(e, code, 0, fmt, ap);
        va_end(ap);
    }
}

void err_set_sys_text(struct err *e, enum err_code code, int sys, const char *fmt, ...)
{
    if (e) {
        va_list ap;
        va_start(ap, fmt);
        err_write(e, code, sys, fmt, ap);
        va_end(ap);
    }
}

enum err_code err_note(struct err *e, const char *fmt, ...)
{
    if (!e)
        return ERR_INTERNAL;
    char prefix[sizeof e->text];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(prefix, sizeof prefix, fmt, ap);
    va_end(ap);
    if (n < 0)
        return e->code;
    size_t len = (size_t)n < sizeof prefix - 3 ? (size_t)n : sizeof prefix - 3;
    /* Shift the old text right by the prefix and ": ", cutting its end where it no longer fits. */
    size_t old = strlen(e->text), room = sizeof e->text - 1 - (len + 2);
    memmove(e->text + len + 2, e->text, old < room ? old : room);
    e->text[len + 2 + (old < room ? old : room)] = 0;
    memcpy(e->text, prefix, len);
    memcpy(e->text + len, ": ", 2);
    return e->code;
}

void err_clear(struct err *e)
{
    if (e)
        memset(e, 0, sizeof *e);
}

const char *err_code_name(enum err_code code)
{
    static const char *const names[] = {
        [ERR_OK] = "ok",
        [ERR_ARG] = "argument",
        [ERR_NOTFOUND] = "not_found",
        [ERR_FORMAT] = "format",
        [ERR_LIMIT] = "limit",
        [ERR_IO] = "io",
        [ERR_NOMEM] = "memory",
        [ERR_DEVICE] = "device",
        [ERR_BUSY] = "busy",
        [ERR_NUMERIC] = "numeric",
        [ERR_CANCELLED] = "cancelled",
        [ERR_INTERNAL] = "internal",
        [ERR_ENGINE_CRASHED] = "engine_crashed",
        [ERR_ENGINE_LOST_WORKER] = "engine_lost_worker",
        [ERR_ENGINE_OUT_OF_MEMORY] = "engine_out_of_memory",
        [ERR_ENGINE_STUCK] = "engine_stuck",
    };
    if ((size_t)code >= sizeof names / sizeof names[0] || !names[code])
        return "unknown";
    return names[code];
}
