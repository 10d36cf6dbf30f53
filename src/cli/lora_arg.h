/* lora_arg.h - what a person writes for a LoRA: --lora FILE[:STRENGTH], a name of the model store, a tag in a prompt. */
#ifndef VT_CLI_LORA_ARG_H
#define VT_CLI_LORA_ARG_H

#include "cli/cli.h"
#include "library/models.h"
#include "pipeline/lora_tags.h"

#define CLI_HELP_LORA                                                                              \
    "apply a LoRA, a file or a name of `veetance models list`, so strongly (default 1); may be "   \
    "given several times"

/* What a request's LoRAs borrow. */
struct cli_loras {
    struct {
        char name[MODELS_PATH_BYTES], path[MODELS_PATH_BYTES];
    } of[VT_MAX_LORAS];
    struct buf prompt; /* without its tags */
};

void cli_loras_init(struct cli_loras *l);
void cli_loras_deinit(struct cli_loras *l);
/* The option's value, appended. CLI_OK, or an exit code after saying what is wrong. */
int cli_lora_add(const struct cli_args *a, struct cli_loras *l, struct vt_loras *out);
/* Tags of a prompt are taken out of it and appended; *prompt is then without them. */
ERR_MUST_CHECK enum err_code cli_loras_of_prompt(struct cli_loras *l, const char **prompt,
                                                 struct vt_loras *out, struct err *e);
/* Those of a recipe, where the person named none. */
void cli_loras_of_recipe(struct cli_loras *l, const struct lora_tags *tags, struct vt_loras *out);
/* Finds the files: a name of the model store, else a path. ERR_NOTFOUND says which name is near. */
ERR_MUST_CHECK enum err_code cli_loras_find(struct cli_loras *l, struct vt_loras *loras,
                                            struct err *e);

#endif
