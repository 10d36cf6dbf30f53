#include "layers/psd_packbits.h"

#include <string.h>

enum { MAX_RUN = 128, SHORTEST_REPEAT = 3 };

static size_t repeat_length(const unsigned char *p, size_t n)
{
    size_t run = 1;
    while (run < n && run < MAX_RUN && p[run] == p[0])
        run++;
    return run;
}

size_t packbits_encode(const unsigned char *in, size_t n, unsigned char *out)
{
    size_t at = 0, wrote = 0;
    while (at < n) {
        size_t run = repeat_length(in + at, n - at);
        if (run >= SHORTEST_REPEAT) {
            out[wrote++] = (unsigned char)(257 - run);
            out[wrote++] = in[at];
            at += run;
            continue;
        }
        /* Literals up to the next repeat that is worth its two bytes. */
        size_t end = at + run;
        while (end < n && end - at < MAX_RUN) {
            size_t next = repeat_length(in + end, n - end);
            if (next >= SHORTEST_REPEAT)
                break;
            end += next;
        }
        if (end - at > MAX_RUN)
            end = at + MAX_RUN;
        out[wrote++] = (unsigned char)(end - at - 1);
        memcpy(out + wrote, in + at, end - at);
        wrote += end - at;
        at = end;
    }
    return wrote;
}

bool packbits_decode(const unsigned char *in, size_t n, unsigned char *out, size_t out_n)
{
    size_t at = 0, made = 0;
    while (at < n && made < out_n) {
        unsigned c = in[at++];
        if (c == 128)
            continue;
        size_t run = c < 128 ? c + 1 : 257 - c;
        size_t takes = c < 128 ? run : 1;
        if (takes > n - at || run > out_n - made)
            return false;
        if (c < 128)
            memcpy(out + made, in + at, run);
        else
            memset(out + made, in[at], run);
        at += takes;
        made += run;
    }
    return made == out_n && n - at <= 1;
}
