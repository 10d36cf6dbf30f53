/* The manifest of the model store: names stay names, parts are listed, refusals have words. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "library/models.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    if (size > 1 << 16)
        return 0;
    struct models *m = models_new();
    if (models_parse(m, (struct str){(const char *)data, size}, &e) == ERR_OK) {
        for (size_t i = 0; i < m->n_models; i++) {
            const struct models_model *x = &m->models[i];
            if (strchr(x->name, '/') || x->name[0] == '.' || models_find(m, x->name) == NULL)
                abort();
            for (int r = 0; r < MODELS_ROLES; r++)
                if (x->parts[r] && !models_component(m, x->parts[r]))
                    abort();
        }
        for (size_t i = 0; i < m->n_components; i++)
            (void)models_users(m, &m->components[i]);
    } else if (e.text[0] == 0) {
        abort();
    }
    models_free(m);
    return 0;
}
