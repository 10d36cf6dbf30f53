/* page.h - lists that come in pages: what is asked for and what is given is the same for all of them. */
#ifndef VT_SERVER_API_PAGE_H
#define VT_SERVER_API_PAGE_H

#include "http/request.h"

/* Rows of a query; LO: the least that `before` may be. */
#define PAGE_QUERY(LO)                                                                             \
    {.name = "limit",                                                                              \
     .type = HTTP_INT,                                                                             \
     .lo = 1,                                                                                      \
     .hi = 1000,                                                                                   \
     .fallback = "50",                                                                             \
     .help = "how many at most"},                                                                  \
    {                                                                                              \
        .name = "before", .type = HTTP_INT, .lo = LO, .hi = 9e15,                                  \
        .help = "the last answer's next: the page behind it"                                       \
    }

/* The row of what is given that says where the list goes on. */
#define PAGE_NEXT                                                                                  \
    {                                                                                              \
        .name = "next", .type = HTTP_INT, .required = true, .nullable = true,                      \
        .help = "before= for the next page; null at the end"                                       \
    }

/* Of a list that asks for nothing else. */
extern const struct http_field page_query[];

int64_t page_before(const struct http_request *rq);
int page_limit(const struct http_request *rq);

/* {"NAME": [ ... ], "next": 7}; next 0: null. */
void page_begin(struct buf *b, const char *name);
void page_end(struct buf *b, int64_t next);

#endif
