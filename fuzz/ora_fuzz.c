/* OpenRaster reading. An input that begins with '<' is taken as stack.xml alone, since no mutation of
 * a packed one stays sound for long; anything else is an archive, as OpenRaster and as our own ZIP. */
#include <stdint.h>

#include "base/mem.h"
#include "layers/file.h"
#include "layers/json.h"
#include "layers/ora.h"
#include "layers/ora_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct layers_limits limits = {.max_side = 512, .max_layers = 32, .max_pixels = 1 << 16};
    const struct str bytes = {(const char *)data, size};
    struct layer_stack s;
    struct layers_size measured;
    struct ora_image im;
    if (size > 0 && data[0] == '<') {
        if (ora_xml_parse(bytes, limits.max_layers, &im, NULL) == ERR_OK)
            mem_free(im.entries);
        return 0;
    }
    if (layers_measure(bytes, &measured, NULL) == ERR_OK && measured.largest > measured.all)
        __builtin_trap();
    for (int groups = 0; groups < 2; groups++) {
        limits.groups = groups;
        if (ora_decode(bytes, &limits, &s, NULL) == ERR_OK)
            layer_stack_deinit(&s);
        if (layers_zip_decode(bytes, &limits, &s, NULL) == ERR_OK)
            layer_stack_deinit(&s);
    }
    return 0;
}
