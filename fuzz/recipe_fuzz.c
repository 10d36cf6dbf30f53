/* The recipe text of an image: what is read is within its bounds, and refusals have words. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/recipe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct recipe r;
    if (size > 1 << 16)
        return 0;
    if (recipe_read((struct str){(const char *)data, size}, &r, &e) == ERR_OK) {
        if (r.image_count < 0 || r.image_count > VT_MAX_IMAGES || r.steps > 1000 || r.seed < -1)
            abort();
    } else if (e.text[0] == 0) {
        abort();
    }
    recipe_deinit(&r);
    return 0;
}
