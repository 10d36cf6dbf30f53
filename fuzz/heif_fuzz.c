#include "image_fuzz.h"

/* Debian 12's libdav1d leaks an image's header when a damaged AVIF stops it; nothing of ours can free that. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libdav1d";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return image_fuzz(data, size, IMAGE_FORMAT_HEIC, IMAGE_FORMAT_AVIF);
}
