/* Bytes as a WebP of at most a megapixel: the header alone, then the whole picture. */
#include <stddef.h>
#include <stdint.h>

#include "image/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct image_limits limits = {.max_pixels = 1000000, .max_file_bytes = 1 << 20};
    struct image_info header, info;
    struct image im;
    if (image_sniff(bytes) != IMAGE_FORMAT_WEBP)
        return 0;
    enum err_code probed = image_probe_memory(bytes, &limits, &header, NULL);
    if (image_load_memory(bytes, &limits, &info, &im, NULL) == ERR_OK) {
        /* What can be read has a header that can be read and that tells the truth. */
        if (probed != ERR_OK || header.w != im.w || header.h != im.h ||
            header.channels != im.channels)
            __builtin_trap();
    }
    image_free(&im);
    return 0;
}
