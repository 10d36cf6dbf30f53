/* What an image file says of where it came from, in any container, and XMP packets alone: what is read is within its
 * bounds, and a packet of ours says again what was read. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "image/about.h"
#include "image/load.h"
#include "image/xmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_written_again(enum image_source source, struct str recipe)
{
    struct buf packet, again;
    enum image_source found;
    buf_init(&packet, XMP_PACKET_MAX);
    buf_init(&again, IMAGE_RECIPE_MAX_BYTES);
    xmp_write(source, recipe, &packet);
    bool has_recipe = xmp_read(buf_str(&packet), &found, &again);
    if (buf_failed(&packet) || found != source || has_recipe != (recipe.n > 0))
        abort();
    buf_deinit(&packet);
    buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct image_about about;
    struct buf recipe;
    enum image_source source;
    if (size > 1 << 18)
        return 0;
    image_about_init(&about);
    buf_init(&recipe, IMAGE_RECIPE_MAX_BYTES);
    image_about_read(bytes, &about);
    int orientation = xmp_orientation(bytes);
    if ((unsigned)about.source >= IMAGE_SOURCES || orientation < 0 || orientation > 8)
        abort();
    (void)xmp_read(bytes, &source, &recipe);
    check_written_again(about.source, buf_str(&about.recipe));
    check_written_again(source, buf_str(&recipe));
    buf_deinit(&recipe);
    image_about_deinit(&about);
    return 0;
}
