#include "server/routes.h"

#include <stddef.h>

#include "server/compat/a1111.h"

const struct http_route *const routes_all[] = {
    routes_system,         routes_store,          routes_tasks,
    routes_jobs,           routes_queue,          routes_preferences,
    routes_models,         routes_assets,         routes_projects,
    routes_project_layers, routes_project_export, routes_project_images,
    routes_project_open,   routes_openai,         routes_a1111,
    a1111_lists,           routes_pages,          NULL,
};
