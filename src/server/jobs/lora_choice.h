/* lora_choice.h - which LoRAs clients may name: those of the model store, by name alone. */
#ifndef VT_SERVER_JOBS_LORA_CHOICE_H
#define VT_SERVER_JOBS_LORA_CHOICE_H

#include <stdint.h>

#include "base/json.h"
#include "server/jobs/model_choice.h"
#include "veetance.h"

struct lora_seen {
    const char *name, *base, *about, *state, *path;
    int64_t rank;
    uint64_t bytes;
    unsigned tasks; /* of the models that it is for; where that is not known all */
};

void lora_each(void (*visit)(const struct lora_seen *l, void *user), void *user);

/* The file of a name. ERR_NOTFOUND: there is none, or it is not there. */
ERR_MUST_CHECK enum err_code lora_choose(const char *name, char path[MODEL_PATH_BYTES],
                                         struct err *e);

/* Paths of a request's LoRAs, which it borrows. */
struct lora_paths {
    char of[VT_MAX_LORAS][MODEL_PATH_BYTES];
};

/* A request's "loras"; its texts are borrowed from list. */
ERR_MUST_CHECK enum err_code lora_request(yyjson_val *list, struct lora_paths *paths,
                                          struct vt_loras *out, struct err *e);

#endif
