#include "cli/result_out.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "cli/cli.h"
#include "pipeline/image_file.h"
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
    json_array(&b, "images");
    json_put_raw(&b, NULL, buf_str(&o->images));
    json_end_array(&b);
    result_json_request(&b, q);
    json_put_z(&b, "device", device);
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
