/* result_out.c - writes the images of a run as they are done, and tells about them; and prints plans.
 *
 * A failure to write is kept and cancels the run: images that were written stay. Lines for people go out at once,
 * JSON is one document and waits for the last image.
 */
#include "cli/result_out.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "cli/cli.h"
#include "cli/item.h"
#include "pipeline/recipe.h"
#include "pipeline/result_json.h"

enum { IMAGE_MAX_BYTES = 512 << 20, JSON_MAX_BYTES = 64 << 20 };

void result_out_init(struct result_out *o)
{
    memset(o, 0, sizeof *o);
    o->to.count = 1;
    buf_init(&o->images, JSON_MAX_BYTES);
}

void result_out_deinit(struct result_out *o)
{
    buf_deinit(&o->images);
}

static void json_image(struct result_out *o, const struct vt_result *res, int i, const char *path,
                       bool replaced)
{
    struct vt_image im = vt_result_image(res, i);
    struct buf *b = &o->images;
    json_object(b, NULL);
    json_put_z(b, "path", path);
    json_put_int(b, "seed", vt_result_seed(res, i));
    json_put_int(b, "width", im.width);
    json_put_int(b, "height", im.height);
    if (replaced)
        json_put_bool(b, "replaced", true);
    json_end_object(b);
}

static void tell(struct result_out *o, const struct vt_result *res, int i, const char *path,
                 bool replaced)
{
    struct vt_image im = vt_result_image(res, i);
    double seconds = (double)(clock_ns() - o->since_ns) * 1e-9;
    json_image(o, res, i, path, replaced);
    cli_output_note(&o->to, path, replaced, o->progress);
    if (o->quiet)
        return;
    cli_progress_finish(o->progress);
    if (o->json)
        return;
    fprintf(cli_output_lines(path), "%s  seed %lld  %d x %d  %.2f s\n", cli_output_name(path),
            (long long)vt_result_seed(res, i), im.width, im.height, seconds);
    (void)fflush(stdout);
}

void result_out_take(struct result_out *o, const struct vt_result *res, int i)
{
    char path[CLI_PATH_BYTES];
    bool replaced = false;
    struct buf bytes;
    const struct vt_request *q = vt_result_request(res);
    const struct cli_output_words words = {q->prompt ? q->prompt : "", q->model,
                                           vt_result_seed(res, i)};
    if (o->failed.code != ERR_OK)
        return;
    buf_init(&bytes, IMAGE_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(image_file(res, i, o->format, o->quality, &bytes, &o->failed), done);
    rc = cli_output_write(&o->to, &words, bytes.p, bytes.n, path, &replaced, &o->failed);
done:
    buf_deinit(&bytes);
    if (rc != ERR_OK) {
        vt_engine_cancel(o->engine);
        return;
    }
    o->written++;
    tell(o, res, i, path, replaced);
    o->since_ns = clock_ns();
}

void result_out_finish(const struct result_out *o, const struct vt_result *res, const char *device)
{
    const struct vt_request *q = vt_result_request(res);
    const struct vt_stats *s = vt_result_stats(res);
    struct buf b;
    if (!o->json)
        return;
    buf_init(&b, JSON_MAX_BYTES);
    json_object(&b, NULL);
    cli_item_json(&b, "made");
    json_array(&b, "images");
    json_put_raw(&b, NULL, buf_str(&o->images));
    json_end_array(&b);
    result_json_request(&b, q);
    json_put_z(&b, "device", device);
    result_json_passes(&b, s);
    result_json_seconds(&b, s, NULL);
    result_json_memory(&b, s, NULL);
    result_json_notes(&b, &o->progress->notes);
    json_end_object(&b);
    cli_print_json(&b);
}

int result_out_fail(const struct result_out *o, const struct vt_error *err)
{
    struct vt_error told = *err;
    if (o->failed.code != ERR_OK) {
        told.status = (enum vt_status)o->failed.code;
        (void)snprintf(told.text, sizeof told.text, "%s", o->failed.text);
    }
    if (o->written > 0 && o->to.count > 1) {
        char text[sizeof told.text];
        (void)snprintf(text, sizeof text, "%.380s; %d of %d images are written", told.text,
                       o->written, o->to.count);
        memcpy(told.text, text, sizeof text);
    }
    return cli_fail(&told);
}

/* ---- plans ----------------------------------------------------------------------------------- */

static double mib(uint64_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0);
}

static void print_table(const struct vt_plan *p)
{
    bool several = p->device_count > 1;
    printf("%-14s %-10s %12s %12s %12s %12s%s\n", "component", "precision", "resident MiB",
           "streamed MiB", "compute MiB", "peak MiB", several ? "  device" : "");
    for (int i = 0; i < p->stage_count; i++) {
        const struct vt_plan_stage *s = &p->stages[i];
        printf("%-14s %-10s %12.1f %12.1f %12.1f %12.1f%s%s\n", s->component, s->precision,
               mib(s->resident_bytes), mib(s->streamed_bytes), mib(s->compute_bytes),
               mib(s->peak_bytes), several ? "  " : "", several ? s->device : "");
    }
    printf("%s: peak %.1f MiB of a budget of %.1f MiB", vt_verdict_name(p->verdict),
           mib(p->peak_bytes), mib(p->budget_bytes));
    for (int i = 1; i < p->device_count; i++)
        printf(", on %s %.1f MiB of %.1f MiB", p->devices[i].name, mib(p->devices[i].peak),
               mib(p->devices[i].budget));
    printf(", %.1f MiB of weights to bring\n", mib(p->swap_bytes));
    for (int i = 0; i < p->stage_count; i++) {
        const struct vt_plan_stage *s = &p->stages[i];
        if (s->widened_bytes)
            printf("widened: %s (%s) to %s, +%.1f MiB\n", s->widened_from, s->component,
                   s->widened_to, mib(s->widened_bytes));
    }
    for (int i = 0; i < p->advice_count; i++)
        printf("- %s\n", p->advice[i]);
}

int plan_out_print(const struct vt_plan *p, bool json)
{
    if (json) {
        struct buf b;
        buf_init(&b, 1u << 20);
        result_json_plan(&b, p);
        cli_print_json(&b);
    } else {
        print_table(p);
    }
    return p->verdict == VT_REFUSED ? CLI_FAILED : CLI_OK;
}
