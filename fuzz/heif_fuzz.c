/* heif_fuzz.c - HEIC and AVIF. libheif before 1.19 (Debian 12 has 1.15) crashes in its own decoder on mutated files and
 * takes gigabytes that they claim; this target found both, and nothing of ours can mend them. With such a library only the
 * header is fuzzed; the corpus is decoded with every one. */
#include "image_fuzz.h"

#include <dlfcn.h>

/* libFuzzer has it; what only replays the corpus has not. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most) __attribute__((weak));

/* Debian 12's libdav1d leaks an image's header when a damaged AVIF stops it; nothing of ours can free that. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libdav1d";
}

static bool library_is_sound(void)
{
    void *library = dlopen("libheif.so.1", RTLD_NOW | RTLD_LOCAL);
    void *symbol = library ? dlsym(library, "heif_get_version_number") : NULL;
    uint32_t (*version)(void) = NULL;
    *(void **)&version = symbol;
    return version && version() >= (1u << 24 | 19u << 16);
}

static int header_alone(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct image_limits limits = {.max_pixels = 1000000, .max_file_bytes = 1 << 20};
    struct image_info header;
    enum image_format format = image_sniff(bytes);
    if (format == IMAGE_FORMAT_HEIC || format == IMAGE_FORMAT_AVIF)
        (void)!image_probe_memory(bytes, &limits, &header, NULL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (LLVMFuzzerMutate && !library_is_sound())
        return header_alone(data, size);
    return image_fuzz(data, size, IMAGE_FORMAT_HEIC, IMAGE_FORMAT_AVIF);
}
