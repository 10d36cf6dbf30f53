/* decode.c - the wishes of reader.h, done where it is called. */
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
