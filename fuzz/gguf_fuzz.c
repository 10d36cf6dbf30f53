/* Any bytes as a GGUF file: the reader refuses them or hands out tensors and metadata that lie inside. */
#include <stdint.h>
#include <stdlib.h>

#include "weights/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink; /* keeps reads of mapped bytes alive */

static const char *const keys[] = {"general.architecture", "general.alignment", "a", "k",
                                   "tokenizer.ggml.tokens"};

static void read_metadata(const struct checkpoint *c)
{
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        struct str s = {0};
        int64_t v = 0;
        double d = 0;
        (void)checkpoint_meta_i64(c, keys[k], &v);
        (void)checkpoint_meta_double(c, keys[k], &d);
        if (checkpoint_meta_str(c, keys[k], &s) && s.n > 0)
            sink = sink + (unsigned char)s.p[0] + (unsigned char)s.p[s.n - 1];
        size_t n = checkpoint_meta_array_count(c, keys[k]);
        for (size_t i = 0; i < n && i < 100; i++) {
            if (checkpoint_meta_array_str(c, keys[k], n - 1 - i, &s) && s.n > 0)
                sink = sink + (unsigned char)s.p[0] + (unsigned char)s.p[s.n - 1];
            (void)checkpoint_meta_array_double(c, keys[k], n - 1 - i, &d);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct checkpoint *c;
    struct err e = {0};
    if (size < 4 || memcmp(data, "GGUF", 4) != 0)
        return 0;
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
    }
    read_metadata(c);
    checkpoint_close(c);
    return 0;
}
