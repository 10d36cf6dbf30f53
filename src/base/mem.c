#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ck.h"

void fatal_out_of_memory(size_t wanted_bytes)
{
    (void)wanted_bytes;
    static const char line[] = "veetance: out of memory\n";
    ssize_t n = write(STDERR_FILENO, line, sizeof line - 1);
    (void)n;
    _exit(1);
}

static long fail_countdown; /* 0 = off; see mem_fail_after */

static int mem_should_fail(void)
{
    if (fail_countdown == 0)
        return 0;
    if (fail_countdown > 1) {
        fail_countdown--;
        return 0;
    }
    return 1;
}

void mem_fail_after(long n)
{
    fail_countdown = n;
}

void *mem_try_alloc(size_t n)
{
    if (mem_should_fail())
        return NULL;
    return calloc(1, n ? n : 1);
}

void *mem_try_array(size_t count, size_t size)
{
    size_t n;
    if (!ck_mul_size(count, size, &n))
        return NULL;
    return mem_try_alloc(n);
}

void *mem_try_realloc(void *p, size_t n)
{
    if (mem_should_fail())
        return NULL;
    return realloc(p, n ? n : 1);
}

void *mem_try_aligned(size_t align, size_t n)
{
    void *p = NULL;
    if (mem_should_fail() || posix_memalign(&p, align, n ? n : 1) != 0)
        return NULL;
    return p;
}

void *mem_alloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    if (!p)
        fatal_out_of_memory(n);
    return p;
}

char *mem_try_strndup(const char *s, size_t n)
{
    size_t room;
    if (!ck_add_size(n, 1, &room))
        return NULL;
    char *p = mem_try_alloc(room);
    if (p && n)
        memcpy(p, s, n);
    return p;
}

void mem_free(void *p)
{
    free(p);
}
