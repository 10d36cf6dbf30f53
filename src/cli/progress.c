#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/json_text.h"
#include "cli/cli.h"
#include "cli/progress_line.h"

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
    char line[PROGRESS_LINE_BYTES];
    /* A signal that came before the run began was too early for the engine to notice. */
    if (p->engine && atomic_load(cli_stop_flag()))
        vt_engine_cancel(p->engine);
    if (p->quiet)
        return;
    if (v->image != p->last_image)
        p->told = 0;
    p->last_image = v->image;
    if (!p->terminal && !is_worth_a_line(p, v))
        return;
    progress_line(v, p->terminal, p->terminal ? terminal_width() - 1 : PROGRESS_LINE_BYTES, line);
    fprintf(stderr, p->terminal ? "\r\033[K%s" : "%s\n", line);
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

struct vt_callbacks cli_progress_callbacks(struct cli_progress *p)
{
    return (struct vt_callbacks){.progress = on_progress, .note = on_note, .user = p};
}
