/* device.h - where a graph runs: an NVIDIA card (nn/nvidia), or a ggml backend, found and loaded by name.
 *
 * "cuda" and "cuda1" need nothing but the card's driver. ggml's backends are shared libraries that are loaded at run
 * time. Opening the CPU loads one library (the variant that scores highest on this processor) and scans no other;
 * "vulkan" loads exactly its own; "auto" takes an NVIDIA card if there is one, and else loads all, as listing does.
 * The folder is the one libggml itself was installed with; VEETANCE_GGML_DIR names another. A pin (nn/pin.h) says
 * which library and device it is to be: then exactly that one is loaded and no folder is listed.
 *
 * One thread at a time uses a device. ggml's own asserts end the process on impossible graphs, so shapes
 * are checked before they get here.
 */
#ifndef VT_NN_DEVICE_H
#define VT_NN_DEVICE_H

#include <ggml-backend.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct nn_device;
struct nv_card;

struct nn_device_info {
    char name[64];         /* what --device takes, e.g. "cpu", "vulkan0" */
    char description[128]; /* the driver's words */
    bool is_cpu;
    bool is_software;                 /* emulates a GPU on the processor: for tests */
    bool is_card, has_fp8;            /* an NVIDIA card of our engine; one with float8 products */
    uint64_t total_bytes, free_bytes; /* memory; 0 when the backend does not report it */
};

/* All devices of all backends that are installed. */
ERR_MUST_CHECK enum err_code nn_device_list(struct nn_device_info *out, size_t max, size_t *n,
                                            struct err *e);

/* want: "cpu", "vulkan", "cuda", "auto" (a real GPU if there is one, else the CPU), or a name from the list
 * ("vulkan1"), or "rpc:HOST:PORT", a worker on another machine. threads: for the CPU; 0 = one per available core. */
ERR_MUST_CHECK enum err_code nn_device_open(const char *want, int threads, struct nn_device **out,
                                            struct err *e);
void nn_device_close(struct nn_device *d);
/* Before serving, and before a budget is put on this process, since a thread takes memory: clients that the network took
 * away are let go, as long as the process lives. */
ERR_MUST_CHECK enum err_code nn_device_watch_clients(struct err *e);
/* Serves this device to other machines on "HOST:PORT", one client after the other. Returns only on failure. */
ERR_MUST_CHECK enum err_code nn_device_serve(const struct nn_device *d, const char *address,
                                             struct err *e);

/* ERR_ARG unless the address is "HOST:PORT". */
ERR_MUST_CHECK enum err_code nn_device_check_address(const char *address, struct err *e);
/* fn is called with the reason right before ggml ends the process: a worker that vanished, a driver that failed. */
void nn_device_on_abort(void (*fn)(const char *why));

/* Path of the backend library that drives the device; "" when unknown. Borrowed from d. */
const char *nn_device_library(const struct nn_device *d);
/* Multiplies matrices for about a quarter of a second and gives the floating point operations a second. */
ERR_MUST_CHECK enum err_code nn_device_measure(const struct nn_device *d, double *out,
                                               struct err *e);
/* Pins this device (nn/pin.h): later starts open it by default. flops: measured, or 0. */
ERR_MUST_CHECK enum err_code nn_device_pin(const struct nn_device *d, double flops, struct err *e);

/* The card, NULL: the device is a backend of ggml. */
struct nv_card *nn_device_card(const struct nn_device *d);
/* NULL on a card of ours. */
ggml_backend_t nn_device_backend(const struct nn_device *d);
ggml_backend_dev_t nn_device_ggml(const struct nn_device *d);
bool nn_device_is_cpu(const struct nn_device *d);
int nn_device_threads(const struct nn_device *d);
/* For the next graphs: at most n of the device's threads. No effect on other devices than the CPU. */
void nn_device_use_threads(struct nn_device *d, int n);
/* In what the blocks of a model multiply: in what their weights are, or in 8 bits, with a scale a row of weights and of
 * tokens. */
enum nn_compute { NN_COMPUTE_DEFAULT, NN_COMPUTE_INT8, NN_COMPUTE_FP8 };
/* int8: a CPU on which that is the fastest, every NVIDIA card. fp8 (e4m3): a card with kernels of sm_90. */
bool nn_device_has_compute(const struct nn_device *d, enum nn_compute c);
/* Where models allow it, for the next graphs, and on a card for what is engaged from here on. Falls back to the default
 * where the device lacks it. */
void nn_device_use_compute(struct nn_device *d, enum nn_compute c);
enum nn_compute nn_device_compute(const struct nn_device *d);
void nn_device_info(const struct nn_device *d, struct nn_device_info *out);

/* ---- memory ------------------------------------------------------------------------------------------ */

struct nn_params;
struct nn_uploader;
struct nn_profile;
enum nn_memory_kind { NN_MEMORY_WEIGHTS, NN_MEMORY_COMPUTE };

/* The accountant (src/memory) is asked before anything takes the device's memory, and told when it is given back.
 * take: may evict other weights to make room, or refuse with ERR_NOMEM; `what` names the purpose for messages.
 * gone: a parameter set is about to be freed. ran: a graph has run for which this many bytes of weights were
 * streamed. Without an accountant everything is granted. */
struct nn_accountant {
    enum err_code (*take)(void *user, enum nn_memory_kind kind, uint64_t bytes, const char *what,
                          struct err *e);
    void (*give)(void *user, enum nn_memory_kind kind, uint64_t bytes);
    void (*gone)(void *user, const struct nn_params *ps);
    void (*ran)(void *user, uint64_t streamed_bytes);
    void *user;
};

/* NULL: none. The device keeps a copy. */
void nn_device_set_accountant(struct nn_device *d, const struct nn_accountant *a);
/* NULL when there is none. */
const struct nn_accountant *nn_device_accountant(const struct nn_device *d);

/* A dry device measures instead of computing: engaging and preparing take memory from the accountant but
 * not from the device, running does nothing, and reading leaves what is there. A plan is a dry run of the request. */
void nn_device_set_dry(struct nn_device *d, bool dry);
bool nn_device_is_dry(const struct nn_device *d);

ERR_MUST_CHECK enum err_code nn_device_take(struct nn_device *d, enum nn_memory_kind kind,
                                            uint64_t bytes, const char *what, struct err *e);
void nn_device_give(struct nn_device *d, enum nn_memory_kind kind, uint64_t bytes);

/* A device that failed is restarted, and everything in its memory is lost: this gives true once after that. */
bool nn_device_renew(struct nn_device *d);
/* Memory that the device's own context takes, beside what is allocated. */
uint64_t nn_device_overhead(const struct nn_device *d);

/* Whether its matrix units take bf16; where they do not, bf16 matrices are converted to half precision on upload. */
bool nn_device_has_bf16(const struct nn_device *d);
/* The uploader that fills the memory of parameters; made on first use. */
struct nn_uploader *nn_device_uploader(struct nn_device *d);
/* Page-locked host memory in use. */
uint64_t nn_device_locked_bytes(const struct nn_device *d);

/* The parameter set whose blocks are being streamed (at most one a device); NULL: none. */
void nn_device_set_streaming(struct nn_device *d, struct nn_params *ps);
struct nn_params *nn_device_streaming(const struct nn_device *d);

/* Until it is set to NULL every graph adds its nodes' times to p (profile.h), except for graphs whose weights
 * are streamed. */
void nn_device_set_profile(struct nn_device *d, struct nn_profile *p);
struct nn_profile *nn_device_profile(const struct nn_device *d);

/* While *cancel is true, engaging stops with ERR_CANCELLED, within a few megabytes of weights. NULL: never. */
void nn_device_set_cancel(struct nn_device *d, const atomic_bool *cancel);
const atomic_bool *nn_device_cancel(const struct nn_device *d);

/* Of a device that is a worker: the connection to it is given up when it is silent for so long. 0: a minute. */
void nn_device_set_patience(struct nn_device *d, double seconds);
/* Whoever has made ggml connect says so. Does nothing for a device of this machine. */
void nn_device_guard(const struct nn_device *d);

/* The watch is told how far the device's graphs are, on the thread that runs them: 0 to 1, never less than before, many
 * times a second. NULL: none. Work that takes several graphs sets a span before each, which says which part of the whole
 * that graph is. Spans nest: whoever sets one restores the one before it. */
struct nn_watch {
    void (*fn)(void *user, double done);
    void *user;
};
struct nn_span {
    double from, share;
};
void nn_device_set_watch(struct nn_device *d, const struct nn_watch *w);
bool nn_device_watched(const struct nn_device *d);
struct nn_span nn_device_span(const struct nn_device *d);
void nn_device_set_span(struct nn_device *d, struct nn_span span);
static inline struct nn_span nn_span_part(struct nn_span whole, double from, double share)
{
    return (struct nn_span){whole.from + from * whole.share, share * whole.share};
}
/* For what runs a graph: done is of that graph. */
void nn_device_tell_watch(struct nn_device *d, double done);

/* Called between operations while a graph runs on the CPU; true stops it. NULL turns it off. */
void nn_device_set_abort(struct nn_device *d, bool (*fn)(void *user), void *user);

#endif
