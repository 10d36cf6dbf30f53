/* serve_engines.h - the engines of `veetance serve`: one a device, of the lists that --device and --budget are there.
 *
 *     --device cuda0,cuda1 --budget 16G,8G
 *     --device auto:all                        every card, without one the CPU
 */
#ifndef VT_CLI_SERVE_ENGINES_H
#define VT_CLI_SERVE_ENGINES_H

#include "base/err.h"
#include "server/server.h"

enum { SERVE_DEVICE_BYTES = 300 };

/* What the engines' options point to. */
struct serve_engines {
    char devices[SERVER_MAX_ENGINES][SERVE_DEVICE_BYTES];
    char budgets[SERVER_MAX_ENGINES][32];
    int n;
};

/* Adds the devices of a list, each of which is checked by its name. ERR_ARG: one that is none, or a card named twice. */
ERR_MUST_CHECK enum err_code serve_engines_add(struct serve_engines *g, const char *list,
                                               struct err *e);
/* Of all that were added, without one of base->device; base->budget may be a list. Several CPU engines share the
 * processor's cores, unless base says how many threads each has. */
ERR_MUST_CHECK enum err_code serve_engines_take(struct serve_engines *g,
                                                const struct vt_engine_options *base,
                                                struct server_options *out, struct err *e);

#endif
