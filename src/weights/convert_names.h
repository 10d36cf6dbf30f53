/* convert_names.h - inside this room: a component's tensors as another naming would store them.
 *
 * The rules of naming.h are read backwards to find which canonical tensors a stored one stands for, and
 * forwards in the other naming to find where these belong there. What one naming fuses and the other does
 * not becomes several parts, in the order of their rows.
 */
#ifndef VT_WEIGHTS_CONVERT_NAMES_H
#define VT_WEIGHTS_CONVERT_NAMES_H

#include "base/arena.h"
#include "weights/component_impl.h"
#include "weights/convert_plan.h"

struct convert_piece {
    const char *name;      /* in the wanted naming; in the arena */
    const char *canonical; /* in the arena */
    enum naming_rows rows; /* which rows of `name` it makes */
    struct weights_view view;
};

struct convert_pieces {
    struct convert_piece *list; /* sorted by name, then by rows; freed with mem_free */
    size_t n;
    size_t left_out;                            /* stored tensors that have no place */
    char example[CATALOGUE_MAX_NAME_BYTES + 1]; /* one of them */
};

/* The naming to write for a word of the command line: a naming's id, or "diffusers" (also "canonical": what
 * the Hugging Face classes use), "original" and "comfy" (the model maker's), "gguf" (what published GGUF files
 * use), "keep". A kind of component that has no such naming keeps its own. NULL when the word is unknown. */
const struct naming *convert_naming(const struct component *c, const char *word);

/* to: from convert_naming. On failure there is nothing to free but the arena. */
ERR_MUST_CHECK enum err_code convert_pieces_make(struct component *c, const struct naming *to,
                                                 struct arena *a, struct convert_pieces *out,
                                                 struct err *e);

/* The reverse of naming_apply: a stored name, without its prefix, to the canonical one. */
bool convert_name_invert(const struct naming_rule *rule, const struct naming_numbers *numbers,
                         const char *stored, char *out, size_t out_size);

/* ---- metadata -------------------------------------------------------------------------------- */

/* Inside this room: what a converted file says about itself. */

/* The source's metadata goes along where the format can hold it (a tokenizer's arrays only from GGUF to GGUF),
 * but for what is about the old file's layout. Everything lies in the arena. */
ERR_MUST_CHECK enum err_code convert_meta_make(struct component *c, const struct convert_options *o,
                                               struct arena *a, struct write_meta **out, size_t *n,
                                               struct err *e);

#endif
