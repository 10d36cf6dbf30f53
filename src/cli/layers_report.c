/* layers_report.c - what a decomposition came to: lines for people, JSON for programs.
 *
 * Both tell the same: the layers from the bottom, what was dropped, and how far the flattened layers are from the
 * image. Notes on a stack that was read go to standard error, where they do not disturb either.
 */
#include <math.h>
#include <stdio.h>

#include "base/json_text.h"
#include "cli/layers_job.h"
#include "pipeline/result_json.h"

static void psnr_text(const struct vt_difference *d, char *out, size_t size)
{
    if (isinf(d->psnr_db))
        (void)snprintf(out, size, "exact");
    else
        (void)snprintf(out, size, "%.2f dB PSNR, worst error %d", d->psnr_db, d->worst);
}

void layers_print_list(const struct layer_stack *s, FILE *to)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct layer *l = &s->layers[i];
        fprintf(to, "  layer_%zu.png  %d x %d at %d, %d  %s\n", i, l->image.w, l->image.h, l->x,
                l->y, l->name);
    }
}

static void print_dropped(const struct vt_layers_report *r, FILE *to)
{
    if (r->layers_dropped)
        fprintf(to, "  %d empty layer%s dropped (--keep-empty keeps them)\n", r->layers_dropped,
                r->layers_dropped == 1 ? "" : "s");
    if (r->layers_merged)
        fprintf(to, "  %d near-duplicate%s merged\n", r->layers_merged,
                r->layers_merged == 1 ? "" : "s");
}

void layers_job_print(const struct layers_job *j, FILE *to)
{
    char source[80], composite[80];
    const struct vt_layers_report *r = vt_layers_report(j->made);
    const struct vt_stats *s = vt_layers_stats(j->made);
    const double mb = 1e6;
    psnr_text(&r->source, source, sizeof source);
    psnr_text(&r->composite, composite, sizeof composite);
    print_dropped(r, to);
    fprintf(to,
            "  recomposed against the source: %s\n"
            "  recomposed against the model's own composite: %s\n",
            source, composite);
    for (size_t i = 0; i < j->n_doubts; i++)
        fprintf(to, "  doubtful: %s\n", j->doubts[i].text);
    fprintf(to, "  %s: %s\n", r->captioned ? "caption" : "prompt", r->prompt);
    fprintf(to,
            "  worked at %d x %d on %s: text %.2f s, encode %.2f s, tables %.2f s, steps %.2f s, "
            "decode %.2f s\n",
            r->working_width, r->working_height, j->device, s->text_seconds, s->encode_seconds,
            r->table_seconds, s->steps_seconds, s->decode_seconds);
    if (s->passes_left_out)
        fprintf(to, "  passes: %d of %d left out\n", s->passes_left_out, s->passes);
    fprintf(to, "  memory: weights %.1f MB, compute %.1f MB, process %.1f MB\n",
            (double)s->device_weight_bytes / mb, (double)s->compute_bytes / mb,
            (double)s->anonymous_bytes / mb);
    if (r->table_bytes)
        fprintf(to, "  modulation: tables of %.1f MB in place of %.1f MB of weights\n",
                (double)r->table_bytes / mb, (double)r->table_weight_bytes / mb);
}

/* ---- JSON --------------------------------------------------------------------------------------------- */

void layers_json_stack(const struct layers_out *out, const struct layer_stack *s, struct buf *b)
{
    char file[32];
    json_put_z(b, "path", out->path);
    if (out->replaced)
        json_put_bool(b, "replaced", true);
    json_put_int(b, "width", s->w);
    json_put_int(b, "height", s->h);
    json_array(b, "layers");
    for (size_t i = 0; i < s->n; i++) {
        const struct layer *l = &s->layers[i];
        (void)snprintf(file, sizeof file, "layer_%zu.png", i);
        json_object(b, NULL);
        json_put_z(b, "file", file);
        json_put_z(b, "id", l->id);
        json_put_z(b, "name", l->name);
        result_json_place(b, l->x, l->y, l->image.w, l->image.h);
        json_end_object(b);
    }
    json_end_array(b);
}

void layers_job_json(const struct layers_job *j, struct buf *b)
{
    const struct vt_layers_report *r = vt_layers_report(j->made);
    const struct vt_stats *s = vt_layers_stats(j->made);
    result_json_layers(b, r);
    json_put_z(b, "device", j->device);
    result_json_passes(b, s);
    result_json_seconds(b, s, r);
    result_json_memory(b, s, r);
    result_json_notes(b, &j->progress.notes);
    result_json_doubts(b, j->doubts, j->n_doubts);
}

void layers_tell_notes(const struct layer_stack *s, struct cli_progress *p)
{
    char line[640];
    for (const char *at = buf_z(&s->notes); *at;) {
        size_t n = strcspn(at, "\n");
        (void)snprintf(line, sizeof line, "%.*s", (int)n, at);
        cli_progress_note(p, line);
        at += n + (at[n] == '\n');
    }
}

void layers_json_merged(const struct layer_stack *s, struct buf *b)
{
    const struct layers_merged *m = &s->merged;
    if (!m->known)
        return;
    json_object(b, "merged");
    json_put_bool(b, "equal", !isfinite(m->psnr_db));
    json_put_fixed(b, "psnr_db", m->psnr_db, 2);
    if (isfinite(m->psnr_db)) {
        json_object(b, "worst");
        result_json_place(b, m->worst.x, m->worst.y, m->worst.w, m->worst.h);
        json_put_fixed(b, "psnr_db", m->worst_psnr_db, 2);
        json_end_object(b);
    }
    json_end_object(b);
}
