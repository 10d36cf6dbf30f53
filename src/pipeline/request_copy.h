/* request_copy.h - requests that outlive their caller's strings and pixels. */
#ifndef VT_PIPELINE_REQUEST_COPY_H
#define VT_PIPELINE_REQUEST_COPY_H

#include "base/arena.h"
#include "base/err.h"
#include "veetance.h"

/* Each replaces all that a request points to by copies that live in the arena. Its images were checked. On failure
 * (ERR_NOMEM) the request is not to be used. */
ERR_MUST_CHECK enum err_code request_copy(struct vt_request *rq, struct arena *a, struct err *e);
ERR_MUST_CHECK enum err_code request_copy_layers(struct vt_layers_request *rq, struct arena *a,
                                                 struct err *e);
ERR_MUST_CHECK enum err_code request_copy_caption(struct vt_caption_request *rq, struct arena *a,
                                                  struct err *e);

#endif
