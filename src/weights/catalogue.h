/* catalogue.h - inside this room: what the readers fill in while a checkpoint opens.
 *
 * A reader gets the bytes of one file, checks all that can be checked without other files and adds its
 * tensors and metadata. checkpoint.c then sorts, and checks what spans tensors: overlap and double names.
 */
#ifndef VT_WEIGHTS_CATALOGUE_H
#define VT_WEIGHTS_CATALOGUE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "weights/checkpoint.h"

/* Far above what real checkpoints hold (a few thousand tensors, 40 keys), far below what would use too much memory. */
enum {
    CATALOGUE_MAX_TENSORS = 200000,
    CATALOGUE_MAX_NAME_BYTES = 512,
    CATALOGUE_MAX_META = 65536,
    CATALOGUE_MAX_KEY_BYTES = 65535,
    CATALOGUE_MAX_FILES = 4096,
    CATALOGUE_MARK_EVERY = 32, /* strings between two marks of a string array */
};

/* GGUF's numbers for value types; safetensors' strings are META_STRING. */
enum meta_type {
    META_U8,
    META_I8,
    META_U16,
    META_I16,
    META_U32,
    META_I32,
    META_F32,
    META_BOOL,
    META_STRING,
    META_ARRAY,
    META_U64,
    META_I64,
    META_F64,
};

struct meta_item {
    struct str key;
    int file;
    enum meta_type type;
    enum meta_type elem;    /* of an array */
    uint64_t count;         /* of an array */
    struct str text;        /* of a string */
    const unsigned char *p; /* a number, or an array's first element */
    const uint64_t
        *marks; /* string arrays: offset from p of every CATALOGUE_MARK_EVERY-th string */
};

struct weights_file {
    char *path;
    const unsigned char *p;
    uint64_t n;
    struct file_map map; /* empty when the bytes are the caller's */
};

struct checkpoint {
    struct arena arena; /* names, paths, marks, copied metadata */
    char *path;
    enum checkpoint_format format;
    struct weights_file *files;
    size_t n_files;
    struct weights_tensor *tensors;
    size_t n_tensors, cap_tensors;
    struct meta_item *meta;
    size_t n_meta, cap_meta;
};

/* Checks name, rank, dims and place, computes the size, and adds the tensor. dims in reading order.
 * room is the size of the file's data section, offset counts from data. When claimed is not NULL the
 * computed size must equal it. */
struct tensor_claim {
    struct str name;
    enum dtype dtype;
    int n_dims;
    int64_t dims[WEIGHTS_MAX_DIMS];
    uint64_t offset;
    const uint64_t *claimed_bytes;
};
ERR_MUST_CHECK enum err_code catalogue_add_tensor(struct checkpoint *c, int file,
                                                  const unsigned char *data, uint64_t room,
                                                  const struct tensor_claim *claim, struct err *e);
ERR_MUST_CHECK enum err_code catalogue_add_meta(struct checkpoint *c, const struct meta_item *item,
                                                struct err *e);

/* Bytes of one number of this type; 0 for strings and arrays. */
size_t catalogue_meta_size(enum meta_type type);
/* The value of a number. */
bool catalogue_meta_i64(const struct meta_item *m, int64_t *out);
bool catalogue_meta_double(const struct meta_item *m, double *out);
/* Item i of an array of integers. */
bool catalogue_meta_item_i64(const struct meta_item *m, size_t i, int64_t *out);

/* A NUL-terminated, printable, shortened copy of bytes from outside, for messages. */
struct catalogue_shown {
    char z[100];
};
struct catalogue_shown catalogue_show(struct str s);

/* "[4096, 3072]" for messages. */
struct catalogue_shape {
    char z[140];
};
struct catalogue_shape catalogue_shape(const int64_t *dims, int n_dims);

/* The readers. file is the index in c->files, whose bytes are set. */
ERR_MUST_CHECK enum err_code safetensors_read(struct checkpoint *c, int file, struct err *e);
ERR_MUST_CHECK enum err_code gguf_read(struct checkpoint *c, int file, struct err *e);

/* What needs the sorted catalogue: checks that the parts of a split file are all there, restores shapes that a converter
 * flattened. */
ERR_MUST_CHECK enum err_code gguf_finish(struct checkpoint *c, struct err *e);

/* Sorts, and checks what spans tensors. Called once after the last reader. */
ERR_MUST_CHECK enum err_code catalogue_finish(struct checkpoint *c, struct err *e);

#endif
