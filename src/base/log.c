#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warning", "info", "debug", "trace"};

static void log_to_stderr(enum log_level level, const char *line, void *user)
{
    (void)user;
    char out[1200];
    int n = snprintf(out, sizeof out, "veetance: %s: %s\n", level_names[level], line);
    if (n > 0) {
        size_t len = (size_t)n < sizeof out ? (size_t)n : sizeof out - 1;
        ssize_t w = write(STDERR_FILENO, out, len);
        (void)w;
    }
}

static struct {
    enum log_level threshold;
    log_sink_fn sink;
    void *user;
} log_state = {LOG_WARN, log_to_stderr, NULL};

void log_set(enum log_level threshold, log_sink_fn sink, void *user)
{
    log_state.threshold = threshold;
    log_state.sink = sink ? sink : log_to_stderr;
    log_state.user = user;
}

bool log_wants(enum log_level level)
{
    return level <= log_state.threshold;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    if (!log_wants(level))
        return;
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    size_t len = strlen(line);
    while (len > 0 && line[len - 1] == '\n')
        line[--len] = 0;
    log_state.sink(level, line, log_state.user);
}
