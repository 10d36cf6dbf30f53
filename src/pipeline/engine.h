/* engine.h - what the command line and the server use of the engine beside veetance.h. */
#ifndef VT_PIPELINE_ENGINE_H
#define VT_PIPELINE_ENGINE_H

#include "base/err.h"
#include "layers/stack.h"
#include "veetance.h"

/* The prompt's size and that it is UTF-8. what: "prompt". NULL is fine. */
ERR_MUST_CHECK enum err_code engine_check_text(const char *what, const char *text, struct err *e);
/* The same for a prompt for generating, which must not ask for what is not supported: "<lora:...>". */
ERR_MUST_CHECK enum err_code engine_check_prompt(const char *text, struct err *e);
/* "en", "zh" or NULL. */
ERR_MUST_CHECK enum err_code engine_check_language(const char *language, struct err *e);
/* What VT_SEED_RANDOM becomes, for who must know it before the run. */
int64_t engine_random_seed(void);
/* What vt_layers made, with all that the layers hold. Borrowed from the result. */
const struct layer_stack *engine_layers_stack(const struct vt_layers_result *result);
/* What its files will say of it: nothing, until it is filled in. */
struct image_about *engine_layers_about(struct vt_layers_result *result);

#endif
