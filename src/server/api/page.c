#include "server/api/page.h"

#include "base/json_text.h"

enum { PAGE_DEFAULT = 50 };

const struct http_field page_query[] = {PAGE_QUERY(1), {0}};

int64_t page_before(const struct http_request *rq)
{
    return http_query_int(rq, "before", 0);
}

int page_limit(const struct http_request *rq)
{
    return (int)http_query_int(rq, "limit", PAGE_DEFAULT);
}

void page_begin(struct buf *b, const char *name)
{
    json_object(b, NULL);
    json_array(b, name);
}

void page_end(struct buf *b, int64_t next)
{
    json_end_array(b);
    if (next)
        json_put_int(b, "next", next);
    else
        json_put_null(b, "next");
    json_end_object(b);
}
