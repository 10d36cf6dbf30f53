/* model_dir.h - from a model's name to the files of its components.
 *
 * A model is a diffusers folder (model_index.json, a folder a component), or a folder whose veetance.json
 * names the component files wherever they lie, or the name of an embedded model. docs/formats/veetance-json.md
 * describes veetance.json; everything in it is optional beside a diffusers layout.
 */
#ifndef VT_PIPELINE_MODEL_DIR_H
#define VT_PIPELINE_MODEL_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "sample/schedule.h"

enum { MODEL_PATH_BYTES = 4096 };

enum model_pipeline { MODEL_PIPELINE_KLEIN, MODEL_PIPELINE_LAYERED };

/* A component's checkpoint and its config.json ("" when there is none). */
struct model_part {
    char weights[MODEL_PATH_BYTES];
    char config[MODEL_PATH_BYTES];
};

struct model_defaults { /* 0 or a negative number: not given */
    int64_t width, height, steps, max_tokens, resolution, layers;
    double guidance;
    char prompt[256];
};

struct model_dir {
    char path[MODEL_PATH_BYTES];
    char name[256]; /* for people: from veetance.json, else the folder's name */
    enum model_pipeline pipeline;
    struct model_part transformer, text_encoder, vae,
        vision; /* vision: "" unless a file of its own */
    char tokenizer[MODEL_PATH_BYTES], processor[MODEL_PATH_BYTES];
    struct schedule_config schedule;
    bool is_distilled;
    bool reference_cache; /* trained for keys and values of references computed once (klein KV) */
    struct model_defaults defaults;
};

/* Resolves and reads the small JSON files; opens no weights. *out is large: allocate it. */
ERR_MUST_CHECK enum err_code model_dir_open(const char *model, struct model_dir *out,
                                            struct err *e);

/* The embedded models lie beside the program, or in the folder that VEETANCE_MODELS names. The folder of one; false:
 * there is none of that name. */
bool model_embedded_find(const char *name, char out[MODEL_PATH_BYTES]);
/* Each of their names once, in no order. */
void model_embedded_each(void (*visit)(const char *name, void *user), void *user);

/* The component's config.json, or *out = NULL when it has none. Caller frees with yyjson_doc_free. */
ERR_MUST_CHECK enum err_code model_part_config(const struct model_part *part, yyjson_doc **out,
                                               struct err *e);

#endif
