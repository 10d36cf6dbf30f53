/* job_json.h - a job as clients see it, and putting one in line for whichever face was asked. */
#ifndef VT_SERVER_API_JOB_JSON_H
#define VT_SERVER_API_JOB_JSON_H

#include "server/jobs/queue.h"

extern const struct http_field lora_fields[], job_fields[], fields_generate[], fields_edit[],
    fields_layers[], fields_caption[];

/* The record, and how far it is when it waits or runs. */
void job_json(struct queue *q, const struct job_record *rec, struct buf *b);

/* What a job is for; NULL: nothing. */
struct job_purpose {
    const char *project, *layer;
};

/* Checks what the tables cannot say, names the model, stores and queues it. kind: "generate", "edit", "layers",
 * "caption"; body: an object of that kind's fields; purpose: NULL for none. */
ERR_MUST_CHECK enum err_code job_submit(struct http_request *rq, const char *kind, yyjson_val *body,
                                        const struct job_purpose *purpose, struct job_record *out,
                                        struct err *e);
/* The request as it is kept: with its model. */
ERR_MUST_CHECK enum err_code job_request_with_model(yyjson_val *body, const char *model,
                                                    struct buf *out, struct err *e);
/* For a handler that waits: puts the request to sleep (*later: return at once, the handler is called again), or
 * gives the record of the job that has ended. A job that failed is an error with its own status. */
ERR_MUST_CHECK enum err_code job_wait(struct http_request *rq, const char *id, bool *later,
                                      struct job_record *out, struct err *e);
/* The same; the record of a job that ended without success is given, too. */
ERR_MUST_CHECK enum err_code job_wait_end(struct http_request *rq, const char *id, bool *later,
                                          struct job_record *out, struct err *e);
/* That end as the request's error. */
ERR_MUST_CHECK enum err_code job_failure(struct http_request *rq, const struct job_record *rec,
                                         struct err *e);
/* The stream is all that the job that this request began was asked for: its client's leaving cancels it. */
void job_follow(struct http_request *rq, const char *id, struct http_stream *stream);

#endif
