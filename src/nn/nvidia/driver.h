/* driver.h - the driver of NVIDIA cards, libcuda.so.1: opened at run time, declared here.
 *
 * The driver is all that is needed: no header and no other library of CUDA, neither to build nor to run. Its
 * functions are looked up by the names that its binary interface has ("cuMemAlloc_v2"); a driver that lacks one is
 * refused by that name. VEETANCE_CUDA_DRIVER names another library, for tests.
 */
#ifndef VT_NN_NVIDIA_DRIVER_H
#define VT_NN_NVIDIA_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The driver's own types. Handles are pointers that only it looks into. */
typedef int nv_result; /* CUresult */
typedef int nv_dev;    /* CUdevice */
typedef uint64_t nv_ptr;
struct nv_context;
struct nv_module;
struct nv_function;
struct nv_stream;
struct nv_event;
struct nv_capture; /* CUgraph */
struct nv_replay;  /* CUgraphExec */

enum {
    NV_SUCCESS = 0,
    NV_ERROR_OUT_OF_MEMORY = 2,
    NV_ERROR_NO_DEVICE = 100,
};

/* CUdevice_attribute */
enum {
    NV_ATTR_MULTIPROCESSORS = 16,
    NV_ATTR_MAJOR = 75,
    NV_ATTR_MINOR = 76,
    NV_ATTR_SHARED_OPTIN = 97,
};

enum {
    NV_FUNC_MAX_DYNAMIC_SHARED = 8, /* CUfunction_attribute */
    NV_STREAM_NON_BLOCKING = 1,
    NV_EVENT_NO_TIMING = 2,
    NV_CONTEXT_BLOCKING_SYNC = 4, /* a thread that waits sleeps */
    NV_CAPTURE_THREAD = 1,        /* other threads do as they like meanwhile */
};

/* What ends a recording and nothing else. */
enum { NV_ERROR_CAPTURE_FIRST = 900, NV_ERROR_CAPTURE_LAST = 909 };

/* CUtensorMap */
enum {
    NV_MAP_TYPE_U8 = 0,
    NV_MAP_TYPE_F32 = 7,
    NV_MAP_TYPE_BF16 = 9,
    NV_MAP_SWIZZLE_128B = 3,
    NV_MAP_L2_256B = 3,
};

/* NV_FN(field, symbol, parameters); all return nv_result. */
#define NV_DRIVER_FUNCTIONS(NV_FN)                                                                 \
    NV_FN(init, "cuInit", (unsigned flags))                                                        \
    NV_FN(driver_version, "cuDriverGetVersion", (int *out))                                        \
    NV_FN(error_name, "cuGetErrorName", (nv_result r, const char **out))                           \
    NV_FN(error_text, "cuGetErrorString", (nv_result r, const char **out))                         \
    NV_FN(device_count, "cuDeviceGetCount", (int *out))                                            \
    NV_FN(device_get, "cuDeviceGet", (nv_dev * out, int ordinal))                                  \
    NV_FN(device_name, "cuDeviceGetName", (char *out, int size, nv_dev d))                         \
    NV_FN(device_attribute, "cuDeviceGetAttribute", (int *out, int attribute, nv_dev d))           \
    NV_FN(device_memory, "cuDeviceTotalMem_v2", (size_t * out, nv_dev d))                          \
    NV_FN(context_new, "cuCtxCreate_v2", (struct nv_context * *out, unsigned flags, nv_dev d))     \
    NV_FN(context_free, "cuCtxDestroy_v2", (struct nv_context * c))                                \
    NV_FN(context_use, "cuCtxSetCurrent", (struct nv_context * c))                                 \
    NV_FN(memory_info, "cuMemGetInfo_v2", (size_t * free_bytes, size_t * total))                   \
    NV_FN(memory_new, "cuMemAlloc_v2", (nv_ptr * out, size_t bytes))                               \
    NV_FN(memory_free, "cuMemFree_v2", (nv_ptr p))                                                 \
    NV_FN(host_new, "cuMemHostAlloc", (void **out, size_t bytes, unsigned flags))                  \
    NV_FN(host_free, "cuMemFreeHost", (void *p))                                                   \
    NV_FN(to_device, "cuMemcpyHtoDAsync_v2",                                                       \
          (nv_ptr dst, const void *src, size_t n, struct nv_stream *s))                            \
    NV_FN(to_host, "cuMemcpyDtoHAsync_v2", (void *dst, nv_ptr src, size_t n, struct nv_stream *s)) \
    NV_FN(copy, "cuMemcpyDtoDAsync_v2", (nv_ptr dst, nv_ptr src, size_t n, struct nv_stream * s))  \
    NV_FN(fill, "cuMemsetD8Async",                                                                 \
          (nv_ptr dst, unsigned char value, size_t n, struct nv_stream *s))                        \
    NV_FN(module_new, "cuModuleLoadDataEx",                                                        \
          (struct nv_module * *out, const void *image, unsigned n, int *options, void **values))   \
    NV_FN(module_function, "cuModuleGetFunction",                                                  \
          (struct nv_function * *out, struct nv_module * m, const char *name))                     \
    NV_FN(function_set, "cuFuncSetAttribute", (struct nv_function * f, int attribute, int value))  \
    NV_FN(launch, "cuLaunchKernel",                                                                \
          (struct nv_function * f, unsigned grid_x, unsigned grid_y, unsigned grid_z,              \
           unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,                  \
           struct nv_stream *s, void **params, void **extra))                                      \
    NV_FN(stream_new, "cuStreamCreate", (struct nv_stream * *out, unsigned flags))                 \
    NV_FN(stream_free, "cuStreamDestroy_v2", (struct nv_stream * s))                               \
    NV_FN(stream_wait, "cuStreamSynchronize", (struct nv_stream * s))                              \
    NV_FN(event_new, "cuEventCreate", (struct nv_event * *out, unsigned flags))                    \
    NV_FN(event_free, "cuEventDestroy_v2", (struct nv_event * v))                                  \
    NV_FN(event_record, "cuEventRecord", (struct nv_event * v, struct nv_stream * s))              \
    NV_FN(event_wait, "cuEventSynchronize", (struct nv_event * v))

/* Only of drivers since 12.0, for the kernels of sm_90a. */
#define NV_DRIVER_TENSOR_MAP(NV_FN)                                                                \
    NV_FN(tensor_map, "cuTensorMapEncodeTiled",                                                    \
          (void *out, int type, unsigned rank, nv_ptr p, const uint64_t *dims,                     \
           const uint64_t *strides, const uint32_t *box, const uint32_t *steps, int interleave,    \
           int swizzle, int l2, int out_of_bounds))

/* Recording what a stream is given, to launch it again as one. */
#define NV_DRIVER_RECORDING(NV_FN)                                                                 \
    NV_FN(record_begin, "cuStreamBeginCapture_v2", (struct nv_stream * s, int mode))               \
    NV_FN(record_end, "cuStreamEndCapture", (struct nv_stream * s, struct nv_capture * *out))      \
    NV_FN(capture_free, "cuGraphDestroy", (struct nv_capture * g))                                 \
    NV_FN(replay_new, "cuGraphInstantiateWithFlags",                                               \
          (struct nv_replay * *out, struct nv_capture * g, unsigned long long flags))              \
    NV_FN(replay_free, "cuGraphExecDestroy", (struct nv_replay * r))                               \
    NV_FN(replay, "cuGraphLaunch", (struct nv_replay * r, struct nv_stream * s))

struct nv_driver {
#define NV_FN(field, symbol, parameters) nv_result(*field) parameters;
    NV_DRIVER_FUNCTIONS(NV_FN)
    NV_DRIVER_TENSOR_MAP(NV_FN)
    NV_DRIVER_RECORDING(NV_FN)
#undef NV_FN
    bool records; /* all of NV_DRIVER_RECORDING is there */
    int version;  /* 12040: 12.4 */
    char path[4096];
};

/* NULL when there is no driver, or it does not start; why (may be NULL) gets the reason. Opened once. */
const struct nv_driver *nv_driver_get(struct err *why);

/* The driver's own words: "CUDA_ERROR_INVALID_VALUE: invalid argument". Static string where it has none. */
const char *nv_driver_words(const struct nv_driver *d, nv_result r, char *out, size_t size);

#endif
