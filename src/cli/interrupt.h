/* interrupt.h - what Ctrl-C and SIGTERM do: the first stops the running work within a step, the second ends the
 * process at once. */
#ifndef VT_CLI_INTERRUPT_H
#define VT_CLI_INTERRUPT_H

#include <stdatomic.h>
#include <stdbool.h>

/* From now on the first signal calls stop(user), on whatever thread it arrives; it must be safe in a signal
 * handler. NULL: only the flag is set. When this returns nobody is in the stop of before any more, so that what
 * it was about can be freed. Called by one thread. */
void interrupt_set(void (*stop)(void *user), void *user);
/* Set by the first signal after interrupt_set. */
const atomic_bool *interrupt_flag(void);

#endif
