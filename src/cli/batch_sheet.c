#include "cli/batch_sheet.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/image_in.h"
#include "cli/output.h"
#include "image/composite.h"
#include "image/save.h"

enum { LABEL_BYTES = 96, SHEET_MAX_BYTES = 512 << 20 };

enum err_code batch_sheet_check(const struct batch_list *l, const char *path, struct err *e)
{
    enum image_format format;
    if (!l->n_axes)
        return err_set(e, ERR_ARG, "--sheet lays a --grid out");
    if (l->n > IMAGE_SHEET_MAX)
        return err_set(e, ERR_ARG, "--sheet: %zu images; at most %d fit on a sheet", l->n,
                       IMAGE_SHEET_MAX);
    for (size_t i = 0; i < l->n; i++)
        if (l->items[i].counted)
            return err_set(e, ERR_ARG,
                           "--sheet has one image a cell; for several seeds make them "
                           "an option of the --grid");
    if (cli_output_is_stream(path))
        return err_set(e, ERR_ARG, "--sheet names a file, and '%.60s' is none", path);
    TRY(image_save_format(path, &format, e));
    return cli_output_check_file("--sheet", path, e);
}

/* ---- labels --------------------------------------------------------------------------------------------- */

static void column_label(const struct batch_axis *a, size_t column, char out[LABEL_BYTES])
{
    (void)snprintf(out, LABEL_BYTES, "%.40s=%.40s", a->option->name, a->values[column]);
}

/* What makes the row another one than those of the same grid. */
static const char *subject_of(const struct batch_list *l, const struct batch_item *item)
{
    const char *slash = item->source ? strrchr(item->source, '/') : NULL;
    if (item->source)
        return slash ? slash + 1 : item->source;
    const char *prompt = item->line ? batch_value(l, item, "prompt") : NULL;
    return prompt ? prompt : "";
}

static void row_label(const struct batch_list *l, size_t first, char out[LABEL_BYTES])
{
    const struct batch_item *item = &l->items[first];
    const char *subject = subject_of(l, item);
    char value[LABEL_BYTES] = "";
    if (l->n_axes == 2)
        (void)snprintf(value, sizeof value, "%.40s=%.24s", l->axes[0].option->name,
                       batch_value(l, item, l->axes[0].option->name));
    (void)snprintf(out, LABEL_BYTES, "%s%s%.*s", value, *value && *subject ? " " : "",
                   *value ? 24 : 40, subject);
}

/* ---- the sheet -------------------------------------------------------------------------------------------- */

struct sheet {
    struct image images[IMAGE_SHEET_MAX];
    const struct image *list[IMAGE_SHEET_MAX];
    char texts[2 * IMAGE_SHEET_MAX][LABEL_BYTES];
    const char *labels[2 * IMAGE_SHEET_MAX]; /* of columns, then of rows */
};

/* A result that failed is a cell of a pixel. */
static enum err_code load(struct sheet *s, size_t i, const char *path, struct err *e)
{
    s->list[i] = &s->images[i];
    return file_exists(path) ? cli_image_load(path, NULL, &s->images[i], e)
                             : image_new(&s->images[i], 1, 1, 3, e);
}

static enum err_code make(const struct batch_list *l, struct sheet *s, char *const *results,
                          struct image *out, struct err *e)
{
    const struct batch_axis *across = &l->axes[l->n_axes - 1];
    struct image_sheet_params params = image_sheet_defaults();
    size_t columns = across->n, rows = l->n / columns;
    const unsigned char white[4] = {255, 255, 255, 255};
    for (size_t i = 0; i < l->n; i++) {
        TRY(load(s, i, results[i], e));
        if (!file_exists(results[i]))
            image_fill(&s->images[i], white);
    }
    for (size_t i = 0; i < columns + rows; i++) {
        s->labels[i] = s->texts[i];
        if (i < columns)
            column_label(across, i, s->texts[i]);
        else
            row_label(l, (i - columns) * columns, s->texts[i]);
    }
    params.columns = (int)columns;
    params.column_labels = s->labels;
    params.row_labels = rows > 1 ? s->labels + columns : NULL;
    return image_sheet(s->list, l->n, &params, out, e);
}

enum err_code batch_sheet_write(const struct batch_list *l, char *const *results, const char *path,
                                struct err *e)
{
    struct sheet *s = mem_alloc(sizeof *s);
    struct image out = {0};
    struct image_save save = {0};
    struct buf file;
    enum err_code rc;
    buf_init(&file, SHEET_MAX_BYTES);
    TRY_GOTO(image_save_format(path, &save.format, e), done);
    TRY_GOTO(make(l, s, results, &out, e), done);
    TRY_GOTO(image_save(&out, &save, &file, e), done);
    rc = file_write_atomic(path, file.p, file.n, e);
done:
    for (size_t i = 0; i < l->n; i++)
        image_free(&s->images[i]);
    image_free(&out);
    buf_deinit(&file);
    mem_free(s);
    return rc;
}
