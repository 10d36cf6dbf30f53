/* display.c - progress on standard error: a block that is redrawn on a terminal, plain lines elsewhere; see
 * display.h.
 *
 * The block is taken off with one escape sequence and written again, so that ordinary lines (a file that is done,
 * a note) can go above it. Speed is that of the last samples, not of the whole download, to follow a line that
 * changes.
 */
#include "fetch/display.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "fetch/paths.h"

enum { MAX_SHOWN = 6, PLAIN_TOTAL_S = 10 };

void display_init(struct display *d, bool quiet)
{
    const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");
    *d = (struct display){.quiet = quiet};
    d->terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    d->colour = d->terminal && !(plain && *plain);
    d->next_total_s = clock_s() + PLAIN_TOTAL_S;
}

void display_clear(struct display *d)
{
    if (d->lines > 0)
        fprintf(stderr, "\033[%dA\r\033[J", d->lines);
    d->lines = 0;
}

static int columns(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 20 ? w.ws_col : 80;
}

/* One line of the block, cut to the terminal's width. */
static void draw(struct display *d, const char *text)
{
    fprintf(stderr, "%.*s\n", columns() - 1, text);
    d->lines++;
}

/* Bytes a second over the samples kept; 0 when it is too early to say. */
static double speed(struct display *d, uint64_t bytes)
{
    double now = clock_s();
    if (d->sample_count == DISPLAY_SAMPLES) {
        memmove(d->samples, d->samples + 1, (DISPLAY_SAMPLES - 1) * sizeof d->samples[0]);
        d->sample_count--;
    }
    d->samples[d->sample_count].s = now;
    d->samples[d->sample_count++].bytes = bytes;
    double seconds = now - d->samples[0].s;
    return seconds < 0.5 || bytes <= d->samples[0].bytes
               ? 0
               : (double)(bytes - d->samples[0].bytes) / seconds;
}

static void time_text(double s, char out[32])
{
    int minutes = s < 1e7 ? (int)s / 60 : 0; /* nobody waits for what takes longer */
    if (s < 60)
        (void)snprintf(out, 32, "%.0f s", s);
    else if (s < 3600)
        (void)snprintf(out, 32, "%d:%02d min", minutes, (int)s % 60);
    else
        (void)snprintf(out, 32, minutes ? "%d h %02d min" : "ages", minutes / 60, minutes % 60);
}

static void total_text(struct display *d, uint64_t there, uint64_t total, char out[200])
{
    char a[32], b[32], c[32], left[32] = "";
    double v = speed(d, there);
    if (v > 0) {
        time_text((double)(total - there) / v, left);
        (void)snprintf(out, 200, "total %s of %s (%.0f %%), %s/s, %s left",
                       path_size_text(there, a), path_size_text(total, b),
                       total ? 100.0 * (double)there / (double)total : 100,
                       path_size_text((uint64_t)v, c), left);
        return;
    }
    (void)snprintf(out, 200, "total %s of %s", path_size_text(there, a), path_size_text(total, b));
}

static void file_done(struct display *d, const struct download_file *f, size_t i)
{
    char a[32];
    if (i >= sizeof d->finished || d->finished[i] || f->phase != DOWNLOAD_DONE)
        return;
    d->finished[i] = true;
    fprintf(stderr, "%sdone%s  %s  %s\n", d->colour ? "\033[32m" : "", d->colour ? "\033[0m" : "",
            f->to, path_size_text(f->at.size, a));
}

static void file_line(struct display *d, const struct download_file *f)
{
    char text[700], a[32], b[32];
    (void)snprintf(text, sizeof text, "%s  %s of %s  %s",
                   f->phase == DOWNLOAD_CHECKING ? "check" : "get  ",
                   path_size_text(f->bytes_there, a), path_size_text(f->at.size, b), f->to);
    draw(d, text);
}

static void update_terminal(struct display *d, const struct download_file *files, size_t count,
                            const char *total)
{
    int shown = 0;
    display_clear(d);
    for (size_t i = 0; i < count; i++)
        file_done(d, &files[i], i);
    for (size_t i = 0; i < count && shown < MAX_SHOWN; i++)
        if (files[i].phase == DOWNLOAD_ACTIVE || files[i].phase == DOWNLOAD_CHECKING) {
            file_line(d, &files[i]);
            shown++;
        }
    draw(d, total);
}

static void update_plain(struct display *d, const struct download_file *files, size_t count,
                         const char *total)
{
    double now = clock_s();
    for (size_t i = 0; i < count && i < sizeof d->announced; i++) {
        char a[32];
        if (files[i].phase != DOWNLOAD_WAITING && !d->announced[i]) {
            d->announced[i] = true;
            fprintf(stderr, "get   %s  %s\n", files[i].to, path_size_text(files[i].at.size, a));
        }
        file_done(d, &files[i], i);
    }
    if (now < d->next_total_s)
        return;
    d->next_total_s = now + PLAIN_TOTAL_S;
    fprintf(stderr, "%s\n", total);
}

void display_update(struct display *d, const struct download_file *files, size_t count,
                    uint64_t total_bytes, uint64_t before_bytes)
{
    char total[200];
    uint64_t there = before_bytes;
    if (d->quiet)
        return;
    for (size_t i = 0; i < count; i++) {
        there += files[i].bytes_there;
        /* A set with an index comes in two rounds, and the second begins anew. */
        if (i < sizeof d->finished && files[i].phase == DOWNLOAD_WAITING)
            d->announced[i] = d->finished[i] = false;
    }
    total_text(d, there, total_bytes > there ? total_bytes : there, total);
    if (d->terminal)
        update_terminal(d, files, count, total);
    else
        update_plain(d, files, count, total);
    (void)fflush(stderr);
}
