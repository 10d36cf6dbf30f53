/* Any bytes as a .safetensors file: the reader refuses them or hands out tensors that lie inside. */
#include <stdint.h>
#include <stdlib.h>

#include "weights/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink; /* keeps reads of mapped bytes alive */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct checkpoint *c;
    struct err e = {0};
    if (size > 4 && memcmp(data, "GGUF", 4) == 0)
        return 0; /* the other target's */
    if (checkpoint_open_bytes("fuzz", data, size, &c, &e) != ERR_OK) {
        if (e.text[0] == '\0' || !str_is_utf8(str_from(e.text), NULL))
            abort(); /* a refusal is a readable sentence */
        return 0;
    }
    for (size_t i = 0; i < checkpoint_count(c); i++) {
        const struct weights_tensor *t = checkpoint_at(c, i);
        if (t->data < data || t->bytes > size || t->data + t->bytes > data + size)
            abort();
        if (t->bytes > 0)
            sink = sink + t->data[0] + t->data[t->bytes - 1];
        if (checkpoint_find(c, t->name) != t)
            abort();
    }
    struct str s;
    (void)checkpoint_meta_str(c, "format", &s);
    checkpoint_close(c);
    return 0;
}
