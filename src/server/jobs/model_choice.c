#include "server/jobs/model_choice.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "library/models.h"

static unsigned tasks_of(const char *pipeline)
{
    return strcmp(pipeline, "layered") == 0 ? MODEL_TASK_LAYERS : MODEL_TASK_IMAGES;
}

/* ---- those of the store -------------------------------------------------------------------------------- */

static bool each_stored(bool (*visit)(const struct model_seen *m, void *user), void *user)
{
    struct models *m = NULL;
    struct err e = {0};
    bool go_on = true;
    if (models_load(NULL, &m, &e) != ERR_OK)
        err_clear(&e);
    for (size_t i = 0; m && go_on && i < m->n_models; i++) {
        const struct models_model *model = &m->models[i];
        struct model_seen seen = {
            .name = model->name,
            .tasks = tasks_of(model->pipeline),
            .state = models_state_name(models_model_state(m, model, NULL)),
            .bytes = models_model_bytes(m, model),
        };
        go_on = visit(&seen, user);
    }
    models_free(m);
    return go_on;
}

/* ---- embedded ones ------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned tasks;
} embedded[] = {
    {"micro-klein", MODEL_TASK_IMAGES},
    {"micro-layered", MODEL_TASK_LAYERS},
};

static bool is_there(const char *name)
{
    struct model_dir *dir = mem_alloc(sizeof *dir);
    struct err e = {0};
    bool there = model_dir_open(name, dir, &e) == ERR_OK;
    err_clear(&e);
    mem_free(dir);
    return there;
}

void model_each(bool (*visit)(const struct model_seen *m, void *user), void *user)
{
    bool go_on = each_stored(visit, user);
    for (size_t i = 0; go_on && i < sizeof embedded / sizeof embedded[0]; i++) {
        struct model_seen seen = {.name = embedded[i].name,
                                  .tasks = embedded[i].tasks,
                                  .state = "ready",
                                  .embedded = true};
        if (is_there(seen.name))
            go_on = visit(&seen, user);
    }
}

/* ---- choosing ------------------------------------------------------------------------------------------ */

struct choice {
    const char *wanted; /* NULL: any */
    unsigned tasks;
    bool found, is_embedded;
    unsigned found_tasks;
    char name[MODEL_NAME_BYTES];
};

static bool consider(const struct model_seen *m, void *user)
{
    struct choice *c = user;
    bool hit = c->wanted ? strcmp(c->wanted, m->name) == 0
                         : (m->tasks & c->tasks) && strcmp(m->state, "ready") == 0;
    if (!hit)
        return true;
    c->found = true;
    c->is_embedded = m->embedded;
    c->found_tasks = m->tasks;
    (void)snprintf(c->name, sizeof c->name, "%s", m->name);
    return false;
}

enum err_code model_choose(const char *name, unsigned tasks, char name_out[MODEL_NAME_BYTES],
                           char path[MODEL_PATH_BYTES], struct err *e)
{
    struct choice c = {.wanted = name && *name ? name : NULL, .tasks = tasks};
    char resolved[MODEL_PATH_BYTES];
    model_each(consider, &c);
    if (!c.found)
        return c.wanted ? err_set(e, ERR_NOTFOUND,
                                  "there is no model '%.100s'; GET /v1/models lists them", name)
                        : err_set(e, ERR_NOTFOUND, "no model is there that can do this");
    if (!(c.found_tasks & tasks))
        return err_set(e, ERR_ARG, "the model '%.100s' %s", c.name,
                       tasks & MODEL_TASK_LAYERS ? "cannot take images apart"
                                                 : "cannot make images");
    if (c.is_embedded)
        (void)snprintf(resolved, sizeof resolved, "%s", c.name);
    else
        TRY(models_resolve(c.name, resolved, e));
    if (name_out)
        (void)snprintf(name_out, MODEL_NAME_BYTES, "%s", c.name);
    if (path)
        (void)snprintf(path, MODEL_PATH_BYTES, "%s", resolved);
    return ERR_OK;
}
