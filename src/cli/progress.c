#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_text.h"
#include "cli/cli.h"

enum { BAR_WIDTH = 24 };

static const char *const stage_names[] = {
    [VT_STAGE_LOAD] = "loading weights",        [VT_STAGE_TEXT] = "encoding the prompt",
    [VT_STAGE_ENCODE] = "encoding images",      [VT_STAGE_STEPS] = "steps",
    [VT_STAGE_DECODE] = "decoding the picture",
};

void cli_progress_init(struct cli_progress *p, bool quiet)
{
    const char *term = getenv("TERM");
    memset(p, 0, sizeof *p);
    p->quiet = quiet;
    p->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    p->last_image = -1;
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

static void seconds_text(double s, char *out, size_t size)
{
    if (s < 60)
        (void)snprintf(out, size, "%.1f s", s);
    else
        (void)snprintf(out, size, "%d:%02d min", (int)s / 60, (int)s % 60);
}

static void step_text(const struct vt_progress *v, bool bar, char *out, size_t size)
{
    char left[32] = "", bars[BAR_WIDTH + 3] = "", times[96] = "";
    int filled = v->step_count ? BAR_WIDTH * v->step / v->step_count : 0;
    if (bar) {
        bars[0] = '[';
        memset(bars + 1, '=', (size_t)filled);
        memset(bars + 1 + filled, ' ', (size_t)(BAR_WIDTH - filled));
        bars[BAR_WIDTH + 1] = ']';
    }
    if (v->step > 0) {
        seconds_text(v->seconds_left, left, sizeof left);
        (void)snprintf(times, sizeof times, "  %.2f s/step  %s left", v->step_seconds, left);
    }
    (void)snprintf(out, size, "%s%sstep %d of %d%s", bars, bar ? " " : "", v->step, v->step_count,
                   times);
}

static void on_progress(const struct vt_progress *v, void *user)
{
    struct cli_progress *p = user;
    char text[200], image[48] = "";
    /* A signal that came before the run began was too early for the engine to notice. */
    if (p->engine && atomic_load(cli_stop_flag()))
        vt_engine_cancel(p->engine);
    if (p->quiet)
        return;
    bool new_stage = !p->started || v->stage != p->last_stage || v->image != p->last_image;
    p->started = true;
    p->last_stage = v->stage;
    p->last_image = v->image;
    if (v->image_count > 1)
        (void)snprintf(image, sizeof image, "picture %d of %d: ", v->image + 1, v->image_count);
    bool converting = v->stage == VT_STAGE_LOAD && v->step_count > 0;
    if (v->stage == VT_STAGE_STEPS)
        step_text(v, p->terminal, text, sizeof text);
    else if (converting)
        (void)snprintf(text, sizeof text, "converting weights: %d %%, %.0f s left", v->step,
                       v->seconds_left > 0 ? v->seconds_left : 0);
    else if (v->stage == VT_STAGE_TEXT && v->step > 0) /* a caption's tokens */
        (void)snprintf(text, sizeof text, "%d tokens", v->step);
    else
        (void)snprintf(text, sizeof text, "%s", stage_names[v->stage]);
    if (p->terminal) {
        fprintf(stderr, "\r\033[K%s%s", image, text);
        p->line_open = true;
    } else if (v->stage == VT_STAGE_STEPS ? v->step > 0 : new_stage && !converting) {
        fprintf(stderr, "%s%s\n", image, text);
    }
    (void)fflush(stderr);
}

void cli_progress_note(struct cli_progress *p, const char *text)
{
    if (p->notes.n)
        buf_add_byte(&p->notes, ',');
    json_add_z(&p->notes, text);
    if (p->quiet)
        return;
    cli_progress_finish(p);
    cli_say("note: %s", text);
}

static void on_note(const char *text, void *user)
{
    cli_progress_note(user, text);
}

struct vt_callbacks cli_progress_callbacks(struct cli_progress *p)
{
    return (struct vt_callbacks){.progress = on_progress, .note = on_note, .user = p};
}
