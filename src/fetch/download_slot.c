/* download_slot.c - one segment on one connection: what is asked, and whether the answer is a part of the right
 * file.
 *
 * No byte is written before the answer's head was judged: a range must be the one that was asked for, of a file of
 * the expected size; the whole file is taken only where it was asked for; and all connections have to see one ETag.
 * A lease says which bytes are this slot's, so that no two write the same.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fetch/download_job.h"

/* "bytes 5-9/20" exactly as asked for, of a file of the size that it should have. */
static enum verdict judge_range(const struct slot *s)
{
    char text[100];
    uint64_t first, last, total;
    hub_header(s->easy, "Content-Range", text, sizeof text);
    struct str rest = str_from(text);
    if (!str_starts(rest, STR_LIT("bytes ")))
        return VERDICT_NO_RANGES;
    rest = str_skip(rest, 6);
    const char *dash = memchr(rest.p, '-', rest.n), *slash = memchr(rest.p, '/', rest.n);
    if (!dash || !slash || slash < dash ||
        !str_to_u64((struct str){rest.p, (size_t)(dash - rest.p)}, &first) ||
        !str_to_u64((struct str){dash + 1, (size_t)(slash - dash - 1)}, &last))
        return VERDICT_CHANGED;
    /* "*" is allowed for a total that the server does not know. */
    if (strcmp(slash + 1, "*") != 0 &&
        (!str_to_u64(str_from(slash + 1), &total) || total != s->job->f->at.size))
        return VERDICT_CHANGED;
    return first == s->from && last + 1 == s->to ? VERDICT_NONE : VERDICT_CHANGED;
}

static enum verdict judge_whole(const struct slot *s)
{
    char text[100];
    uint64_t length;
    if (!s->whole)
        return VERDICT_NO_RANGES;
    hub_header(s->easy, "Content-Length", text, sizeof text);
    return str_to_u64(str_from(text), &length) && length != s->job->f->at.size ? VERDICT_CHANGED
                                                                               : VERDICT_NONE;
}

static enum verdict judge(struct slot *s)
{
    long status = 0;
    (void)curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    hub_etag(s->easy, "ETag", s->etag);
    enum verdict v = status == 206   ? judge_range(s)
                     : status == 200 ? judge_whole(s)
                                     : VERDICT_STATUS;
    struct job *j = s->job;
    if (v != VERDICT_NONE || !s->etag[0] || j->etag_changes > MAX_ETAG_CHANGES)
        return v;
    if (!j->etag[0])
        memcpy(j->etag, s->etag, sizeof j->etag);
    return strcmp(j->etag, s->etag) == 0 ? VERDICT_NONE : VERDICT_CHANGED;
}

static size_t on_body(char *p, size_t size, size_t count, void *user)
{
    struct slot *s = user;
    size_t n = size * count;
    if (!s->judged) {
        s->judged = true;
        s->verdict = judge(s);
    }
    if (s->verdict != VERDICT_NONE)
        return 0;
    if (n > s->to - s->at) {
        s->verdict = VERDICT_TOO_LONG;
        return 0;
    }
    if (part_write(s->job->part, s->at, p, n, &s->err) != ERR_OK) {
        s->verdict = VERDICT_DISK;
        return 0;
    }
    s->at += n;
    s->job->bytes += n;
    lease_advance(s->job, s->from, s->at);
    return n;
}

enum err_code slot_begin(struct slot *s, struct hub *hub, struct job *j, uint64_t from, uint64_t to,
                         struct err *e)
{
    char range[64];
    TRY(hub_prepare(hub, s->easy, j->f->at.url, e));
    s->job = j;
    s->from = s->at = from;
    s->to = to;
    s->counted = 0;
    s->begun_s = clock_s();
    s->judged = false;
    s->verdict = VERDICT_NONE;
    s->whole = from == 0 && to == j->f->at.size;
    s->etag[0] = s->detail[0] = 0;
    err_clear(&s->err);
    (void)curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
    (void)curl_easy_setopt(s->easy, CURLOPT_ERRORBUFFER, s->detail);
    (void)curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s);
    (void)curl_easy_setopt(s->easy, CURLOPT_BUFFERSIZE, 256L << 10);
    if (s->whole)
        return ERR_OK;
    (void)snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)from,
                   (unsigned long long)to - 1);
    (void)curl_easy_setopt(s->easy, CURLOPT_RANGE, range);
    return ERR_OK;
}

/* ---- leases ---------------------------------------------------------------------------------- */

/* Which bytes of a file are whose. A lease is a run of blocks that are neither there nor leased; the first may
 * begin in its middle, where an earlier connection broke off (filled says where). */

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
