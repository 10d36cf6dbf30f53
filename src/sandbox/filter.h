/* filter.h - what filters of system calls have in common. Only for this folder. */
#ifndef VT_SANDBOX_FILTER_H
#define VT_SANDBOX_FILTER_H

#include <seccomp.h>
#include <stdint.h>

#include "base/err.h"

/* otherwise: what is done with a call that no rule names. filter_load frees it. */
static inline enum err_code filter_new(uint32_t otherwise, scmp_filter_ctx *out, struct err *e)
{
    *out = seccomp_init(otherwise);
    return *out ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for the filter of system calls");
}

/* Puts the filter on this process for good. bad: what adding its rules gave; nothing is loaded unless it is 0. */
static inline enum err_code filter_load(scmp_filter_ctx filter, int bad, struct err *e)
{
    if (bad == 0)
        bad = seccomp_load(filter);
    seccomp_release(filter);
    return bad == 0 ? ERR_OK
                    : err_set_sys(e, ERR_DEVICE, bad < 0 ? -bad : bad,
                                  "the kernel does not support system call filters (seccomp)");
}

#endif
