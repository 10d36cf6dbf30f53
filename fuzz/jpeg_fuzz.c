#include "image_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return image_fuzz(data, size, IMAGE_FORMAT_JPEG, IMAGE_FORMAT_JPEG);
}
