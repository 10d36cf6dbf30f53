/* display.h - how a download looks: on a terminal a line a file under way and a total with speed and time left,
 * redrawn in place; elsewhere a plain line a file and now and then a total. All on standard error. */
#ifndef VT_FETCH_DISPLAY_H
#define VT_FETCH_DISPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fetch/download.h"

enum { DISPLAY_SAMPLES = 32 };

struct display {
    bool quiet, terminal, colour;
    int lines; /* of the block that is on the screen now */
    struct {
        double s;
        uint64_t bytes;
    } samples[DISPLAY_SAMPLES]; /* for the speed of the last seconds */
    size_t sample_count;
    double next_total_s;
    bool announced[1024], finished[1024];
};

void display_init(struct display *d, bool quiet);
/* total_bytes, before: of the whole set, and what of it was there already without these files. */
void display_update(struct display *d, const struct download_file *files, size_t count,
                    uint64_t total_bytes, uint64_t before_bytes);
/* Takes the block off the screen, so that an ordinary line can be written. */
void display_clear(struct display *d);

#endif
