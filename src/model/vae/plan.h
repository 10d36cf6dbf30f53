/* plan.h - how a half is run inside a limit of memory: as one graph, or in stages and bands.
 *
 * Stages. The list of operations is cut where a map of the whole image must be there before anything behind
 * it can be computed (a norm over the whole image needs its sums), and where a cut costs little (before
 * a resnet, an upsampling, a downsampling). Between two stages the map lies in a slot: rows one after the other,
 * [height, channels, width], so that a band of rows is one piece of memory. A stage goes through its result's
 * rows from top to bottom, a band at a time, with a graph that reads the band's rows of the input and those
 * above and below that its convolutions reach. Nothing is blended, and nothing but those rows of cheap
 * operations is computed twice.
 *
 * Slots. A stage of a resnet writes its result over one of its inputs where the rows have the same length:
 * over what was kept, which is read at the very rows that are written, or over its input, so many rows higher
 * as its convolutions reach up. So a slot has `lead` rows more than the map, and a map in it is shifted.
 *
 * Where slots lie. On the device as many as fit beside the graphs, the smallest first; the others in host
 * memory. On the CPU that is the same memory, so there they go into a temporary file instead.
 *
 * All sizes come from ggml's allocator measuring the graphs that will run; nothing depends on values.
 */
#ifndef VT_MODEL_VAE_PLAN_H
#define VT_MODEL_VAE_PLAN_H

#include <stdatomic.h>

#include "model/vae/walk.h"
#include "nn/rows.h"

struct vae_limits {
    size_t compute; /* bytes on the device for graphs and maps; 0: no limit, one graph */
    size_t host;    /* bytes of host memory for maps, beyond that a file; 0: no limit */
};

/* What a run takes. device_bytes is the peak of graph and maps together. */
struct vae_need {
    bool banded;
    int stages;
    size_t device_bytes, compute_bytes, spill_device_bytes, spill_host_bytes, spill_file_bytes;
};

enum vae_place { VAE_ON_DEVICE, VAE_IN_HOST_MEMORY, VAE_IN_FILE };

struct vae_slot {
    size_t row_bytes;
    int64_t rows, lead;
    int first, last; /* stages that need it */
    enum vae_place place;
    bool tried; /* while places are chosen */
};

enum { VAE_CALLER = -1, VAE_NONE = -2 }; /* the caller's image or latents; nothing */

/* Row r of the map is row r + lead - up of the slot. */
struct vae_map {
    int slot;
    int64_t up;
};

struct vae_stage {
    int first, last;    /* operations [first, last) */
    int norm;           /* the norm over groups whose sums the stage before gathered; -1: none */
    int keep;           /* the operation before it that kept what it adds; -1: none */
    bool gathers;       /* sums of its result */
    bool attends, even; /* bands of equal size; of an even number of rows */
    struct vae_map in, kept, out;
    int64_t band; /* rows of the result at a time */
    size_t compute_bytes;
};

struct vae_plan {
    const struct vae_half *half;
    struct nn_device *device;
    bool exact;
    struct vae_shape *shapes; /* [half->n + 1] */
    struct vae_stage *stages;
    struct vae_slot *slots;
    struct vae_step *steps; /* [2, half->n]: room for two bands */
    int n_stages, n_slots;
    struct vae_need need;
};

/* The parameters must be engaged (or dry). ERR_NOMEM when nothing fits into the limit. */
ERR_MUST_CHECK enum err_code vae_plan_make(const struct vae_half *half, struct nn_device *device,
                                           bool exact, struct vae_shape in,
                                           struct vae_limits limits, struct vae_plan *out,
                                           struct err *e);
void vae_plan_deinit(struct vae_plan *p);
/* The smallest compute limit that works. */
ERR_MUST_CHECK enum err_code vae_plan_smallest(const struct vae_half *half,
                                               struct nn_device *device, bool exact,
                                               struct vae_shape in, size_t *bytes, struct err *e);

/* ---- for the executor ------------------------------------------------------------------------------ */

size_t vae_slot_bytes(const struct vae_slot *s);

/* Band i of a stage whose result has `height` rows, with bands of about `band`; how many there are. */
int64_t vae_stage_bands(const struct vae_stage *s, int64_t height, int64_t band);
struct vae_rows vae_stage_band(const struct vae_stage *s, int64_t height, int64_t band, int64_t i);

/* The graph of one band. On the CPU it reads and writes the maps where they are: `direct`, and the three nn_rows
 * must be set before each run (so it must not be moved). Elsewhere it has inputs and an output, [rows, channels,
 * width]. */
struct vae_band_graph {
    struct nn_graph g;
    bool direct;
    struct nn_rows in_rows, kept_rows, out_rows;
    struct ggml_tensor *in, *kept, *out;
    struct ggml_tensor *sums, *carry, *gathered; /* NULL: the stage has none */
};
void vae_band_graph_build(const struct vae_plan *p, const struct vae_stage *s,
                          const struct vae_step *steps, struct vae_rows in, struct vae_rows kept,
                          struct vae_band_graph *out);
/* The graph of everything. x, y: [channels, height, width]. */
void vae_whole_graph_build(const struct vae_plan *p, bool trace, struct nn_graph *g,
                           struct ggml_tensor **x, struct ggml_tensor **y);

#endif
