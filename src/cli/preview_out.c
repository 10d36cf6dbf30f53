/* preview_out.c - where previews go. On a terminal each takes the place of the last: room of so many rows is made below
 * the cursor once a result (what is said of it when it is done stands below), and later ones go back up to it. */
#include "cli/preview_out.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file_out.h"
#include "cli/cli.h"
#include "cli/terminal_image.h"
#include "image/resize.h"
#include "image/save.h"
#include "pipeline/lend.h"

enum {
    PREVIEW_MAX_BYTES = 64 << 20,
    TERMINAL_SIDE = 256, /* pixels that a preview is brought to: it has an eighth of the image's */
    CELL_HEIGHT = 20,    /* of a terminal that does not say */
};

static bool is_kitty(const struct preview_out *p)
{
    return p->to && strcmp(p->to, "kitty") == 0;
}

static bool is_terminal(const struct preview_out *p)
{
    return is_kitty(p) || (p->to && strcmp(p->to, "sixel") == 0);
}

bool preview_out_wanted(const struct preview_out *p)
{
    return p->to || p->save_steps;
}

int preview_out_check(struct preview_out *p, const struct cli_command *c)
{
    struct err e = {0};
    if (p->save_steps && p->result->named && cli_output_is_stream(p->result->named))
        return cli_usage_error(c, "--save-steps needs a result with a name, not -o %s",
                               p->result->named);
    if (!p->to)
        return CLI_OK;
    if (is_terminal(p))
        return isatty(STDERR_FILENO)
                   ? CLI_OK
                   : cli_usage_error(c,
                                     "--preview %s draws on the terminal, and standard error is "
                                     "none; name a file instead",
                                     p->to);
    enum err_code rc;
    TRY_GOTO(cli_output_check_file("--preview", p->to, &e), done);
    rc = image_save_format(p->to, &p->format, &e);
done:
    return rc == ERR_OK ? CLI_OK : cli_fail_err(&e);
}

/* ---- files -------------------------------------------------------------------------------------------- */

static enum err_code write_file(const struct preview_out *p, const struct image *im, struct err *e)
{
    const struct image_save s = {.format = p->format};
    return image_save_file(p->to, im, &s, e);
}

/* A result with alpha is made of several images (--transparent). */
static int parts_of_result(const struct preview_out *p, const struct cli_progress *progress)
{
    const int count = p->result->count;
    return progress->image_count > count ? progress->image_count / count : 1;
}

/* Steps of parts behind the first say of which. */
static enum err_code write_step(const struct preview_out *p, const struct image *im, int step,
                                const struct cli_progress *progress, struct err *e)
{
    const int parts = parts_of_result(p, progress);
    const int part = progress->image % parts;
    const struct image_save png = {.format = IMAGE_FORMAT_PNG};
    struct cli_output_words words = p->words;
    struct cli_output to = {.force = p->result->force, .number_on = true, .count = 1};
    char path[CLI_PATH_BYTES], number[48];
    bool replaced;
    struct buf bytes;
    words.seed += progress->image / parts;
    TRY(output_name_first(p->result, &words, path, e));
    if (part == 0)
        (void)snprintf(number, sizeof number, "step-%d", step);
    else
        (void)snprintf(number, sizeof number, "part-%d-step-%d", part + 1, step);
    output_name_beside(path, p->result_is_folder, number);
    to.named = path;
    buf_init(&bytes, PREVIEW_MAX_BYTES);
    enum err_code rc = image_save(im, &png, &bytes, e);
    if (rc == ERR_OK) {
        char placed[CLI_PATH_BYTES];
        rc = cli_output_write(&to, &words, bytes.p, bytes.n, placed, &replaced, e);
    }
    buf_deinit(&bytes);
    return rc;
}

/* ---- the terminal -------------------------------------------------------------------------------------- */

static int cell_height(void)
{
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) != 0 || !w.ws_row || w.ws_ypixel < w.ws_row)
        return CELL_HEIGHT;
    return w.ws_ypixel / w.ws_row;
}

static void to_its_place(struct preview_out *p, int rows, int result)
{
    bool stays = p->rows && p->drawn == result;
    p->drawn = result;
    if (stays) {
        fprintf(stderr, "\r\033[%dA", p->rows);
        return;
    }
    p->rows = rows;
    for (int i = 0; i < rows; i++)
        fputc('\n', stderr);
    fprintf(stderr, "\033[%dA", rows);
}

static enum err_code draw(struct preview_out *p, const struct image *im, int result, struct err *e)
{
    struct image large = {0};
    struct buf bytes;
    int longest = im->w > im->h ? im->w : im->h;
    int scale = TERMINAL_SIDE / longest > 1 ? TERMINAL_SIDE / longest : 1;
    int cell = cell_height();
    TRY(image_resize(im, im->w * scale, im->h * scale, IMAGE_BICUBIC, &large, e));
    buf_init(&bytes, PREVIEW_MAX_BYTES);
    if (is_kitty(p))
        terminal_kitty(&large, &bytes);
    else
        terminal_sixel(&large, &bytes);
    if (!buf_failed(&bytes)) {
        to_its_place(p, (large.h + cell - 1) / cell, result);
        (void)fwrite(bytes.p, 1, bytes.n, stderr);
        fprintf(stderr, "\r\033[%dB", p->rows);
        (void)fflush(stderr);
    }
    enum err_code rc = buf_failed(&bytes)
                           ? err_set(e, ERR_LIMIT, "a preview is too large for a terminal")
                           : ERR_OK;
    buf_deinit(&bytes);
    image_free(&large);
    return rc;
}

/* -------------------------------------------------------------------------------------------------------- */

void preview_out_take(struct preview_out *p, const struct vt_preview *v,
                      struct cli_progress *progress)
{
    const struct image im = borrow_image(&v->image);
    struct err e = {0};
    char note[sizeof e.text + 64];
    enum err_code rc = ERR_OK;
    if (p->is_lost)
        return;
    if (is_terminal(p)) {
        cli_progress_clear(progress);
        rc = draw(p, &im, progress->image / parts_of_result(p, progress), &e);
    } else if (p->to) {
        rc = write_file(p, &im, &e);
    }
    if (rc == ERR_OK && p->save_steps)
        rc = write_step(p, &im, v->step, progress, &e);
    if (rc == ERR_OK)
        return;
    p->is_lost = true;
    (void)snprintf(note, sizeof note, "no more previews are kept: %s", e.text);
    cli_progress_note(progress, note);
}
