/* progress.c - shows a run's progress on standard error.
 *
 * A line on a terminal is redrawn in place and must never be wider than it: what wraps cannot be redrawn, so the bar
 * goes first, and then words from the end. Elsewhere each stage is told once, as logs keep every line. A note ends
 * the line, is printed, and the line is drawn anew below.
 */
#include "cli/progress.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/json_text.h"
#include "cli/cli.h"
#include "cli/item.h"
#include "cli/preview_out.h"

enum { BAR_WIDTH = 24 };

static const char *const stage_names[] = {
    [VT_STAGE_LOAD] = "loading weights",      [VT_STAGE_TEXT] = "encoding the prompt",
    [VT_STAGE_ENCODE] = "encoding images",    [VT_STAGE_STEPS] = "steps",
    [VT_STAGE_DECODE] = "decoding the image",
};

static void seconds_text(double s, char *out, size_t size)
{
    if (s < 60)
        (void)snprintf(out, size, "%.1f s", s);
    else if (s < 3600)
        (void)snprintf(out, size, "%d:%02d min", (int)s / 60, (int)s % 60);
    else
        (void)snprintf(out, size, "%.1f h", s / 3600);
}

static int filled_of(const struct vt_progress *v)
{
    int step = v->step < v->step_count ? v->step : v->step_count;
    return step > 0 ? (int)((int64_t)BAR_WIDTH * step / v->step_count) : 0;
}

/* "12 of 50 steps  1.52 s/step  58.2 s left", behind a bar where there is room for one. */
static void step_text(const struct vt_progress *v, bool bar, char *out, size_t size)
{
    char left[32] = "", bars[BAR_WIDTH + 4] = "", times[96] = "";
    int filled = filled_of(v);
    if (bar) {
        bars[0] = '[';
        memset(bars + 1, '=', (size_t)filled);
        memset(bars + 1 + filled, ' ', (size_t)(BAR_WIDTH - filled));
        bars[BAR_WIDTH + 1] = ']';
        bars[BAR_WIDTH + 2] = ' ';
    }
    if (v->step > 0) {
        seconds_text(v->seconds_left, left, sizeof left);
        (void)snprintf(times, sizeof times, "  %.2f s/step  %s left", v->step_seconds, left);
    }
    (void)snprintf(out, size, "%sstep %d of %d%s", bars, v->step, v->step_count, times);
}

static int percent(const struct vt_progress *v)
{
    return (int)(100 * v->done + 1e-9);
}

static void stage_text(const struct vt_progress *v, bool terminal, bool bar, char *out, size_t size)
{
    if (v->stage == VT_STAGE_STEPS && (terminal || v->step > 0))
        step_text(v, bar, out, size);
    else if (v->stage == VT_STAGE_STEPS)
        (void)snprintf(out, size, "running %d step%s", v->step_count,
                       v->step_count == 1 ? "" : "s");
    else if (v->stage == VT_STAGE_LOAD && v->step_count > 0 && terminal)
        (void)snprintf(out, size, "converting weights: %d %%, %.0f s left", v->step,
                       v->seconds_left > 0 ? v->seconds_left : 0);
    else if (v->stage == VT_STAGE_LOAD && v->step_count > 0)
        (void)snprintf(out, size, "converting weights");
    else if (v->stage == VT_STAGE_TEXT && v->step > 0 && terminal) /* a caption's tokens */
        (void)snprintf(out, size, "%d tokens", v->step);
    else if (v->stage == VT_STAGE_DECODE && v->step_count > 0 && terminal)
        (void)snprintf(out, size, "decoding images: %d of %d, %d %%", v->step, v->step_count,
                       percent(v));
    else if (v->done > 0 && terminal)
        (void)snprintf(out, size, "%s: %d %%", stage_names[v->stage], percent(v));
    else
        (void)snprintf(out, size, "%s", stage_names[v->stage]);
}

void progress_line(const struct vt_progress *v, bool terminal, int width,
                   char out[PROGRESS_LINE_BYTES])
{
    char image[48] = "", text[200];
    if (v->image_count > 1)
        (void)snprintf(image, sizeof image, "image %d of %d: ", v->image + 1, v->image_count);
    stage_text(v, terminal, terminal, text, sizeof text);
    if (terminal && (int)(strlen(image) + strlen(text)) > width)
        stage_text(v, terminal, false, text, sizeof text);
    (void)snprintf(out, PROGRESS_LINE_BYTES, "%s%s", image, text);
    if (width >= 0 && width < PROGRESS_LINE_BYTES)
        out[width] = 0;
}

void cli_progress_init(struct cli_progress *p, bool quiet)
{
    const char *term = getenv("TERM");
    memset(p, 0, sizeof *p);
    p->quiet = quiet;
    p->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    p->image = -1;
    buf_init(&p->notes, 1 << 16);
}

void cli_progress_deinit(struct cli_progress *p)
{
    buf_deinit(&p->notes);
}

void cli_progress_finish(struct cli_progress *p)
{
    if (p->line_open)
        fputc('\n', stderr);
    p->line_open = false;
}

void cli_progress_clear(struct cli_progress *p)
{
    if (p->line_open)
        fprintf(stderr, "\r\033[K");
    p->line_open = false;
}

static int terminal_width(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

/* Converting is another stage than loading. */
static unsigned stage_bit(const struct vt_progress *v)
{
    return v->stage == VT_STAGE_LOAD && v->step_count > 0 ? 1u << 16 : 1u << v->stage;
}

/* Which item of a batch, and how long the others take. */
static int item_text(const struct cli_item *item, char *out, size_t size)
{
    char left[32], times[64] = "";
    if (item->seconds_left >= 0) {
        seconds_text(item->seconds_left, left, sizeof left);
        (void)snprintf(times, sizeof times, ", %s left", left);
    }
    return snprintf(out, size, "%zu of %zu%s", item->n, item->count, times);
}

/* Of a batch each item has one line. */
static void tell_item(struct cli_progress *p, const struct cli_item *item)
{
    char text[96];
    if (p->told)
        return;
    p->told = 1;
    (void)item_text(item, text, sizeof text);
    fprintf(stderr, "run %s\n", text);
}

/* Not every step without a terminal, and no stage twice for an image. */
static bool is_worth_a_line(struct cli_progress *p, const struct vt_progress *v)
{
    if (v->stage == VT_STAGE_STEPS && v->step > 0)
        return p->verbose;
    bool told = (p->told & stage_bit(v)) != 0;
    p->told |= stage_bit(v);
    return !told;
}

static void on_progress(const struct vt_progress *v, void *user)
{
    struct cli_progress *p = user;
    const struct cli_item *item = cli_item_now();
    char line[PROGRESS_LINE_BYTES], which[96] = "";
    /* A signal that came before the run began was too early for the engine to notice. */
    if (p->engine && atomic_load(cli_stop_flag()))
        vt_engine_cancel(p->engine);
    if (v->image != p->image)
        p->told = 0;
    p->image = v->image;
    p->image_count = v->image_count;
    if (p->quiet)
        return;
    if (item && !p->terminal && !p->verbose) {
        tell_item(p, item);
        return;
    }
    if (!p->terminal && !is_worth_a_line(p, v))
        return;
    int width = p->terminal ? terminal_width() - 1 : PROGRESS_LINE_BYTES, used = 0;
    if (item) {
        used = item_text(item, which, sizeof which);
        used += snprintf(which + used, sizeof which - (size_t)used, ": ");
    }
    progress_line(v, p->terminal, width > used ? width - used : 0, line);
    fprintf(stderr, p->terminal ? "\r\033[K%s%s" : "%s%s\n", which, line);
    p->line_open = p->terminal;
    (void)fflush(stderr);
}

void cli_progress_note(struct cli_progress *p, const char *text)
{
    json_put_z(&p->notes, NULL, text);
    if (p->quiet)
        return;
    cli_progress_finish(p);
    cli_say("note: %s", text);
}

static void on_note(const char *text, void *user)
{
    cli_progress_note(user, text);
}

static void on_preview(const struct vt_preview *preview, void *user)
{
    struct cli_progress *p = user;
    preview_out_take(p->previews, preview, p);
}

struct vt_callbacks cli_progress_callbacks(struct cli_progress *p)
{
    return (struct vt_callbacks){.progress = on_progress,
                                 .note = on_note,
                                 .preview = p->previews ? on_preview : NULL,
                                 .user = p};
}
