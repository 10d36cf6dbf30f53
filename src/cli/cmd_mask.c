/* cmd_mask.c - `veetance mask`: a mask out of an image or of another mask, for `edit --mask`.
 *
 * What is painted is chosen once (as every mask is read, or by alpha, colour or lightness), then shaped in the order
 * that an edit keeps, too: turned round, grown, faded. No model is involved.
 */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "cli/cli.h"
#include "cli/image_in.h"
#include "cli/output.h"
#include "cli/settings.h"
#include "image/composite.h"
#include "image/mask.h"
#include "image/save.h"
#include "pipeline/result_json.h"

enum {
    MASK_OUTPUT = 1,
    MASK_OF_ALPHA,
    MASK_OF_COLOUR,
    MASK_TOLERANCE,
    MASK_THRESHOLD,
    MASK_INVERT,
    MASK_GROW,
    MASK_FEATHER,
    MASK_FORCE,
    MASK_JSON,
    MASK_QUIET
};
enum { FILE_MAX_BYTES = 512 << 20, GROW_MOST = 1024, FEATHER_MOST = 512 };

static const struct cli_option options[] = {
    {MASK_OUTPUT, 'o', "output", "FILE|DIR/",
     "mask to write, .png, .jpg or .webp; - is standard output (default, and in a folder, "
     "mask.png, "
     "numbered on)"},
    {MASK_OF_ALPHA, 0, "alpha", NULL, "paint where the image is transparent"},
    {MASK_OF_COLOUR, 0, "colour", "COLOUR",
     "paint where the image has this colour (white, black, grey, #rrggbb)"},
    {MASK_TOLERANCE, 0, "tolerance", "0..255",
     "how far each of red, green and blue may be off that colour (default 32)"},
    {MASK_THRESHOLD, 0, "threshold", "0..255", "paint where the image is this light or lighter"},
    {MASK_INVERT, 0, "invert", NULL, "paint what would be kept, keep what would be painted"},
    {MASK_GROW, 0, "grow", "PX", "then grow it by so many pixels; negative shrinks it"},
    {MASK_FEATHER, 0, "feather", "PX", "then fade its edge over so many pixels at both sides"},
    {MASK_FORCE, 'f', "force", NULL, "replace a file that is there"},
    {MASK_JSON, 0, "json", NULL, "print the result as JSON on standard output"},
    {MASK_QUIET, 'q', "quiet", NULL, "say nothing but errors"},
    {0},
};

struct mask {
    struct cli_output to;
    enum image_format format; /* by the ending of the mask */
    const char *path;
    const char *source; /* the option that chose what is painted; NULL: the image is a mask */
    unsigned char colour[3];
    int tolerance, threshold, grow, feather; /* tolerance: negative when not given */
    bool alpha, of_colour, of_light, invert, json, quiet;
    struct cli_progress progress;
};

/* ---- the mask ---------------------------------------------------------------------------------------- */

static enum err_code as_mask(const struct image *im, struct image *out, struct err *e)
{
    struct image narrow = {0}, seen = {0};
    enum mask_reading how;
    enum err_code rc;
    TRY_GOTO(image_narrowed(im, &narrow, e), done);
    TRY_GOTO(image_mask_read(&narrow, &seen, &how, e), done);
    rc = image_convert(&seen, 1, out, e);
done:
    image_free(&narrow);
    image_free(&seen);
    return rc;
}

/* As on black ground: what is transparent is dark, whatever colour lies under it. */
static enum err_code by_light(const struct image *im, int at, struct image *out, struct err *e)
{
    static const unsigned char black[3] = {0};
    struct image seen = {0};
    enum err_code rc;
    TRY_GOTO(image_on_ground(im, black, &seen, e), done);
    TRY_GOTO(image_convert(&seen, 1, out, e), done);
    image_narrow(out);
    image_mask_threshold(out, at);
done:
    image_free(&seen);
    return rc;
}

static enum err_code choose(const struct mask *m, const struct image *im, struct image *out,
                            struct err *e)
{
    enum err_code rc =
        m->alpha ? image_mask_of_alpha(im, out, e)
        : m->of_colour
            ? image_mask_of_colour(im, m->colour, m->tolerance < 0 ? 32 : m->tolerance, out, e)
        : m->of_light ? by_light(im, m->threshold, out, e)
                      : as_mask(im, out, e);
    return rc == ERR_OK ? rc : err_note(e, "'%s'", cli_input_name(m->path));
}

static enum err_code make(const struct mask *m, const struct image *im, struct image *out,
                          struct err *e)
{
    TRY(choose(m, im, out, e));
    if (m->invert)
        image_mask_invert(out);
    TRY(image_mask_grow(out, m->grow, e));
    return image_mask_feather(out, m->feather, e);
}

static double painted_share(const struct image *mask)
{
    uint64_t n = 0;
    for (int y = 0; y < mask->h; y++)
        for (int x = 0; x < mask->w; x++)
            n += image_row(mask, y)[x] >= MASK_PAINTED;
    return (double)n / ((double)mask->w * mask->h);
}

/* ---- running ----------------------------------------------------------------------------------------- */

static void print_result(struct mask *m, const struct image *mask, const char *path, bool replaced)
{
    struct buf b;
    double share = painted_share(mask);
    if (share <= 0)
        cli_progress_note(&m->progress, "the mask is empty: nothing would be painted");
    if (m->json) {
        buf_init(&b, 1 << 16);
        json_object(&b, NULL);
        json_put_z(&b, "path", path);
        json_put_int(&b, "width", mask->w);
        json_put_int(&b, "height", mask->h);
        json_put_fixed(&b, "painted", share, 6);
        if (replaced)
            json_put_bool(&b, "replaced", true);
        result_json_notes(&b, &m->progress.notes);
        json_end_object(&b);
        cli_print_json(&b);
    } else if (!m->quiet) {
        fprintf(cli_output_lines(path), "%s  %d x %d  %.1f %% painted\n", cli_output_name(path),
                mask->w, mask->h, 100 * share);
    }
}

static int execute(struct mask *m)
{
    struct err e = {0};
    struct image im = {0}, mask = {0};
    struct buf file;
    char path[CLI_PATH_BYTES];
    bool replaced = false;
    const struct cli_output_words words = {"", "", 0};
    struct cli_settings settings;
    buf_init(&file, FILE_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(cli_settings_load(&settings, &e), done);
    m->to.folder = cli_setting(&settings, SETTING_OUTPUT_FOLDER); /* without -o: where others go */
    TRY_GOTO(cli_output_image(&m->to, &m->format, &e), done);
    TRY_GOTO(cli_output_check(&m->to, &e), done);
    TRY_GOTO(cli_image_load_deep(m->path, &m->progress, &im, &e), done);
    TRY_GOTO(make(m, &im, &mask, &e), done);
    TRY_GOTO(image_save(&mask, &(struct image_save){.format = m->format}, &file, &e), done);
    rc = cli_output_write(&m->to, &words, file.p, file.n, path, &replaced, &e);
done:
    if (rc == ERR_OK) {
        cli_output_note(&m->to, path, replaced, &m->progress);
        print_result(m, &mask, path, replaced);
    }
    image_free(&im);
    image_free(&mask);
    buf_deinit(&file);
    return rc == ERR_OK ? CLI_OK : cli_fail_err(&e);
}

/* ---- options ----------------------------------------------------------------------------------------- */

static int set_int(const struct cli_args *a, int64_t lo, int64_t hi, int *out)
{
    int64_t v;
    if (!cli_int(a, lo, hi, &v))
        return CLI_USAGE;
    *out = (int)v;
    return CLI_OK;
}

/* One of them chooses what is painted. */
static int set_source(struct mask *m, const struct cli_args *a, bool *which)
{
    if (m->source && !*which)
        return cli_usage_error(a->command, "%s and %s both say what is painted; give one",
                               m->source, a->name);
    m->source = which == &m->alpha       ? "--alpha"
                : which == &m->of_colour ? "--colour"
                                         : "--threshold";
    *which = true;
    return CLI_OK;
}

static int set_colour(struct mask *m, const struct cli_args *a)
{
    if (!image_colour_parse(str_from(a->value), m->colour))
        return cli_usage_error(a->command,
                               "the colour is '%.40s'; it should be white, black, grey or one like "
                               "#80c0ff",
                               a->value);
    return set_source(m, a, &m->of_colour);
}

static int set_path(struct mask *m, const struct cli_args *a)
{
    if (m->path)
        return cli_usage_error(a->command, "one image is made a mask of, and '%.60s' is a second",
                               a->value);
    m->path = a->value;
    return CLI_OK;
}

static int set_option(struct mask *m, const struct cli_args *a, int id)
{
    int rc;
    switch (id) {
    case MASK_OUTPUT:
        m->to.named = a->value;
        return CLI_OK;
    case MASK_OF_ALPHA:
        return set_source(m, a, &m->alpha);
    case MASK_OF_COLOUR:
        return set_colour(m, a);
    case MASK_TOLERANCE:
        return set_int(a, 0, 255, &m->tolerance);
    case MASK_THRESHOLD:
        rc = set_int(a, 0, 255, &m->threshold);
        return rc == CLI_OK ? set_source(m, a, &m->of_light) : rc;
    case MASK_INVERT:
        m->invert = true;
        return CLI_OK;
    case MASK_GROW:
        return set_int(a, -GROW_MOST, GROW_MOST, &m->grow);
    case MASK_FEATHER:
        return set_int(a, 0, FEATHER_MOST, &m->feather);
    case MASK_FORCE:
        m->to.force = true;
        return CLI_OK;
    case MASK_JSON:
        m->json = true;
        return CLI_OK;
    case MASK_QUIET:
        m->quiet = true;
        return CLI_OK;
    case CLI_POSITIONAL:
        return set_path(m, a);
    default:
        return CLI_USAGE;
    }
}

static int parse(struct mask *m, const struct cli_command *self, int argc, char **argv,
                 bool *helped)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    int rc = CLI_OK, id;
    while (rc == CLI_OK && (id = cli_args_next(&a)) != CLI_END) {
        *helped = id == CLI_HELP;
        if (*helped)
            return CLI_OK;
        rc = id == CLI_ERROR ? CLI_USAGE : set_option(m, &a, id);
    }
    if (rc == CLI_OK && !m->path)
        rc = cli_usage_error(self, "name the image to make a mask of, and the mask with -o");
    if (rc == CLI_OK && m->tolerance >= 0 && !m->of_colour)
        rc = cli_usage_error(self, "--tolerance is for --colour");
    m->to.json = m->json;
    m->progress.quiet = m->quiet;
    return rc;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct mask m = {.tolerance = -1, .to = {.count = 1, .name = "mask"}};
    bool helped = false;
    cli_progress_init(&m.progress, false);
    int rc = parse(&m, self, argc, argv, &helped);
    if (rc == CLI_OK && !helped)
        rc = execute(&m);
    cli_progress_deinit(&m.progress);
    return rc;
}

const struct cli_command cli_cmd_mask = {
    .name = "mask",
    .summary = "Make a mask for `edit`: from alpha, a colour, lightness or another mask",
    .usage = "IMAGE [--alpha|--colour COLOUR|--threshold N] [--invert] [--grow PX] [--feather PX] "
             "[-o FILE|DIR/]",
    .examples =
        "  veetance mask cutout.png --alpha -o ground.png\n"
        "  veetance mask shop.jpg --colour \"#00b140\" --tolerance 60 --grow 2 -o green.png\n"
        "  veetance mask strokes.png --invert --grow -4 --feather 8 -o soft.png\n",
    .options = options,
    .run = run,
};
