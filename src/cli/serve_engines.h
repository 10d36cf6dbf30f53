/* serve_engines.h - the engines of `veetance serve`: one a device, of the lists that --device and --budget are there, and
 * one for each --engine, a `veetance worker` of another machine.
 *
 *     --device cuda0,cuda1 --budget 16G,8G
 *     --device auto:all                        every card, without one the CPU
 *     --device none --engine gpu1 --engine gpu2:4000   nothing here
 */
#ifndef VT_CLI_SERVE_ENGINES_H
#define VT_CLI_SERVE_ENGINES_H

#include "base/err.h"
#include "server/server.h"

enum { SERVE_DEVICE_BYTES = 300 };

/* What the engines' options point to. */
struct serve_engines {
    char devices[SERVER_MAX_ENGINES][SERVE_DEVICE_BYTES];
    char workers[SERVER_MAX_ENGINES][SERVE_DEVICE_BYTES];
    char budgets[SERVER_MAX_ENGINES][32];
    int n, n_workers;
    bool no_device; /* of this machine */
};

/* The devices of a list, each of which is checked by its name, instead of those of an earlier one. ERR_ARG: one that is
 * none, or a card named twice. */
ERR_MUST_CHECK enum err_code serve_engines_devices(struct serve_engines *g, const char *list,
                                                   struct err *e);
/* A further engine: the worker at "HOST" or "HOST:PORT". */
ERR_MUST_CHECK enum err_code serve_engines_worker(struct serve_engines *g, const char *address,
                                                  struct err *e);
/* All of them: the devices (without one base->device), then the workers. base->budget may be a list. Several CPU engines share the
 * processor's cores, unless base says how many threads each has. */
ERR_MUST_CHECK enum err_code serve_engines_take(struct serve_engines *g,
                                                const struct vt_engine_options *base,
                                                struct server_options *out, struct err *e);

#endif
