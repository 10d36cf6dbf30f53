/* caption.h - an image in words: what Qwen2.5-VL answers when asked to describe it.
 *
 *   image -> RGB (alpha dropped) -> sides to multiples of 28 -> patches -> vision tower -> rows
 *   question with a placeholder for each row -> language model, greedily -> text without special tokens
 *
 * The layered pipeline does this when it gets no prompt; `veetance caption` does it alone.
 *
 *     caption_files_find("micro-layered", files, e);
 *     caption_open(files, device, &c, e);
 *     caption_run(c, &image, &(struct caption_request){.max_new_tokens = 512}, &text, e);
 *
 * The vision tower and the language model are engaged in turn, and released again by who engaged them.
 */
#ifndef VT_PIPELINE_CAPTION_CAPTION_H
#define VT_PIPELINE_CAPTION_CAPTION_H

#include <stdatomic.h>

#include "base/buf.h"
#include "image/image.h"
#include "model/qwen2_5_vl/generate.h"
#include "model/qwen2_5_vl/vision.h"
#include "nn/device.h"
#include "pipeline/model_dir.h"
#include "text/chat.h"

enum { CAPTION_MAX_NEW_TOKENS = 512, CAPTION_MAX_NEW_TOKENS_LIMIT = 16384 };

/* ---- from pixels to patches --------------------------------------------------------------------------- */

/* preprocessor_config.json; the defaults are those of every published Qwen2.5-VL. */
struct caption_processor {
    double mean[3], std[3];
    int64_t min_pixels, max_pixels;
};

struct caption_processor caption_processor_defaults(void);
/* dir: a folder with preprocessor_config.json or processor_config.json; without either, or with "" for a
 * folder, the defaults. */
ERR_MUST_CHECK enum err_code caption_processor_read(const char *dir, struct caption_processor *out,
                                                    struct err *e);

struct caption_patches {
    float *p; /* [grid.h * grid.w, qwen_vl_patch_floats] */
    struct qwen_vl_grid grid;
};

/* Any mode and size; an alpha channel is dropped, not composited. Freed with caption_patches_free. */
ERR_MUST_CHECK enum err_code caption_patches_make(const struct caption_processor *processor,
                                                  const struct qwen_vl_vision_config *vision,
                                                  const struct image *image,
                                                  struct caption_patches *out, struct err *e);
void caption_patches_free(struct caption_patches *p);

/* ---- models ------------------------------------------------------------------------------------------- */

/* Where the parts lie; "" where there is none. */
struct caption_files {
    struct model_part language;
    char vision[MODEL_PATH_BYTES];    /* "": in the language model's own checkpoint */
    char tokenizer[MODEL_PATH_BYTES]; /* "": in the language model's GGUF file */
    char processor[MODEL_PATH_BYTES];
};

/* model: the name or folder of a layered model, a Qwen2.5-VL folder as transformers writes it, a folder with
 * two GGUF files (language model and vision tower, told apart by what is in them), or the language model's
 * GGUF file with the vision tower's beside it. *out is large: allocate it. */
ERR_MUST_CHECK enum err_code caption_files_find(const char *model, struct caption_files *out,
                                                struct err *e);
void caption_files_of(const struct model_dir *dir, struct caption_files *out);

struct captioner;

/* Opens and checks everything; ERR_NOTFOUND when there is no vision tower. The device must outlive it. */
ERR_MUST_CHECK enum err_code caption_open(const struct caption_files *files, struct nn_device *d,
                                          struct captioner **out, struct err *e);
void caption_close(struct captioner *c);
/* Borrowed. */
const struct tokenizer *caption_tokenizer(const struct captioner *c);

/* Who watches the device is told how far looking at the image and reading the question are, which is before the first
 * token. */
struct caption_request {
    enum chat_language language;
    int64_t max_new_tokens;
    double repetition_penalty; /* 0: what the model's generation_config.json says */
    const atomic_bool *cancel;
    void *user;
    void (*token)(void *user, int32_t id, int64_t n); /* after each new token; may be NULL */
    /* Each choice's scores, as in qwen_vl_generate_options; NULL but for proof. */
    void (*scores)(void *user, const float *raw, const float *penalised, int64_t vocab);
};

struct caption_result {
    struct buf text;         /* without special tokens, without white space at its ends */
    struct tokens prompt;    /* ids of the question */
    struct tokens generated; /* ids of the answer, with its end token when there is one */
    bool complete;           /* it ended by itself */
};

/* On failure *out holds nothing. */
ERR_MUST_CHECK enum err_code caption_run(struct captioner *c, const struct image *image,
                                         const struct caption_request *rq,
                                         struct caption_result *out, struct err *e);
/* ERR_NUMERIC when the answer is noise rather than a description (text/sense.h). */
ERR_MUST_CHECK enum err_code caption_check(const struct caption_result *r, struct err *e);
void caption_result_deinit(struct caption_result *r);

#endif
