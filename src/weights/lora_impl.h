/* lora_impl.h - inside this room: what the files about LoRA share. */
#ifndef VT_WEIGHTS_LORA_IMPL_H
#define VT_WEIGHTS_LORA_IMPL_H

#include "base/arena.h"
#include "weights/lora.h"
#include "weights/naming.h"

enum lora_part {
    PART_DOWN,
    PART_UP,
    PART_ALPHA,
    PART_HADA_1A,
    PART_HADA_1B,
    PART_HADA_2A,
    PART_HADA_2B,
    PART_LOKR_1,
    PART_LOKR_1A,
    PART_LOKR_1B,
    PART_LOKR_2,
    PART_LOKR_2A,
    PART_LOKR_2B,
    LORA_PARTS,
};

enum lora_form { FORM_LOW_RANK, FORM_HADAMARD, FORM_KRONECKER };

struct lora_module {
    const char *name; /* as stored, without the part */
    const char *flat; /* without prefix, '_' for '.': by this it is found */
    const struct weights_tensor *parts[LORA_PARTS];
    enum lora_form form;
    int64_t rows, columns; /* of the matrix that it changes */
    int64_t rank;          /* 0: none (LoKr of two whole factors) */
    float scale;
    bool found;
};

struct lora {
    struct checkpoint *cp;
    struct arena arena;
    struct lora_module *modules; /* by flat name */
    size_t n_modules;
};

/* ---- lora_names.c ------------------------------------------------------------------------------------ */

struct lora_name {
    struct str module;           /* with its prefix */
    char flat[NAMING_MAX_BYTES]; /* without */
    enum lora_part part;
};

/* ERR_FORMAT: the name is no part of a LoRA, or of a form that is not known, which it names. */
ERR_MUST_CHECK enum err_code lora_name_read(const char *tensor, struct lora_name *out,
                                            struct err *e);
/* "img_attn.qkv" -> "img_attn_qkv"; false when it is too long. */
bool lora_flatten(struct str name, char out[NAMING_MAX_BYTES]);
/* "lora_A.weight": for messages. Static string. */
const char *lora_part_name(enum lora_part p);

/* ---- lora_alpha.c: what scales the modules that have no alpha of their own. ---------------------------- */

ERR_MUST_CHECK enum err_code lora_read_settings(struct lora *l, struct err *e);

#endif
