/* image_fuzz.h - what the targets of image formats share: bytes as an image of at most a megapixel, the header alone,
 * then the whole, with its samples as 8 bits or as they are. */
#ifndef VT_FUZZ_IMAGE_FUZZ_H
#define VT_FUZZ_IMAGE_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "image/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline int image_fuzz(const uint8_t *data, size_t size, enum image_format a,
                             enum image_format b)
{
    struct str bytes = {(const char *)data, size};
    struct image_limits limits = {
        .max_pixels = 1000000, .max_file_bytes = 1 << 20, .untrusted = true};
    struct image_info header, info;
    struct image im;
    enum image_format format = image_sniff(bytes);
    if (format != a && format != b)
        return 0;
    enum err_code probed = image_probe_memory(bytes, &limits, &header, NULL);
    enum err_code rc = size % 2 ? image_load_deep(bytes, &limits, &info, &im, NULL)
                                : image_load_memory(bytes, &limits, &info, &im, NULL);
    if (rc == ERR_OK) {
        /* What can be read has a header that can be read and that tells the truth. */
        if (probed != ERR_OK || header.w != im.w || header.h != im.h ||
            header.channels != im.channels)
            __builtin_trap();
    }
    image_free(&im);
    return 0;
}

#endif
