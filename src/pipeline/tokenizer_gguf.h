/* tokenizer_gguf.h - the tokenizer that a llama.cpp GGUF file carries in its metadata. */
#ifndef VT_PIPELINE_TOKENIZER_GGUF_H
#define VT_PIPELINE_TOKENIZER_GGUF_H

#include "text/tokenizer.h"
#include "weights/checkpoint.h"

/* ERR_NOTFOUND when the checkpoint has none. Nothing is kept of the checkpoint. */
ERR_MUST_CHECK enum err_code tokenizer_from_checkpoint(const struct checkpoint *cp,
                                                       struct tokenizer **out, struct err *e);
/* Is it a GGUF file, by its first bytes? Folders and what is not there are none. */
bool tokenizer_is_gguf(const char *path);
/* What tokenizer_open takes, or a GGUF file that carries one. */
ERR_MUST_CHECK enum err_code tokenizer_from_path(const char *path, struct tokenizer **out,
                                                 struct err *e);

#endif
