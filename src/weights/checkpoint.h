/* checkpoint.h - the tensors of one component on disk, mapped and validated, never copied.
 *
 * One catalogue over every accepted container: a safetensors file, shards behind a
 * *.safetensors.index.json, a GGUF file, or a diffusers component folder holding one of these. Every
 * header is checked before anything is believed: counts, name lengths, dims, products, offsets inside
 * the file, no overlap, no duplicate names, dtype known.
 *
 * Owner: whoever opened it; the mapped bytes and all names live until checkpoint_close. Immutable after
 * opening: freely shared between threads.
 *
 *     struct checkpoint *c;
 *     if (checkpoint_open("transformer/", &c, &e) != ERR_OK) ...
 *     const struct weights_tensor *t = checkpoint_find(c, "x_embedder.weight");
 *     checkpoint_close(c);
 */
#ifndef VT_WEIGHTS_CHECKPOINT_H
#define VT_WEIGHTS_CHECKPOINT_H

#include "base/err.h"
#include "base/str.h"
#include "weights/dtype.h"

enum { WEIGHTS_MAX_DIMS = 5 };

struct weights_tensor {
    const char *name; /* as stored; NUL-terminated */
    enum dtype dtype;
    int n_dims; /* 0 for a scalar */
    /* Reading order, outermost first: a linear layer is [out, in]. GGUF's reversed order is turned round. */
    int64_t dims[WEIGHTS_MAX_DIMS];
    const unsigned char *data; /* in the map; any alignment */
    uint64_t bytes;
    int file; /* index for checkpoint_file_path */
};

enum checkpoint_format { CHECKPOINT_SAFETENSORS, CHECKPOINT_GGUF };

struct checkpoint;

/* path: a .safetensors file, a .gguf file (of a split one any part, which opens all), an index.json, or a folder with exactly one checkpoint in it
 * (index first; *.safetensors; *.gguf; several unrelated files: refused with their names).
 * The format is told from the bytes, not from the name. */
ERR_MUST_CHECK enum err_code checkpoint_open(const char *path, struct checkpoint **out,
                                             struct err *e);
/* Is it the name of a part of a split GGUF other than the first ("NAME-00002-of-00003.gguf")? Opening any of
 * them opens all. */
bool checkpoint_is_later_part(const char *path);
/* The same for one file's bytes in memory, which stay the caller's and must outlive the checkpoint.
 * name stands for the path in messages. */
ERR_MUST_CHECK enum err_code checkpoint_open_bytes(const char *name, const void *p, size_t n,
                                                   struct checkpoint **out, struct err *e);
void checkpoint_close(struct checkpoint *c);

enum checkpoint_format checkpoint_format(const struct checkpoint *c);
const char *checkpoint_path(const struct checkpoint *c);
size_t checkpoint_file_count(const struct checkpoint *c);
const char *checkpoint_file_path(const struct checkpoint *c, size_t i);
/* The whole mapping of file i: the base and size that tensors of that file point into. */
const unsigned char *checkpoint_file_bytes(const struct checkpoint *c, size_t i, uint64_t *n);

/* Sorted by name. Borrowed from c. */
size_t checkpoint_count(const struct checkpoint *c);
const struct weights_tensor *checkpoint_at(const struct checkpoint *c, size_t i);
const struct weights_tensor *checkpoint_find(const struct checkpoint *c, const char *name);

/* Metadata: safetensors' __metadata__ strings, GGUF's key-value pairs. False when absent or of another
 * kind. Strings are borrowed from c. */
bool checkpoint_meta_str(const struct checkpoint *c, const char *key, struct str *out);
bool checkpoint_meta_i64(const struct checkpoint *c, const char *key, int64_t *out);
bool checkpoint_meta_double(const struct checkpoint *c, const char *key, double *out);
/* Arrays of strings or numbers (a GGUF tokenizer, per-layer values): count, then items. */
size_t checkpoint_meta_array_count(const struct checkpoint *c, const char *key);
bool checkpoint_meta_array_str(const struct checkpoint *c, const char *key, size_t i,
                               struct str *out);
bool checkpoint_meta_array_double(const struct checkpoint *c, const char *key, size_t i,
                                  double *out);

#endif
