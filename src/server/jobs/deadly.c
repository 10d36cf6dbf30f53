#include "server/jobs/deadly.h"

#include <string.h>

static void digest_of(const char *kind, const char *request, unsigned char out[SHA256_BYTES])
{
    struct sha256 h;
    sha256_init(&h);
    sha256_add(&h, kind, strlen(kind) + 1);
    sha256_add(&h, request, strlen(request));
    sha256_end(&h, out);
}

/* DEADLY_KEPT: not known. */
static int find(const struct deadly *d, const unsigned char digest[SHA256_BYTES])
{
    int i = 0;
    while (i < DEADLY_KEPT &&
           (d->of[i].times == 0 || memcmp(d->of[i].digest, digest, SHA256_BYTES) != 0))
        i++;
    return i;
}

void deadly_note(struct deadly *d, const char *kind, const char *request, enum err_code rc)
{
    unsigned char digest[SHA256_BYTES];
    digest_of(kind, request, digest);
    int i = find(d, digest);
    /* A worker that vanished says nothing of what it was asked for. */
    if (!err_is_engine_death(rc) || rc == ERR_ENGINE_LOST_WORKER) {
        if (i < DEADLY_KEPT)
            d->of[i].times = 0;
        return;
    }
    if (i == DEADLY_KEPT) {
        i = d->at;
        d->at = (d->at + 1) % DEADLY_KEPT;
        memcpy(d->of[i].digest, digest, SHA256_BYTES);
        d->of[i].times = 0;
    }
    d->of[i].times++;
    d->of[i].code = rc;
}

enum err_code deadly_check(const struct deadly *d, const char *kind, const char *request,
                           struct err *e)
{
    unsigned char digest[SHA256_BYTES];
    digest_of(kind, request, digest);
    int i = find(d, digest);
    if (i == DEADLY_KEPT || d->of[i].times < DEADLY_TIMES)
        return ERR_OK;
    return err_set(e, d->of[i].code,
                   "this request has ended the engine twice, so it is not tried again until the "
                   "server is started anew; change it, its images or the model");
}
