/* generate.h - greedy continuation of a prompt: the most likely token, again and again.
 *
 * Before each choice the scores of all ids that are in the prompt (placeholders of the image included) or
 * were generated already are divided by the repetition penalty when positive, multiplied when negative.
 * It ends with an end token, which is part of the result, or after max_new_tokens. */
#ifndef VT_MODEL_QWEN2_5_VL_GENERATE_H
#define VT_MODEL_QWEN2_5_VL_GENERATE_H

#include "model/qwen2_5_vl/language.h"
#include "text/tokenizer.h"

struct qwen_vl_generate_options {
    int64_t max_new_tokens;
    struct qwen_vl_generation rules;
    const atomic_bool *cancel; /* NULL: never */
    void *user;
    /* After each token; n counts from 1. May be NULL. */
    void (*token)(void *user, int32_t id, int64_t n);
    /* Before each choice: scores as the model gave them, and with the penalty, [vocab]; for tests. May be NULL. */
    void (*scores)(void *user, const float *raw, const float *penalised, int64_t vocab);
};

/* Appends the new ids to out. m was made with QWEN_VL_GENERATE, its parameters are engaged. */
ERR_MUST_CHECK enum err_code qwen_vl_generate(struct qwen_vl *m,
                                              const struct qwen_vl_prompt *prompt,
                                              const struct qwen_vl_generate_options *o,
                                              struct tokens *out, struct err *e);

#endif
