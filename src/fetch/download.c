/* download.c - the engine: many files over a few connections, on one thread with libcurl's multi interface.
 *
 * A round of the loop: let libcurl transfer, settle segments that have ended, look for files that are complete,
 * hand free connections the next lease, wait. A job (file) and its slots (connections) belong to this thread; the
 * keeper's thread (part.c) hashes and saves, and wakes the loop.
 *
 * When a segment ends badly, settle() decides by its verdict: try later with a growing wait, ask the hub for a
 * fresh link, start the file over, or give up. A file that turns out to be another one is started over at most
 * MAX_RESTARTS times. Connections are added one by one while they still make the line faster. The header is
 * download.h.
 */
#include "fetch/download.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fetch/download_job.h"
#include "fetch/words.h"

enum {
    MAX_RESTARTS = 3,
    MAX_HOPS = 8,
    PROGRESS_MS = 200,
    MAX_OPEN_JOBS = 64, /* parts under way at once; the keeper may lag behind */
};

/* A connection every so often, up to this many bytes a second. */
#define OPEN_EVERY_S 0.15
static const double fast_line = 200e6;
static const uint64_t longest_lease = 32 << 20, shortest_lease = 1 << 20, real_progress = 256 << 10;

struct engine {
    const struct download_options *o;
    struct hub *hub;
    CURLM *multi;
    struct keeper *keeper;
    struct job *jobs;
    struct slot *slots;
    size_t job_count, slot_count, done;
    size_t first;        /* no unfinished job before it */
    double not_before_s; /* the server asked everybody to wait */
    double next_progress_s;
    size_t open_slots; /* connections allowed so far */
    double next_open_s;
    uint64_t bytes_then; /* fetched when the last one was allowed */
    uint64_t bytes_fetched;
};

/* ---- what a file should be ------------------------------------------------------------------------------------ */

enum err_code download_check_pin(const struct download_file *f, struct err *e)
{
    if (f->sha256 && f->at.sum == HUB_SUM_SHA256 && strcmp(f->sha256, f->at.sum_hex) != 0)
        return err_set(e, ERR_FORMAT,
                       "%s: the hub offers another file than the catalogue pins (%.12s..., not "
                       "%.12s...); `--trust-hub` takes it nevertheless",
                       f->to, f->at.sum_hex, f->sha256);
    return ERR_OK;
}

/* What the state file keeps to recognise the file again. */
static void identity_of(const struct download_file *f, char out[SEGMENTS_IDENTITY_BYTES])
{
    const char *kind = f->at.sum == HUB_SUM_SHA256 ? "sha256"
                       : f->at.sum == HUB_SUM_GIT  ? "git"
                                                   : "etag";
    (void)snprintf(out, SEGMENTS_IDENTITY_BYTES, "%s:%s", kind,
                   f->at.sum != HUB_SUM_NONE ? f->at.sum_hex : f->at.etag);
}

/* The digests of all bytes against everything that is known about them. */
static bool digests_fit(const struct job *j, struct err *e)
{
    const struct download_file *f = j->f;
    const char *sha = part_sha256(j->part), *want = f->sha256;
    if (f->at.sum == HUB_SUM_SHA256)
        want = f->at.sum_hex;
    if (want && strcmp(want, sha) != 0) {
        err_set_text(
            e, ERR_FORMAT,
            "%s: the bytes that came are not the file: SHA-256 %.12s... instead of %.12s...", f->to,
            sha, want);
        return false;
    }
    if (f->at.sum == HUB_SUM_GIT && strcmp(f->at.sum_hex, part_git_blob(j->part)) != 0) {
        err_set_text(
            e, ERR_FORMAT,
            "%s: the bytes that came are not the file: git calls them %.12s... instead of %.12s...",
            f->to, part_git_blob(j->part), f->at.sum_hex);
        return false;
    }
    return true;
}

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

static bool job_is_busy(const struct engine *g, const struct job *j)
{
    for (size_t i = 0; i < g->slot_count; i++)
        if (g->slots[i].job == j)
            return true;
    return false;
}

static enum err_code job_open(struct engine *g, struct job *j, struct err *e)
{
    char identity[SEGMENTS_IDENTITY_BYTES];
    identity_of(j->f, identity);
    struct part_options o = {.path = j->f->part_path,
                             .state_path = j->f->state_path,
                             .identity = identity,
                             .size = j->f->at.size};
    enum err_code rc;
    TRY_GOTO(part_open(g->keeper, &o, &j->part, e), done);
    rc = lease_begin(j, e);
done:
    j->f->phase = DOWNLOAD_ACTIVE;
    j->f->bytes_there = j->bytes;
    return rc;
}

static void job_close(struct job *j)
{
    part_free(j->part);
    mem_free(j->leased);
    mem_free(j->filled);
    j->part = NULL;
    j->leased = NULL;
    j->filled = NULL;
}

/* Stops the job's other connections: what they bring is of the wrong file. */
static void job_stop_slots(struct engine *g, struct job *j)
{
    for (size_t i = 0; i < g->slot_count; i++)
        if (g->slots[i].job == j) {
            (void)curl_multi_remove_handle(g->multi, g->slots[i].easy);
            g->slots[i].job = NULL;
        }
}

static enum err_code job_restart(struct engine *g, struct job *j, const struct err *why,
                                 struct err *e)
{
    char identity[SEGMENTS_IDENTITY_BYTES], text[640];
    if (++j->restarts > MAX_RESTARTS) {
        *e = *why;
        return e->code;
    }
    (void)snprintf(text, sizeof text, "starting over: %s", why->text);
    if (g->o->note)
        g->o->note(text, g->o->user);
    job_stop_slots(g, j);
    identity_of(j->f, identity);
    part_restart(j->part, identity);
    lease_reset(j);
    j->etag[0] = 0;
    j->f->phase = DOWNLOAD_ACTIVE;
    return ERR_OK;
}

/* Asks the hub again: a fresh link to the same file, or the news that it is another one. */
static enum err_code job_resolve_again(struct engine *g, struct job *j, struct err *e)
{
    struct hub_file before = j->f->at;
    TRY(hub_resolve(g->hub, j->f->source, j->f->repo_path, &j->f->at, e));
    TRY(download_check_pin(j->f, e));
    j->hops = 0;
    const struct hub_file *now = &j->f->at;
    bool same = now->size == before.size && now->sum == before.sum &&
                (now->sum != HUB_SUM_NONE ? strcmp(now->sum_hex, before.sum_hex) == 0
                                          : strcmp(now->etag, before.etag) == 0);
    if (same)
        return ERR_OK;
    struct err why = {0};
    err_set_text(&why, ERR_FORMAT, "%s: the file changed at the hub during the download", j->f->to);
    if (now->size == before.size)
        return job_restart(g, j, &why, e);
    job_stop_slots(g, j);
    return err_set(e, ERR_FORMAT, "%s; run the same command again", why.text);
}

static enum err_code job_check(struct engine *g, struct job *j, struct err *e)
{
    struct err why = {0};
    struct download_file *f = j->f;
    enum part_state state = part_state(j->part, e);
    if (state == PART_FAILED)
        return e->code;
    if (state == PART_GROWING)
        return ERR_OK;
    if (!digests_fit(j, &why)) {
        enum err_code rc = job_restart(g, j, &why, e);
        if (rc != ERR_OK) { /* bytes that are known to be wrong are no use to go on with */
            part_restart(j->part, NULL);
            return rc;
        }
        /* Perhaps what the hub says about it has changed, too. */
        return job_resolve_again(g, j, e);
    }
    (void)snprintf(f->sha256_found, sizeof f->sha256_found, "%s", part_sha256(j->part));
    enum err_code rc = part_publish(j->part, f->path, e);
    if (rc != ERR_OK)
        return rc;
    job_close(j);
    f->phase = DOWNLOAD_DONE;
    f->bytes_there = f->at.size;
    g->done++;
    return g->o->published ? g->o->published(f, g->o->user, e) : ERR_OK;
}

/* ---- handing out work
 * ---------------------------------------------------------------------------------------------- */

/* Shorter towards the end, so that no connection is left with a long rest. */
static uint64_t lease_size(const struct engine *g, const struct job *j)
{
    uint64_t rest = j->f->at.size - j->bytes, most = rest / (2 * g->slot_count);
    if (j->no_ranges)
        return j->f->at.size;
    return most > longest_lease ? longest_lease : most < shortest_lease ? shortest_lease : most;
}

/* Takes a lease of the job for the slot; *took says whether there was one. */
static enum err_code try_job(struct engine *g, struct slot *s, struct job *j, bool *took,
                             struct err *e)
{
    uint64_t from, to;
    if (!(j->part))
        TRY(job_open(g, j, e));
    if ((j->no_ranges && job_is_busy(g, j)) || !lease_take(j, lease_size(g, j), &from, &to))
        return ERR_OK;
    *took = true;
    TRY(slot_begin(s, g->hub, j, from, to, e));
    if (curl_multi_add_handle(g->multi, s->easy) != CURLM_OK)
        return err_set(e, ERR_NOMEM, "no memory for a connection");
    return ERR_OK;
}

/* Connections are opened one after the other, and no more once the line is so fast that they would only share it:
 * at that speed a server's processor is the limit, not a connection's window. */
static void allow_slots(struct engine *g, double now)
{
    double seconds = now - (g->next_open_s - OPEN_EVERY_S);
    if (g->open_slots == g->slot_count || (g->open_slots > 0 && now < g->next_open_s))
        return;
    if (g->open_slots == 0 || (double)(g->bytes_fetched - g->bytes_then) / seconds < fast_line)
        g->open_slots++;
    g->bytes_then = g->bytes_fetched;
    g->next_open_s = now + OPEN_EVERY_S;
}

static enum err_code hand_out(struct engine *g, struct err *e)
{
    double now = clock_s();
    if (now < g->not_before_s)
        return ERR_OK;
    allow_slots(g, now);
    while (g->first < g->job_count && g->jobs[g->first].f->phase == DOWNLOAD_DONE)
        g->first++;
    for (size_t i = 0; i < g->open_slots; i++) {
        bool took = g->slots[i].job != NULL;
        size_t open = 0;
        for (size_t k = g->first; k < g->job_count && !took && open < MAX_OPEN_JOBS; k++) {
            struct job *j = &g->jobs[k];
            if (j->f->phase == DOWNLOAD_DONE || now < j->not_before_s)
                continue;
            enum err_code rc = try_job(g, &g->slots[i], j, &took, e);
            if (rc != ERR_OK)
                return rc;
            open += j->part != NULL;
        }
        if (!took)
            break;
    }
    return ERR_OK;
}

/* ---- when a segment ends
 * --------------------------------------------------------------------------------------------- */

/* A broken line ends all of a file's connections at once: that is one failure, not many. */
static enum err_code try_later(struct engine *g, const struct slot *s, struct job *j,
                               double asked_s, const struct err *why, struct err *e)
{
    char text[640];
    double now = clock_s();
    if (s->begun_s <= j->failed_s) {
        if (now + asked_s > j->not_before_s)
            j->not_before_s = now + asked_s;
        return ERR_OK;
    }
    j->failed_s = now;
    if (j->retry.failures + 1 >= g->hub->tries || asked_s > RETRY_LONGEST_ASKED_S) {
        *e = *why;
        return e->code;
    }
    double wait = retry_next_s(&j->retry, asked_s);
    j->not_before_s = now + wait;
    if (asked_s > 0 && j->not_before_s > g->not_before_s)
        g->not_before_s = j->not_before_s;
    (void)snprintf(text, sizeof text, "trying again in %.1f s: %s", wait, why->text);
    if (g->o->note)
        g->o->note(text, g->o->user);
    return ERR_OK;
}

static enum err_code follow(struct engine *g, struct slot *s, struct job *j, struct err *e)
{
    char *to = NULL;
    (void)curl_easy_getinfo(s->easy, CURLINFO_REDIRECT_URL, &to);
    if (!to || strlen(to) >= HUB_URL_BYTES || ++j->hops > MAX_HOPS)
        return err_set(e, ERR_IO, "%s: the server redirects without a usable address", j->f->to);
    TRY(hub_check_url(g->hub, to, e));
    memcpy(j->f->at.url, to, strlen(to) + 1);
    j->f->at.elsewhere = true;
    return ERR_OK;
}

static enum err_code settle_status(struct engine *g, struct slot *s, struct job *j, struct err *e)
{
    char code[64], message[200], page[1200], what[700];
    struct err why = {0};
    long status = 0;
    double after = hub_wait_s(s->easy);
    (void)curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status >= 300 && status < 400)
        return follow(g, s, j, e);
    hub_header(s->easy, "X-Error-Code", code, sizeof code);
    hub_header(s->easy, "X-Error-Message", message, sizeof message);
    hub_page(g->hub, j->f->source, page, sizeof page);
    (void)snprintf(what, sizeof what, "%s: %s", j->f->source->repo, j->f->repo_path);
    struct words_http w = {.status = status,
                           .code = code,
                           .message = message,
                           .what = what,
                           .page = page,
                           .hub = g->hub->base,
                           .had_token = g->hub->with_token != NULL,
                           .from_elsewhere = j->f->at.elsewhere,
                           .retry_after_s = after};
    enum words_advice advice = words_for_status(&w, &why);
    /* A storage host that refuses has a link that is too old; one that has no such part, another file. */
    bool stale = j->f->at.elsewhere && (status == 401 || status == 403 || status == 404 ||
                                        status == 410 || status == 416);
    if (!stale && advice == WORDS_GIVE_UP) {
        *e = why;
        return e->code;
    }
    TRY(try_later(g, s, j, after, &why, e));
    return stale ? job_resolve_again(g, j, e) : ERR_OK;
}

static enum err_code settle_changed(struct engine *g, struct slot *s, struct job *j, struct err *e)
{
    struct err why = {0};
    err_set_text(&why, ERR_FORMAT,
                 "%s: the server's file is not the one that it announced (another size or ETag)",
                 j->f->to);
    int restarts = j->restarts;
    TRY(try_later(g, s, j, 0, &why, e));
    TRY(job_resolve_again(g, j, e));
    if (j->restarts != restarts)
        return ERR_OK;
    /* Without a sum only the ETag tells files apart. With one that the hub still vouches for, storage hosts
     * may disagree about their ETags, and the digest of the whole decides. */
    if (j->f->at.sum == HUB_SUM_NONE)
        return job_restart(g, j, &why, e);
    j->etag_changes++;
    memcpy(j->etag, s->etag, sizeof j->etag);
    return ERR_OK;
}

static enum err_code settle_transfer(struct engine *g, struct slot *s, struct job *j, CURLcode code,
                                     struct err *e)
{
    char host[256];
    struct err why = {0};
    if (code == CURLE_OK) /* the answer ended early, and said so */
        code = CURLE_PARTIAL_FILE;
    enum words_advice advice =
        words_for_transfer(code, s->detail, hub_host(j->f->at.url, host), &why);
    (void)err_note(&why, "%s", j->f->to);
    if (advice == WORDS_GIVE_UP) {
        *e = why;
        return e->code;
    }
    return try_later(g, s, j, 0, &why, e);
}

static enum err_code settle(struct engine *g, struct slot *s, CURLcode code, struct err *e)
{
    struct job *j = s->job;
    struct err why = {0};
    if (!s->judged && s->verdict == VERDICT_NONE && code == CURLE_OK) {
        long status = 0;
        (void)curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &status);
        if (status != 200 && status != 206)
            s->verdict = VERDICT_STATUS;
    }
    lease_end(j, s->from, s->at, s->to);
    s->job = NULL;
    g->bytes_fetched += s->at - s->from - s->counted;
    if (s->at - s->from >= real_progress || s->at == s->to)
        j->retry.failures = 0;
    if (s->at == s->to && s->verdict == VERDICT_NONE)
        return ERR_OK;
    if (j->no_ranges) { /* all or nothing */
        part_restart(j->part, NULL);
        lease_reset(j);
    }
    switch (s->verdict) {
    case VERDICT_STATUS:
        return settle_status(g, s, j, e);
    case VERDICT_CHANGED:
        return settle_changed(g, s, j, e);
    case VERDICT_NO_RANGES:
        if (j->no_ranges)
            return err_set(e, ERR_IO, "%s: the server sends a part that was not requested",
                           j->f->to);
        j->no_ranges = true;
        err_set_text(&why, ERR_IO, "%s: the server cannot send parts of a file", j->f->to);
        return job_restart(g, j, &why, e);
    case VERDICT_TOO_LONG:
        err_set_text(&why, ERR_FORMAT, "%s: the server sends more bytes than it announced",
                     j->f->to);
        return try_later(g, s, j, 0, &why, e);
    case VERDICT_DISK:
        *e = s->err;
        return e->code;
    case VERDICT_NONE:
        break;
    }
    return settle_transfer(g, s, j, code, e);
}

/* ---- the loop
 * --------------------------------------------------------------------------------------------------------- */

static enum err_code take_results(struct engine *g, struct err *e)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(g->multi, &left)) != NULL) {
        char *user = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &user);
        struct slot *s = (struct slot *)(void *)user;
        (void)curl_multi_remove_handle(g->multi, s->easy);
        if (s->job)
            TRY(settle(g, s, code, e));
    }
    return ERR_OK;
}

static enum err_code check_jobs(struct engine *g, struct err *e)
{
    for (size_t i = g->first; i < g->job_count; i++) {
        struct job *j = &g->jobs[i];
        if (!j->part)
            continue;
        j->f->bytes_there = j->bytes;
        if (j->bytes == j->f->at.size) {
            j->f->phase = DOWNLOAD_CHECKING;
            TRY(job_check(g, j, e));
        }
    }
    return ERR_OK;
}

/* Counts what the running segments have brought, for the speed of the line. */
static void count_bytes(struct engine *g)
{
    for (size_t i = 0; i < g->slot_count; i++) {
        struct slot *s = &g->slots[i];
        if (!s->job)
            continue;
        g->bytes_fetched += s->at - s->from - s->counted;
        s->counted = s->at - s->from;
    }
}

static void report(struct engine *g, bool now)
{
    double t = clock_s();
    if (!g->o->progress || (!now && t < g->next_progress_s))
        return;
    g->next_progress_s = t + PROGRESS_MS / 1e3;
    g->o->progress(g->o->user);
}

static enum err_code loop(struct engine *g, struct err *e)
{
    report(g, true);
    while (g->done < g->job_count) {
        int running = 0;
        if (g->o->stop && atomic_load(g->o->stop))
            return err_set(e, ERR_CANCELLED, "stopped; the same command continues from here");
        if (curl_multi_perform(g->multi, &running) != CURLM_OK)
            return err_set(e, ERR_INTERNAL, "libcurl's event loop failed");
        enum err_code rc = take_results(g, e);
        rc = rc == ERR_OK ? check_jobs(g, e) : rc;
        count_bytes(g); /* of a failed one too: the report says how far it came */
        TRY(rc);
        TRY(hand_out(g, e)); /* right before the wait, so that no connection idles through it */
        report(g, false);
        if (g->done < g->job_count)
            (void)curl_multi_poll(g->multi, NULL, 0, 100, NULL);
    }
    return ERR_OK;
}

static void wake(void *user)
{
    (void)curl_multi_wakeup(user);
}

static enum err_code engine_init(struct engine *g, struct download_file *files, size_t count,
                                 const struct download_options *o, struct err *e)
{
    *g = (struct engine){.o = o, .hub = o->hub};
    g->multi = curl_multi_init();
    g->jobs = mem_try_array(count, sizeof *g->jobs);
    g->slots = mem_try_array((size_t)o->connections, sizeof *g->slots);
    if (!g->multi || !g->jobs || !g->slots)
        return err_set(e, ERR_NOMEM, "no memory for %zu downloads", count);
    (void)curl_multi_setopt(g->multi, CURLMOPT_MAXCONNECTS, (long)o->connections + 4);
    for (g->job_count = 0; g->job_count < count; g->job_count++) {
        g->jobs[g->job_count].f = &files[g->job_count];
        files[g->job_count].phase = DOWNLOAD_WAITING;
    }
    for (; g->slot_count < (size_t)o->connections; g->slot_count++) {
        g->slots[g->slot_count].easy = curl_easy_init();
        if (!g->slots[g->slot_count].easy)
            return err_set(e, ERR_NOMEM, "no memory for a connection");
    }
    return keeper_new(wake, g->multi, &g->keeper, e);
}

static void engine_deinit(struct engine *g)
{
    for (size_t i = 0; i < g->slot_count; i++) {
        if (g->slots[i].job)
            (void)curl_multi_remove_handle(g->multi, g->slots[i].easy);
        curl_easy_cleanup(g->slots[i].easy);
    }
    keeper_free(g->keeper);
    for (size_t i = 0; i < g->job_count; i++)
        job_close(&g->jobs[i]);
    if (g->multi)
        (void)curl_multi_cleanup(g->multi);
    mem_free(g->jobs);
    mem_free(g->slots);
}

enum err_code download_run(struct download_file *files, size_t count,
                           const struct download_options *o, struct err *e)
{
    struct engine g;
    struct err local = {0};
    struct err *at = e ? e : &local; /* the engine reads its errors back */
    if (count == 0)
        return ERR_OK;
    enum err_code rc;
    TRY_GOTO(engine_init(&g, files, count, o, at), done);
    rc = loop(&g, at);
done:
    report(&g, true);
    engine_deinit(&g);
    return rc;
}
