/* gguf_write.h - writes a GGUF file of float32 tensors, as llama.cpp's converter lays it out. */
#ifndef VT_PARITY_GGUF_WRITE_H
#define VT_PARITY_GGUF_WRITE_H

#include "base/buf.h"

struct gguf_writer {
    struct buf pairs, infos, data;
    uint64_t n_pairs, n_tensors;
};

void gguf_begin(struct gguf_writer *g);
void gguf_str(struct gguf_writer *g, const char *key, const char *value);
void gguf_u32(struct gguf_writer *g, const char *key, uint32_t value);
void gguf_f32(struct gguf_writer *g, const char *key, float value);
void gguf_u32_array(struct gguf_writer *g, const char *key, const uint32_t *v, size_t n);
void gguf_str_array(struct gguf_writer *g, const char *key, const struct str *v, size_t n);
/* dims in reading order. */
void gguf_tensor(struct gguf_writer *g, const char *name, const int64_t *dims, int n_dims,
                 const float *data);
/* Fails the running test when the file cannot be written. */
void gguf_end(struct gguf_writer *g, const char *path);

#endif
