/* builtin.h - the tokenizers of Qwen3 and Qwen2.5-VL, which come with the program, because ComfyUI's files and most
 * single-file checkpoints have none. They are built when needed, from half a megabyte of data in the program
 * (data/qwen_merges.zlib).
 *
 * Their names are accepted wherever the path of a tokenizer is: "builtin:qwen3", "builtin:qwen2.5".
 */
#ifndef VT_TEXT_BUILTIN_H
#define VT_TEXT_BUILTIN_H

#include "text/tokenizer.h"

enum { TOKENIZER_BUILTIN_WORDS = 151643 }; /* of both, without the added tokens */

/* Static strings. */
const char *tokenizer_builtin_name(bool qwen3);
/* Is it one of the two names? */
bool tokenizer_is_builtin(const char *name);
ERR_MUST_CHECK enum err_code tokenizer_builtin(const char *name, struct tokenizer **out,
                                               struct err *e);

#endif
