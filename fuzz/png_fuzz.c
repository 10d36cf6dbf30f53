/* Bytes as a PNG of at most a megapixel: the header alone, the whole image, its texts. Once as they are,
 * and once with the chunks' checksums made right, so that what is behind them is reached. */
#include <string.h>

#include "base/mem.h"
#include "image/png_save.h"
#include "image_fuzz.h"

enum { SIGNATURE_BYTES = 8, CHUNK_BYTES = 12 };

static bool see_text(struct str key, struct str text, void *user)
{
    size_t *bytes = user;
    *bytes += key.n + text.n;
    return true;
}

static void try_bytes(struct str bytes)
{
    (void)image_fuzz((const uint8_t *)bytes.p, bytes.n, IMAGE_FORMAT_PNG, IMAGE_FORMAT_PNG);
    size_t text_bytes = 0;
    (void)!image_png_texts(bytes, see_text, &text_bytes, NULL);
}

static uint32_t crc_of(const uint8_t *p, size_t n)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
    }
    return ~crc;
}

static void repair(uint8_t *p, size_t size)
{
    size_t at = SIGNATURE_BYTES;
    while (size - at >= CHUNK_BYTES) {
        size_t n =
            (size_t)p[at] << 24 | (size_t)p[at + 1] << 16 | (size_t)p[at + 2] << 8 | p[at + 3];
        if (n > size - at - CHUNK_BYTES)
            return;
        uint32_t crc = crc_of(p + at + 4, n + 4);
        for (int i = 0; i < 4; i++)
            p[at + 8 + n + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
        at += CHUNK_BYTES + n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (image_sniff((struct str){(const char *)data, size}) != IMAGE_FORMAT_PNG)
        return 0;
    try_bytes((struct str){(const char *)data, size});
    uint8_t *repaired = mem_try_alloc(size);
    if (!repaired)
        return 0;
    memcpy(repaired, data, size);
    repair(repaired, size);
    try_bytes((struct str){(const char *)repaired, size});
    mem_free(repaired);
    return 0;
}
