/* estimate.c - a straight line through the last finished jobs: seconds = fixed + rate * amount, by least squares, where
 * the amount is steps x pixels x images. A job that had to load its model says how long that took; it is left out of
 * the line, and added where the model is not open. Jobs that were all alike give a rate alone.
 *
 * What a request leaves to the model is taken to be what the newest job had. */
#include "server/jobs/estimate.h"

#include <string.h>

#include "store/assets.h"
#include "store/jobs.h"

enum { JOBS_MAX = 20 };

/* Of layers: the side that the model works at, and how many were asked for. */
struct shape {
    double steps, width, height, count;
};

struct past {
    double amounts[JOBS_MAX], seconds[JOBS_MAX];
    double load_least, load_most;
    struct shape newest;
    int n;
};

static double amount(const struct shape *s)
{
    return s->steps * s->width * s->height * s->count;
}

static double number(yyjson_val *object, const char *key, double fallback)
{
    yyjson_val *v = yyjson_obj_get(object, key);
    return yyjson_is_num(v) ? yyjson_get_num(v) : fallback;
}

/* ---- what was --------------------------------------------------------------------------------------------- */

/* The size is that of the first image: the one that was asked for is open where an edit keeps its image's. */
static struct shape shape_of_result(yyjson_val *result)
{
    yyjson_val *images = yyjson_obj_get(result, "images"), *first = yyjson_arr_get_first(images);
    double side = number(result, "resolution", 0);
    return (struct shape){.steps = number(result, "steps", 0),
                          .width = images ? number(first, "width", 0) : side,
                          .height = images ? number(first, "height", 0) : side,
                          .count = images ? (double)yyjson_arr_size(images)
                                          : number(result, "layers_asked", 0)};
}

static void add_job(struct past *p, yyjson_val *result)
{
    const struct shape shape = shape_of_result(result);
    yyjson_val *seconds = yyjson_obj_get(result, "seconds");
    double load = number(seconds, "load", 0), total = number(seconds, "total", 0);
    if (amount(&shape) <= 0 || total <= 0 || load < 0 || load > total)
        return;
    if (p->n == 0)
        p->newest = shape;
    if (p->n == 0 || load < p->load_least)
        p->load_least = load;
    if (load > p->load_most)
        p->load_most = load;
    p->amounts[p->n] = amount(&shape);
    p->seconds[p->n++] = total - load;
}

static enum err_code read_past(struct store *s, const char *kind, const char *model,
                               struct past *out, struct err *e)
{
    const struct job_filter done = {.states = 1u << JOB_DONE, .kind = kind, .model = model};
    struct job_list l;
    *out = (struct past){0};
    TRY(jobs_list(s, &done, 0, JOBS_MAX, &l, e));
    for (size_t i = 0; i < l.n; i++) {
        yyjson_doc *doc = yyjson_read(l.items[i].result, strlen(l.items[i].result), 0);
        add_job(out, yyjson_doc_get_root(doc));
        yyjson_doc_free(doc);
    }
    job_list_deinit(&l);
    return ERR_OK;
}

/* ---- what will be ------------------------------------------------------------------------------------------ */

/* An edit keeps the size of its first image. */
static void take_size(struct store *s, yyjson_val *request, struct shape *out)
{
    struct asset a;
    const char *id = yyjson_get_str(yyjson_arr_get_first(yyjson_obj_get(request, "images")));
    if (!id || asset_get(s, id, &a, NULL) != ERR_OK)
        return;
    out->width = a.width;
    out->height = a.height;
}

static struct shape shape_of_request(struct store *s, yyjson_val *request, bool layers,
                                     const struct shape *newest)
{
    struct shape shape = *newest;
    shape.steps = number(request, "steps", shape.steps);
    if (layers) {
        shape.width = shape.height = number(request, "resolution", shape.width);
        shape.count = number(request, "layers", shape.count);
        return shape;
    }
    take_size(s, request, &shape);
    shape.width = number(request, "width", shape.width);
    shape.height = number(request, "height", shape.height);
    shape.count = number(request, "count", 1);
    return shape;
}

/* Where the line is at x. */
static double line_at(const struct past *p, double x)
{
    double mean_x = 0, mean_y = 0, xx = 0, xy = 0;
    for (int i = 0; i < p->n; i++) {
        mean_x += p->amounts[i] / p->n;
        mean_y += p->seconds[i] / p->n;
    }
    for (int i = 0; i < p->n; i++) {
        double d = p->amounts[i] - mean_x;
        xx += d * d;
        xy += d * (p->seconds[i] - mean_y);
    }
    double rate = xx > 0 ? xy / xx : 0, fixed = mean_y - rate * mean_x;
    if (rate <= 0 || fixed < 0)
        return mean_y / mean_x * x;
    return fixed + rate * x;
}

/* Weights that do not fit are loaded by every job: then even the least of several is no small time. */
static double load_seconds(const struct past *p, bool is_open)
{
    if (!is_open)
        return p->load_most;
    return p->n > 1 ? p->load_least : 0;
}

enum err_code estimate_seconds(struct store *s, const char *kind, const char *model,
                               yyjson_val *request, bool is_open, double *out, struct err *e)
{
    struct past past;
    *out = -1;
    TRY(read_past(s, kind, model, &past, e));
    if (past.n == 0)
        return ERR_OK;
    const struct shape asked =
        shape_of_request(s, request, strcmp(kind, "layers") == 0, &past.newest);
    *out = line_at(&past, amount(&asked)) + load_seconds(&past, is_open);
    return ERR_OK;
}
