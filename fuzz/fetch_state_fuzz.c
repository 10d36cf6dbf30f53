/* Any bytes as the state of a download: refused, or sound numbers. The sum at the end would keep a fuzzer out, so
 * it is made right. What is accepted is written again to the same bytes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "fetch/segments.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct str bytes)
{
    struct segments s;
    struct buf again;
    if (segments_decode(bytes, &s, NULL) != ERR_OK)
        return;
    if (segments_bytes_done(&s) > s.size || segments_prefix_bytes(&s, 0) > s.size)
        abort();
    buf_init(&again, 64 << 20);
    segments_encode(&s, &again);
    if (!buf_failed(&again) && !str_eq(buf_str(&again), bytes))
        abort();
    buf_deinit(&again);
    segments_deinit(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sha256 h;
    check((struct str){(const char *)data, size});
    if (size < SHA256_BYTES || size > 1 << 20)
        return 0;
    unsigned char *copy = mem_try_alloc(size);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    sha256_init(&h);
    sha256_add(&h, copy, size - SHA256_BYTES);
    sha256_end(&h, copy + size - SHA256_BYTES);
    check((struct str){(const char *)copy, size});
    mem_free(copy);
    return 0;
}
