/* project_change.h - what the routes of projects share: how a project is changed, answered with, and told of.
 *
 * Without If-Match somebody else's change in between is no conflict: the change is made to what is there then. */
#ifndef VT_SERVER_API_PROJECT_CHANGE_H
#define VT_SERVER_API_PROJECT_CHANGE_H

#include "http/request.h"
#include "store/projects.h"

/* Changes *p by the request; what it answers ends the attempt. It may say that there is nothing to keep. Called again
 * when somebody else was faster. */
typedef enum err_code (*project_change_fn)(struct http_request *rq, struct project *p,
                                           struct project_change *c, struct err *e);

/* label and amend. */
extern const struct http_field project_change_query[];

/* Reads the project of the path, changes, saves, tells, and answers with it. */
ERR_MUST_CHECK enum err_code project_apply(struct http_request *rq, struct http_reply *re,
                                           const char *label, project_change_fn change,
                                           struct err *e);

ERR_MUST_CHECK enum err_code project_answer(const struct project *p, struct http_reply *re,
                                            struct err *e);
/* As the next value of a JSON text. */
ERR_MUST_CHECK enum err_code project_put(const struct project *p, struct buf *b, struct err *e);

/* For work that ends when the client has gone. */
struct project_stop project_stop_of(struct http_request *rq);

/* To who listens to /v1/events. */
void project_tell(struct http_request *rq, const struct project *p, bool deleted);

/* A failure of the store as one of the request: with the field that its text begins with; of a body that is one layer;
 * or with that field, when something that it refers to is not there. */
enum err_code project_blame(struct http_request *rq, enum err_code rc, struct err *e);
enum err_code project_blame_member(struct http_request *rq, enum err_code rc, struct err *e);
enum err_code project_blame_reference(struct http_request *rq, enum err_code rc, const char *field,
                                      struct err *e);

#endif
