#include "layers/png.h"

#include <inttypes.h>

#include "image/load.h"
#include "image/png_save.h"

static const size_t PNG_BYTES_MAX = (size_t)1 << 30;

/* The header first, so that neither side nor sum is passed by pixels that are already there. */
static enum err_code admit(struct str bytes, const struct layers_limits *limits,
                           struct image_limits *left, uint64_t pixels, struct err *e)
{
    struct image_info info;
    if (image_sniff(bytes) != IMAGE_FORMAT_PNG)
        return err_set(e, ERR_FORMAT, "not a PNG file");
    left->max_pixels = limits->max_pixels - pixels;
    left->max_file_bytes = bytes.n + 1;
    if (left->max_pixels == 0)
        return err_set(e, ERR_LIMIT, "the layers before it have %" PRIu64 " pixels, the limit",
                       pixels);
    TRY(image_probe_memory(bytes, left, &info, e));
    if (info.w > limits->max_side || info.h > limits->max_side)
        return err_set(e, ERR_LIMIT, "%d x %d pixels, over %d a side", info.w, info.h,
                       limits->max_side);
    return ERR_OK;
}

enum err_code layers_png_read(struct str bytes, const char *what,
                              const struct layers_limits *limits, uint64_t *pixels,
                              struct image *out, struct err *e)
{
    struct image_limits left = image_limits_defaults();
    struct image any = {0};
    *out = (struct image){0};
    enum err_code rc;
    TRY_GOTO(admit(bytes, limits, &left, *pixels, e), done);
    TRY_GOTO(image_load_memory(bytes, &left, NULL, &any, e), done);
    *pixels += (uint64_t)any.w * (uint64_t)any.h;
    if (any.channels == 4) {
        *out = any;
        return ERR_OK;
    }
    rc = image_convert(&any, 4, out, e);
done:
    image_free(&any);
    return rc == ERR_OK ? rc : err_note(e, "'%s'", what);
}

struct entry {
    struct zipfile_writer *z;
    struct buf bytes;
};

static enum err_code to_entry(const void *p, size_t n, void *user, struct err *e)
{
    struct entry *t = user;
    TRY(zipfile_poll(t->z, e));
    buf_add(&t->bytes, p, n);
    return buf_failed(&t->bytes)
               ? err_set(e, ERR_NOMEM, "no memory for a PNG of over %zu bytes", t->bytes.n)
               : ERR_OK;
}

enum err_code layers_png_add(struct zipfile_writer *z, const char *name, const struct image *im,
                             const struct image_about *about, struct err *e)
{
    struct entry t = {.z = z};
    const struct image_out out = {to_entry, &t};
    struct image_about_texts texts;
    image_about_texts_init(&texts, about);
    buf_init(&t.bytes, PNG_BYTES_MAX);
    enum err_code rc;
    TRY_GOTO(image_png_write_to(im, texts.texts, texts.n, &out, e), done);
    zipfile_add(z, name, buf_str(&t.bytes), ZIPFILE_STORED); /* PNG is packed already */
    rc = zipfile_poll(z, e);
done:
    image_about_texts_deinit(&texts);
    buf_deinit(&t.bytes);
    return rc == ERR_OK || !e ? rc : err_note(e, "'%s'", name);
}

void layers_about_join(struct layer_stack *s, size_t before, struct str file)
{
    struct image_about about;
    image_about_init(&about);
    image_about_read(file, &about);
    image_about_join(&s->about, before, &about);
    image_about_deinit(&about);
}
