/* openapi.h - the document of the API. */
#ifndef VT_SERVER_API_OPENAPI_H
#define VT_SERVER_API_OPENAPI_H

#include "base/buf.h"

void openapi_write(struct buf *b);

#endif
