/* PSD reading. Whatever is read is written and read again: it must come back, and the writer must take
 * every stack that the reader makes. Nor does reading take more pixels than were measured before. */
#include <stdint.h>

#include "layers/psd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* False when it cannot be read. */
static bool read_write_read(struct str bytes, struct layers_limits limits)
{
    struct layer_stack s, again;
    struct buf b;
    if (psd_decode(bytes, &limits, &s, NULL) != ERR_OK)
        return false;
    buf_init(&b, (size_t)1 << 30);
    const struct image_out out = image_out_buf(&b);
    if (psd_write(&s, &out, NULL) != ERR_OK ||
        psd_decode(buf_str(&b), &limits, &again, NULL) != ERR_OK || again.n != s.n ||
        again.n_groups != s.n_groups)
        __builtin_trap();
    buf_deinit(&b);
    layer_stack_deinit(&again);
    layer_stack_deinit(&s);
    return true;
}

static void read_as_measured(struct str bytes, struct layers_limits limits)
{
    struct layers_size size;
    struct layer_stack s;
    if (psd_measure(bytes, &size, NULL) != ERR_OK)
        __builtin_trap();
    limits.max_pixels = size.all;
    if (psd_decode(bytes, &limits, &s, NULL) != ERR_OK)
        __builtin_trap();
    layer_stack_deinit(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Small, so that the fuzzer's time goes into the format and not into pixels. */
    struct layers_limits limits = {.max_side = 512, .max_layers = 32, .max_pixels = 1 << 16};
    const struct str bytes = {(const char *)data, size};
    if (!read_write_read(bytes, limits))
        return 0;
    read_as_measured(bytes, limits);
    limits.groups = true;
    if (!read_write_read(bytes, limits))
        __builtin_trap();
    return 0;
}
