/* schemas.h - shapes that have a name in the document of the API: what jobs are asked for, what they give, and the
 * data of events. */
#ifndef VT_SERVER_API_SCHEMAS_H
#define VT_SERVER_API_SCHEMAS_H

#include "http/request.h"

struct schema_name {
    const char *name;
    const struct http_field *fields;
};

/* Ends with a NULL name. */
extern const struct schema_name schema_names[];

/* "queued JobQueued", ...: the events of a job, and those of /v1/events and /v1/telemetry/events. */
extern const char *const schema_job_events[], *const schema_all_events[],
                                                  *const schema_telemetry_events[];

/* NULL: the shape has none. */
const char *schema_name_of(const struct http_field *fields);

#endif
