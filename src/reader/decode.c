/* decode.c - the wishes of reader.h, done where it is called. */
#include "image/png_save.h"
#include "image/save.h"
#include "reader/messages.h"

enum err_code reader_decode(struct str bytes, int wish, struct image_info *info, struct image *out,
                            struct err *e)
{
    struct image unwanted;
    enum err_code rc;
    switch (wish) {
    case READER_HEADER:
        return image_probe_memory(bytes, NULL, info, e);
    case READER_PIXELS:
        return image_load_memory(bytes, NULL, info, out, e);
    case READER_DEEP:
        return image_load_deep(bytes, NULL, info, out, e);
    case READER_CHECK:
    default:
        rc = image_load_memory(bytes, NULL, info, &unwanted, e);
        image_free(&unwanted);
        return rc;
    }
}

struct telling {
    const struct reader_texts *to;
    size_t bytes;
};

static bool tell(struct str key, struct str text, void *user)
{
    struct telling *t = user;
    size_t n = key.n + text.n + READER_TEXT_COST;
    if (key.n >= READER_KEY_SIZE)
        return true;
    if (n > READER_TEXTS_BYTES - t->bytes)
        return false;
    t->bytes += n;
    t->to->see(key, text, t->to->user);
    return true;
}

enum err_code reader_words(struct str bytes, int wish, const struct reader_texts *to,
                           struct image_about *about, struct err *e)
{
    struct telling t = {.to = to};
    if (wish == READER_ABOUT) {
        image_about_read(bytes, about);
        return ERR_OK;
    }
    if (image_sniff(bytes) == IMAGE_FORMAT_PNG)
        TRY(image_png_texts(bytes, tell, &t, e));
    enum err_code rc = image_parameters(bytes, &about->recipe, e);
    if (rc == ERR_FORMAT)
        return rc;
    err_clear(e); /* that there is no recipe is no failure */
    return ERR_OK;
}
