/* log.h - one line per event to one sink. Libraries never print; they log.
 *
 * Levels: error, warn (default threshold), info, debug, trace. The sink is set once at start (before
 * other threads run) by the program's main function; the default writes "veetance: level: text" to stderr.
 * No prompt text and no paths above debug level. */
#ifndef VT_BASE_LOG_H
#define VT_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

typedef void (*log_sink_fn)(enum log_level level, const char *line, void *user);

void log_set(enum log_level threshold, log_sink_fn sink, void *user);
/* Whether lines of this level go anywhere. */
bool log_wants(enum log_level level);
void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
