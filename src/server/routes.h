/* routes.h - every table of routes. The order is that of the document; a path is found in any order. */
#ifndef VT_SERVER_ROUTES_H
#define VT_SERVER_ROUTES_H

#include "server/http.h"

extern const struct http_route routes_system[], routes_tasks[], routes_jobs[], routes_models[],
    routes_assets[], routes_projects[], routes_openai[], routes_a1111[], routes_pages[],
    routes_store[];

/* Shapes that several of them give, by name in the document (schemas.h). */
extern const struct http_field telemetry_fields[], project_fields[], layer_fields[], asset_fields[],
    model_fields[];

/* All of them; ends with NULL. */
extern const struct http_route *const routes_all[];

#endif
