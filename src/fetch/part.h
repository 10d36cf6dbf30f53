/* part.h - a file that is being downloaded: the bytes so far, which blocks are there, and its digest.
 *
 *     NAME.part    the bytes, at their places; as long as the whole file from the start
 *     NAME.state   which blocks of it are there (segments.h)
 *
 * Two threads share a part. The downloading thread writes bytes and reports blocks. The keeper, one thread for
 * all parts, follows with the digest from the first byte on (it reads what was just written from the page
 * cache) and every so often flushes the bytes and then writes the state. What both touch is under the keeper's
 * lock; everything else belongs to the thread that its comment names.
 *
 *     part_open -> part_write, part_block_done ... -> part_state says PART_COMPLETE -> part_publish
 *
 * Whatever kills the process, NAME itself appears only by part_publish's rename of flushed, hashed bytes. */
#ifndef VT_FETCH_PART_H
#define VT_FETCH_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "fetch/git_blob.h"
#include "fetch/segments.h"

struct keeper;
struct part;

/* wake is called from the keeper's thread when a part is complete or failed; it may do no more than wake.
 * Caller: keeper_free. */
ERR_MUST_CHECK enum err_code keeper_new(void (*wake)(void *user), void *user, struct keeper **out,
                                        struct err *e);
/* Saves the state of every part and ends the thread. All parts stay valid. Accepts NULL. */
void keeper_free(struct keeper *k);

struct part_options {
    const char *path;       /* of the .part file */
    const char *state_path; /* of the .state file */
    const char
        *identity; /* what the server says the file is; another one's bytes are thrown away */
    uint64_t size;
};

/* Opens or makes the file, reserves its room, and takes over what is there of the same identity. */
ERR_MUST_CHECK enum err_code part_open(struct keeper *k, const struct part_options *o,
                                       struct part **out, struct err *e);
/* Closes; the files stay. The keeper must be gone or must not know the part any more. Accepts NULL. */
void part_free(struct part *p);

/* The downloading thread's view of the blocks: only it marks them. */
const struct segments *part_segments(const struct part *p);
ERR_MUST_CHECK enum err_code part_write(struct part *p, uint64_t offset, const void *bytes,
                                        size_t n, struct err *e);
void part_block_done(struct part *p, size_t block);
/* Nothing of it counts any more: start over, with another identity if one is given. */
void part_restart(struct part *p, const char *identity);

enum part_state { PART_GROWING, PART_COMPLETE, PART_FAILED };

/* PART_COMPLETE: all bytes are on the disk and the digests are known. PART_FAILED: e says why. */
enum part_state part_state(struct part *p, struct err *e);
/* Only after PART_COMPLETE. Borrowed. */
const char *part_sha256(const struct part *p);
const char *part_git_blob(const struct part *p);

/* Renames a complete part to its final path and removes its state. */
ERR_MUST_CHECK enum err_code part_publish(struct part *p, const char *path, struct err *e);

#endif
