/* Any bytes as a catalogue: refused with a sentence, or every name in it stays inside the model's folder. */
#include <stdint.h>
#include <stdlib.h>

#include "fetch/catalogue.h"
#include "fetch/paths.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_choice(const struct catalogue_choice *h)
{
    bool whole;
    for (size_t f = 0; f < h->file_count; f++)
        if (path_check(str_from(h->files[f].to), "fuzz", NULL) != ERR_OK ||
            path_check(str_from(h->files[f].path), "fuzz", NULL) != ERR_OK)
            abort();
    (void)catalogue_choice_bytes(h, &whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct catalogue *c;
    struct err e = {0};
    if (catalogue_parse((struct str){(const char *)data, size}, "fuzz", &c, &e) != ERR_OK) {
        if (e.text[0] == '\0')
            abort(); /* a refusal is a sentence */
        return 0;
    }
    for (size_t i = 0; i < catalogue_count(c); i++) {
        const struct catalogue_set *s = catalogue_at(c, i);
        for (size_t k = 0; k < s->component_count; k++)
            for (size_t h = 0; h < s->components[k].choice_count; h++)
                check_choice(&s->components[k].choices[h]);
    }
    catalogue_free(c);
    return 0;
}
