/* One segment on one connection: what is asked, and whether the answer is a part of the right file. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
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
