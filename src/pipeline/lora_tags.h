/* lora_tags.h - "<lora:NAME:STRENGTH>" in a prompt, as Automatic1111's program began and most others read it. */
#ifndef VT_PIPELINE_LORA_TAGS_H
#define VT_PIPELINE_LORA_TAGS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "veetance.h"

enum { LORA_NAME_BYTES = 256 };

struct lora_tags {
    int n;
    struct {
        char name[LORA_NAME_BYTES];
        double strength;
    } of[VT_MAX_LORAS];
};

/* The first tag in a prompt, of a LoRA or its kin ("<lyco:"); NULL: none. */
const char *lora_tag_find(const char *prompt);
/* The prompt without its tags is appended to rest; they are appended to out. Without a strength it is 1. ERR_ARG: a tag
 * that makes no sense, or too many. */
ERR_MUST_CHECK enum err_code lora_tags_take(struct str prompt, struct buf *rest,
                                            struct lora_tags *out, struct err *e);
/* " <lora:NAME:STRENGTH>" for each. Names of files are written without their folders and endings. */
void lora_tags_write(const struct vt_loras *loras, struct buf *out);
/* Borrows the names. */
void lora_tags_request(const struct lora_tags *t, struct vt_loras *out);
/* Of a file "x/y.safetensors": "y". False when that is too long. */
bool lora_tag_name(const char *path, char out[LORA_NAME_BYTES]);

#endif
