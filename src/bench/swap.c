#include "bench/swap.h"

#include <sys/resource.h>

#include "base/clock.h"

enum { RUNS = 4, DISK_BLOCK = 512 };

static uint64_t disk_bytes(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (uint64_t)u.ru_inblock * DISK_BLOCK : 0;
}

enum err_code bench_swap_measure(struct nn_params *ps, struct bench_swap *out, struct err *e)
{
    enum err_code rc = ERR_OK;
    uint64_t disk = disk_bytes();
    *out = (struct bench_swap){0};
    for (int i = 0; rc == ERR_OK && i < RUNS; i++) {
        nn_params_release(ps);
        double start = clock_s();
        rc = nn_params_engage(ps, e);
        double seconds = clock_s() - start;
        out->bytes = nn_params_device_bytes(ps);
        if (rc == ERR_OK && (double)out->bytes > out->bytes_per_second * seconds)
            out->bytes_per_second = (double)out->bytes / seconds;
    }
    out->disk_bytes = disk_bytes() - disk;
    return rc;
}
