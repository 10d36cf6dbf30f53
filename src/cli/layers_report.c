/* layers_report.c - what a decomposition came to: lines for people, JSON for programs. */
#include <math.h>
#include <stdio.h>

#include "cli/json_out.h"
#include "cli/plan_out.h"
#include "cli/layers_job.h"

static void psnr_text(const struct image_difference *d, char *out, size_t size)
{
    if (isinf(d->psnr_db))
        (void)snprintf(out, size, "exact");
    else
        (void)snprintf(out, size, "%.2f dB PSNR, worst error %d", d->psnr_db, d->max);
}

void layers_print_list(const struct layer_stack *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct layer *l = &s->layers[i];
        printf("  layer_%zu.png  %d x %d at %d, %d  %s\n", i, l->image.w, l->image.h, l->x, l->y,
               l->name);
    }
}

static void print_dropped(const struct layers_job *j)
{
    if (j->made.dropped)
        printf("  %zu empty layer%s dropped (--keep-empty keeps them)\n", j->made.dropped,
               j->made.dropped == 1 ? "" : "s");
    if (j->made.merged)
        printf("  %zu near-duplicate%s merged\n", j->made.merged, j->made.merged == 1 ? "" : "s");
}

void layers_job_print(const struct layers_job *j)
{
    char source[80], frame[80];
    const struct vt_stats *s = &j->stats;
    const double mb = 1e6;
    psnr_text(&j->made.source, source, sizeof source);
    psnr_text(&j->made.frame, frame, sizeof frame);
    print_dropped(j);
    printf("  recomposed against the source: %s\n"
           "  recomposed against the model's own composite: %s\n",
           source, frame);
    printf("  %s: %s\n", j->captioned ? "caption" : "prompt", buf_z(&j->prompt_text));
    printf("  worked at %d x %d on %s: text %.2f s, encode %.2f s, tables %.2f s, steps %.2f s, "
           "decode %.2f s\n",
           j->w, j->h, j->device_info.name, s->text_seconds, s->encode_seconds, j->table_seconds,
           s->steps_seconds, s->decode_seconds);
    printf("  memory: weights %.1f MB, compute %.1f MB, process %.1f MB\n",
           (double)s->device_weight_bytes / mb, (double)s->compute_bytes / mb,
           (double)s->anonymous_bytes / mb);
    if (j->table_bytes)
        printf("  modulation: tables of %.1f MB in place of %.1f MB of weights\n",
               (double)j->table_bytes / mb, (double)j->table_weight_bytes / mb);
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

void layers_json_list(const struct layer_stack *s, struct buf *b)
{
    char file[32];
    buf_add_byte(b, '[');
    for (size_t i = 0; i < s->n; i++) {
        const struct layer *l = &s->layers[i];
        (void)snprintf(file, sizeof file, "layer_%zu.png", i);
        buf_add_z(b, i ? ",{\"file\":" : "{\"file\":");
        json_out_str(b, file);
        buf_add_z(b, ",\"id\":");
        json_out_str(b, l->id);
        buf_add_z(b, ",\"name\":");
        json_out_str(b, l->name);
        buf_printf(b, ",\"x\":%d,\"y\":%d,\"width\":%d,\"height\":%d}", l->x, l->y, l->image.w,
                   l->image.h);
    }
    buf_add_byte(b, ']');
}

/* An exact match has no finite PSNR: null. */
static void json_difference(struct buf *b, const char *name, const struct image_difference *d)
{
    buf_printf(b, "\"%s\":{\"psnr_db\":", name);
    if (isfinite(d->psnr_db))
        buf_printf(b, "%.4f", d->psnr_db);
    else
        buf_add_z(b, "null");
    buf_printf(b, ",\"worst\":%d,\"mean\":%.5f}", d->max, d->mean);
}

void layers_job_json(const struct layers_job *j, struct buf *b)
{
    const struct vt_stats *s = &j->stats;
    const struct layered_request *q = &j->used;
    char tables[96];
    buf_printf(b, "\"dropped_empty\":%zu,\"merged\":%zu,", j->made.dropped, j->made.merged);
    buf_add_z(b, "\"recomposed\":{");
    json_difference(b, "source", &j->made.source);
    buf_add_byte(b, ',');
    json_difference(b, "model_composite", &j->made.frame);
    buf_add_z(b, "},\"model\":");
    json_out_str(b, j->model_name);
    buf_add_z(b, j->captioned ? ",\"caption\":" : ",\"prompt\":");
    json_out_str(b, buf_z(&j->prompt_text));
    buf_printf(b, ",\"seed\":%llu,\"steps\":%d,\"cfg\":%g,\"resolution\":%d,",
               (unsigned long long)q->seed, q->steps, q->cfg, q->resolution);
    buf_printf(b, "\"working_width\":%d,\"working_height\":%d,\"device\":", j->w, j->h);
    json_out_str(b, j->device_info.name);
    buf_printf(b,
               ",\"seconds\":{\"load\":%.4f,\"text\":%.4f,\"encode\":%.4f,\"tables\":%.4f,"
               "\"steps\":%.4f,\"decode\":%.4f,\"total\":%.4f}",
               s->load_seconds, s->text_seconds, s->encode_seconds, j->table_seconds,
               s->steps_seconds, s->decode_seconds, s->total_seconds);
    (void)snprintf(tables, sizeof tables, ",\"table_bytes\":%zu,\"table_weight_bytes\":%llu",
                   j->table_bytes, (unsigned long long)j->table_weight_bytes);
    plan_out_memory(b, s, tables);
    buf_printf(b, ",\"notes\":[%s]", buf_z(&j->progress.notes));
}
