/* download_job.h - what the parts of the engine share: a job is one file under way, a slot one connection.
 * Private to download*.c; everything belongs to the downloading thread. */
#ifndef VT_FETCH_DOWNLOAD_JOB_H
#define VT_FETCH_DOWNLOAD_JOB_H

#include <curl/curl.h>
#include <stdbool.h>

#include "fetch/download.h"
#include "fetch/part.h"
#include "fetch/words.h"

/* So often hosts may disagree about a file's ETag before ETags are no longer compared. */
enum { MAX_ETAG_CHANGES = 3 };

struct job {
    struct download_file *f;
    struct part *part;     /* NULL until its turn */
    unsigned char *leased; /* one a block */
    uint32_t *filled;      /* bytes at the front of a block that broke off, one a block */
    size_t block_count;
    size_t next_block;         /* no free block before it */
    char etag[HUB_ETAG_BYTES]; /* of the segments so far; "" before the first */
    int etag_changes, hops, mismatches, restarts;
    bool no_ranges; /* the server gives the whole file or nothing */
    struct retry retry;
    double failed_s, not_before_s;
    uint64_t bytes; /* there, with those of unfinished blocks */
};

/* Why a segment ended other than with its last byte. */
enum verdict {
    VERDICT_NONE,
    VERDICT_STATUS,    /* an answer that is not a part of the file */
    VERDICT_NO_RANGES, /* the whole file instead of the part asked for */
    VERDICT_CHANGED,   /* not the file that it was */
    VERDICT_TOO_LONG,  /* more bytes than asked for */
    VERDICT_DISK,      /* they cannot be written */
};

struct slot {
    CURL *easy;
    struct job *job; /* NULL: free */
    uint64_t from, at, to;
    uint64_t counted; /* of what came, in the engine's count of bytes */
    double begun_s;
    bool judged, whole;
    enum verdict verdict;
    char etag[HUB_ETAG_BYTES];
    char detail[CURL_ERROR_SIZE];
    struct err err;
};

/* ---- leases (download_slot.c) ----------------------------------------------------------------------------- */

/* The next bytes of the job that nobody fetches: [*from, *to). False when there are none. most: of a lease. */
bool lease_take(struct job *j, uint64_t most, uint64_t *from, uint64_t *to);
/* Bytes up to `at` of a lease were written; blocks that are full now are reported. */
void lease_advance(struct job *j, uint64_t from, uint64_t at);
/* A lease ends at `at`; the rest is free again. */
void lease_end(struct job *j, uint64_t from, uint64_t at, uint64_t to);
/* Nothing is there and nothing is leased. */
void lease_reset(struct job *j);
/* Makes the tables for a part that was opened. */
ERR_MUST_CHECK enum err_code lease_begin(struct job *j, struct err *e);

/* ---- one segment (download_slot.c) ------------------------------------------------------------------------- */

/* Sets the connection up for [from, to) of the job. */
ERR_MUST_CHECK enum err_code slot_begin(struct slot *s, struct hub *hub, struct job *j,
                                        uint64_t from, uint64_t to, struct err *e);

#endif
