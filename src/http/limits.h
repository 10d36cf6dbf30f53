/* limits.h - how many bytes of what HTTP takes and gives, where a route names no other bound. */
#ifndef VT_HTTP_LIMITS_H
#define VT_HTTP_LIMITS_H

enum {
    /* in */
    LIMIT_TARGET = 8 << 10,   /* the path */
    LIMIT_HEADERS = 24 << 10, /* with the request's line */
    LIMIT_JSON_BODY = 1 << 20,
    LIMIT_FILE = 256 << 20, /* a file, uploaded or handed on */
    LIMIT_DRAIN =
        8 << 20, /* read and thrown away after a refusal, so that the client gets to see it */
    LIMIT_UNWANTED_BODY = 64 << 20, /* where none is taken */

    /* out */
    LIMIT_REPLY = 64 << 20,
    /* what waits for one reader of events: past this bound previews are left out, past the hub's it is ended */
    LIMIT_STREAM_SOFT = 1 << 20,
    /* what is kept for readers that come back */
    LIMIT_PAST_EVENTS = 8 << 20,
};

#endif
