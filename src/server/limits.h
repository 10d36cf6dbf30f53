/* limits.h - how many bytes of what: every bound of the server in one place but those of plain HTTP, so that what one
 * part makes another takes. */
#ifndef VT_SERVER_LIMITS_H
#define VT_SERVER_LIMITS_H

#include "http/limits.h"

enum {
    /* in */
    LIMIT_PROJECT_BODY = 4 << 20, /* a thousand layers */
    LIMIT_PREFERENCES = 64 << 10,
    LIMIT_TASK_BODY = 6 << 20,     /* a prompt of 4 MiB, with escapes */
    LIMIT_IMAGES_BODY = 128 << 20, /* images in base64 within JSON */
    LIMIT_DOCUMENT = 1 << 30,      /* a file with layers */

    /* jobs */
    LIMIT_REQUEST =
        32 << 20, /* as it is kept: defaults and the model's name beside what was sent */
    LIMIT_RESULT = 16 << 20,
    LIMIT_NOTES = 1 << 16,
    LIMIT_PREVIEW = 1 << 20,
    LIMIT_JOB_PNG = 512 << 20, /* a result of 100 million pixels that cannot be packed */

    /* out */
    LIMIT_IMAGES_REPLY = 1 << 30, /* images in base64 within JSON */
    LIMIT_INFOTEXTS = 16 << 20,   /* what an answer says of how its images were made */
    LIMIT_SMALL_EVENT = 1 << 16,
    LIMIT_QUEUE_EVENT = 4 << 20, /* the ids of the 100,000 jobs that may wait */
    LIMIT_TELEMETRY = 1 << 20,
    LIMIT_PREVIEW_EVENT = 2 * LIMIT_PREVIEW,
    LIMIT_JOB_EVENT = LIMIT_RESULT + (1 << 20), /* a result, and what stands around it */
    LIMIT_IMAGE_EVENT = LIMIT_FILE / 3 * 4 + (1 << 20),

    LIMIT_STREAM = LIMIT_IMAGE_EVENT + LIMIT_JOB_EVENT, /* what waits for one reader of events */
};

_Static_assert(LIMIT_TASK_BODY < LIMIT_REQUEST, "what is taken is kept");
_Static_assert((long long)LIMIT_STREAM > LIMIT_IMAGE_EVENT, "what is made is sent");

#endif
