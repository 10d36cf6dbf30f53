/* routes.h - every table of routes. The order is that of the document; a path is found in any order. */
#ifndef VT_SERVER_ROUTES_H
#define VT_SERVER_ROUTES_H

#include "http/request.h"

extern const struct http_route routes_system[], routes_tasks[], routes_jobs[], routes_models[],
    routes_queue[], routes_preferences[], routes_assets[], routes_projects[],
    routes_project_layers[], routes_project_export[], routes_project_images[],
    routes_project_open[], routes_openai[], routes_a1111[], routes_pages[], routes_store[];

/* Shapes that several of them give, by name in the document (schemas.h). */
extern const struct http_field telemetry_fields[], project_fields[], project_opened_fields[],
    layer_fields[], asset_fields[], model_fields[], queue_fields[], plan_fields[];

/* routes_models.c: a model is opened or closed, for the faces, too. As handlers, but for the body; re->status becomes
 * 200, or 202 while a job runs, after which it is done. */
ERR_MUST_CHECK enum err_code route_load_model(struct http_request *rq, struct http_reply *re,
                                              const char *name, unsigned tasks, struct err *e);
ERR_MUST_CHECK enum err_code route_unload_model(struct http_request *rq, struct http_reply *re,
                                                struct err *e);

/* All of them; ends with NULL. */
extern const struct http_route *const routes_all[];

#endif
