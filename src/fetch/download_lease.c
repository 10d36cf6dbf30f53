/* Which bytes of a file are whose. A lease is a run of blocks that are neither there nor leased; the first may
 * begin in its middle, where an earlier connection broke off (filled says where). */
#include <string.h>

#include "base/mem.h"
#include "fetch/download_job.h"

enum err_code lease_begin(struct job *j, struct err *e)
{
    const struct segments *s = part_segments(j->part);
    j->block_count = s->count;
    j->leased = mem_try_alloc(s->count + 1);
    j->filled = mem_try_array(s->count + 1, sizeof *j->filled);
    if (!j->leased || !j->filled)
        return err_set(e, ERR_NOMEM, "no memory for the state of '%s'", j->f->to);
    j->bytes = segments_bytes_done(s);
    return ERR_OK;
}

bool lease_take(struct job *j, uint64_t most, uint64_t *from, uint64_t *to)
{
    const struct segments *s = part_segments(j->part);
    size_t i = j->next_block;
    while (i < s->count && (segments_has(s, i) || j->leased[i]))
        i++;
    j->next_block = i;
    if (i == s->count)
        return false;
    *from = segments_block_start(s, i) + j->filled[i];
    *to = *from;
    for (; i < s->count && !segments_has(s, i) && !j->leased[i]; i++) {
        if (*to > *from && *to - *from >= most)
            break;
        /* What broke off in the middle is another lease's beginning. */
        if (*to > *from && j->filled[i] > 0)
            break;
        *to = segments_block_start(s, i) + segments_block_length(s, i);
        j->leased[i] = 1;
    }
    return true;
}

void lease_advance(struct job *j, uint64_t from, uint64_t at)
{
    const struct segments *s = part_segments(j->part);
    for (size_t i = (size_t)(from / s->block_bytes); i < s->count; i++) {
        uint64_t start = segments_block_start(s, i);
        if (start + segments_block_length(s, i) > at)
            break;
        if (segments_has(s, i))
            continue;
        j->filled[i] = 0;
        part_block_done(j->part, i);
    }
}

void lease_end(struct job *j, uint64_t from, uint64_t at, uint64_t to)
{
    const struct segments *s = part_segments(j->part);
    for (size_t i = (size_t)(from / s->block_bytes); i < s->count; i++) {
        uint64_t start = segments_block_start(s, i);
        if (start >= to)
            break;
        j->leased[i] = 0;
        if (segments_has(s, i))
            continue;
        if (at > start)
            j->filled[i] = (uint32_t)(at - start);
        if (i < j->next_block)
            j->next_block = i;
    }
}

void lease_reset(struct job *j)
{
    memset(j->leased, 0, j->block_count);
    memset(j->filled, 0, j->block_count * sizeof *j->filled);
    j->next_block = 0;
    j->bytes = 0;
}
