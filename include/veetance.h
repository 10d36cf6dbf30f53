/* veetance.h - the C library: make, edit and take apart images on this machine.
 *
 *     struct vt_error err;
 *     struct vt_engine *engine;
 *     if (vt_engine_open(NULL, &engine, &err) != VT_OK)
 *         return fail(err.text);
 *     struct vt_request rq = vt_request_defaults();
 *     rq.model = "micro-klein";
 *     rq.prompt = "a red star on a white background";
 *     struct vt_result *result;
 *     if (vt_generate(engine, &rq, NULL, &result, &err) == VT_OK)
 *         save(vt_result_image(result, 0));   // its pixels belong to the result
 *     vt_result_free(result);
 *     vt_engine_close(engine);
 *
 * An engine runs one request at a time; calls from several threads must be serialised by the caller, except
 * vt_engine_cancel, which any thread and any signal handler may call. Models stay open between requests.
 * vt_generate and its like return when the work is done; vt_submit (see "jobs") returns at once.
 * Nothing here talks to the network, prints, or ends the process.
 *
 * Who owns what:
 * - The caller frees an engine with vt_engine_close, and each result with the _free function of its kind. A result does
 *   not need its engine: it may be used and freed after vt_engine_close.
 * - Strings and pixels in a struct that the caller passes in (options, requests) are borrowed for that call alone. The
 *   one exception is vt_result_request, see there.
 * - Strings and pixels that come out of a result are borrowed from it, until it is freed. Nothing else that comes out is
 *   to be freed; what is a "static string" is valid for ever.
 * - What a callback gets is valid until the callback returns.
 * - struct vt_error, vt_device, vt_memory, vt_plan and vt_stats hold copies: nothing in them points anywhere.
 * err may be NULL wherever it is taken; on success its text is "".
 */
#ifndef VEETANCE_H
#define VEETANCE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VT_API __attribute__((visibility("default")))

enum vt_status {
    VT_OK = 0,
    VT_ERR_ARG,       /* a request that makes no sense */
    VT_ERR_NOTFOUND,  /* a model, file or device that is not there */
    VT_ERR_FORMAT,    /* a file that is broken, or of another kind */
    VT_ERR_LIMIT,     /* sound, but larger than allowed */
    VT_ERR_IO,        /* the system failed to read or write */
    VT_ERR_NOMEM,     /* memory would not suffice */
    VT_ERR_DEVICE,    /* the compute device failed */
    VT_ERR_BUSY,      /* try again later */
    VT_ERR_CANCELLED, /* vt_engine_cancel was called */
    VT_ERR_NUMERIC,   /* the model gave NaN, infinity or noise: never reported as a result */
    VT_ERR_INTERNAL,  /* a bug of ours */

    /* Only of an isolated engine: its process ended in the middle of a request. The next request has a new one. */
    VT_ERR_ENGINE_CRASHED,       /* by a signal, or by itself */
    VT_ERR_ENGINE_LOST_WORKER,   /* a `veetance worker` that it computed on is gone */
    VT_ERR_ENGINE_OUT_OF_MEMORY, /* the system killed it for want of memory */
    VT_ERR_ENGINE_STUCK          /* it gave no sign of life, and was killed */
};

struct vt_error {
    enum vt_status status;
    char text[480]; /* one sentence: what, which, expected, found */
};

/* "format", "not_found", ...: a stable word. Static string. */
VT_API const char *vt_status_name(enum vt_status status);
/* "1.2.0". Static string. */
VT_API const char *vt_version(void);

/* ---- devices and the engine ----------------------------------------------------------------------- */

struct vt_device {
    char name[64];         /* what vt_engine_options.device takes */
    char description[128]; /* the driver's words */
    int is_cpu;
    uint64_t total_bytes, free_bytes; /* memory; 0 when unknown */
};

/* Fills out[0 .. *n - 1] with copies, at most max. */
VT_API enum vt_status vt_devices(struct vt_device *out, size_t max, size_t *n,
                                 struct vt_error *err);

/* Strings are read by vt_engine_open and not kept. */
struct vt_engine_options {
    /* "cpu", "vulkan", "cuda", "auto", a device's name, or "rpc:HOST:PORT" for a `veetance worker`. NULL: auto. */
    const char *device;
    /* Components on devices of their own: "text=vulkan1,vae=cpu"; the third name is transformer. NULL: none. */
    const char *place;
    int threads; /* for the CPU; 0: one a core */
    /* The most memory that may be used of each device: "16G", "512M", "80%" (of the device's memory), or bytes. NULL:
     * what is free now less 1 GiB. On the CPU, where weights stay in mapped files, it bounds what is computed and
     * converted. */
    const char *budget;
    /* The type that transformers and text encoders run in ("q8_0", "q5_0", "q4_k", ...). They are converted when
     * they are first opened, which takes time and disk space, and kept in $VEETANCE_HOME/cache/weights
     * (else $XDG_CACHE_HOME/veetance/weights, ~/.cache/veetance/weights). NULL: as stored. */
    const char *weights;
    /* Not 0: the engine runs in a process of its own, so that whatever ends it (a crash of a driver, want of memory, a
     * worker that vanishes) is a failed request here. Everything else is the same, but for this: the process is a
     * child of this one, started when it is needed; vt_memory and vt_stats are about that process; where a request
     * writes to (trace_path, cache_dir) is as that process sees it. */
    int isolated;
    const char
        *program; /* `veetance`, of this version; NULL: this program if it is one, else by $PATH */
    /* Not 0: that process has no network (but for a worker that is named) and no files but those of the model, of the
     * system's libraries and devices, of the cache of converted weights, and of the request's trace and cache. What
     * the kernel cannot refuse it keeps. */
    int confined;
    /* Seconds without a sign of life after which it counts as stuck, and without one of the network after which a
     * worker counts as lost; 0: 60. */
    double patience;
    /* The model that the first request will most likely ask for: its tokenizer is read while the device starts. Does nothing
     * where the engine runs in a process of its own. NULL: none. */
    const char *model;
};

struct vt_engine;

/* options may be NULL: all defaults. The caller frees *out with vt_engine_close; NULL on failure. */
VT_API enum vt_status vt_engine_open(const struct vt_engine_options *options,
                                     struct vt_engine **out, struct vt_error *err);
/* Accepts NULL. Not while a request runs; jobs are cancelled. */
VT_API void vt_engine_close(struct vt_engine *engine);
/* Stops the running request within a step; safe in a signal handler. The next request runs as usual. */
VT_API void vt_engine_cancel(struct vt_engine *engine);
/* Name of the device that the transformer is on. Borrowed from the engine, until it is closed. */
VT_API const char *vt_engine_device(const struct vt_engine *engine);
/* What the process of an isolated engine wrote before it ended last, its final lines; "" when none has ended. Borrowed
 * from the engine, until the next request. */
VT_API const char *vt_engine_last_words(const struct vt_engine *engine);

/* ---- images --------------------------------------------------------------------------------------- */

/* Interleaved sRGB with straight alpha, rows from the top without gaps. It never owns its pixels: in a request they are
 * the caller's, from a result they are the result's. */
struct vt_image {
    int width, height;
    int channels; /* 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA */
    const uint8_t *pixels;
    int bits; /* a sample: 8 (0 means 8, too), or 16 in the machine's byte order. Models see all 16; results have 8. */
    /* Of a request, instead of all that: an image file (PNG, JPEG, WebP, TIFF, HEIC, AVIF, GIF, BMP), with pixels NULL.
     * An isolated engine reads it in its own process. NULL: none. */
    const char *file;
};

/* ---- memory --------------------------------------------------------------------------------------- */

struct vt_memory { /* bytes */
    uint64_t budget, current,
        peak; /* of the transformer's device; peak since the last request began */
    uint64_t host_anonymous, host_mapped, host_pinned; /* of the process */
};

VT_API void vt_engine_memory(const struct vt_engine *engine, struct vt_memory *out);
/* For the next requests; weights that no longer fit are evicted at once. 0: the default. Not while a request runs. */
VT_API enum vt_status vt_engine_set_budget(struct vt_engine *engine, uint64_t bytes,
                                           struct vt_error *err);
/* Reads "16G", "512M", "80%" or bytes for vt_engine_set_budget. A percentage is of the device with the least memory. */
VT_API enum vt_status vt_engine_parse_budget(const struct vt_engine *engine, const char *text,
                                             uint64_t *bytes, struct vt_error *err);
/* Takes every weight off the device; the models stay open. */
VT_API void vt_engine_release(struct vt_engine *engine);

enum vt_verdict { VT_RESIDENT, VT_STREAMED, VT_REFUSED };

enum { VT_MAX_STAGES = 8, VT_MAX_ADVICE = 4, VT_MAX_DEVICES = 3 };

/* What one device holds, in bytes. */
struct vt_device_memory {
    char name[64];
    uint64_t budget, current, peak;
};

struct vt_plan_stage {
    char component[32]; /* "text_encoder", "transformer", "vae_decoder", ... */
    char precision[16]; /* of its matrices */
    char device[64];
    uint64_t resident_bytes, streamed_bytes, compute_bytes;
    uint64_t peak_bytes; /* of the device while it is in use */
    /* Weights stored in less than 16 bits a value that the device holds in a wider type: from "float8" to "bfloat16",
     * and how many bytes that costs. "": none. */
    char widened_from[64], widened_to[16];
    uint64_t widened_bytes;
};

/* What a request will take, known before anything runs; a run does what its plan says. */
struct vt_plan {
    enum vt_verdict verdict;
    uint64_t budget_bytes, peak_bytes; /* of devices[0], where the transformer is */
    int device_count;
    struct vt_device_memory devices[VT_MAX_DEVICES]; /* current is not known */
    uint64_t swap_bytes;                             /* weights that the run brings to devices */
    int stage_count;
    struct vt_plan_stage stages[VT_MAX_STAGES];
    int advice_count;
    char advice[VT_MAX_ADVICE][200];
};

/* "resident", "streamed", "refused". Static string. */
VT_API const char *vt_verdict_name(enum vt_verdict verdict);

/* ---- requests ------------------------------------------------------------------------------------- */

enum { VT_MAX_IMAGES = 10, VT_MAX_COUNT = 1000, VT_MAX_FAST = 3 };

#define VT_SEED_RANDOM (-1)
#define VT_DEFAULT (-1)

enum { VT_MAX_LORAS = 8, VT_MAX_LORA_STRENGTH = 10 };

/* Small changes to the transformer's weights, as trainers write them; docs/lora.md says which files. They are applied
 * beside the weights, whatever these are stored in. */
struct vt_lora {
    const char *name; /* for the recipe; without a path the file's */
    const char *path; /* the file, or a folder that holds one; NULL: name is it */
    double strength;  /* 1: as it was trained; 0: the result is that without it, to the bit */
};

struct vt_loras {
    int count;
    struct vt_lora
        of[VT_MAX_LORAS]; /* the same file twice counts once, with the sum of the strengths */
};

/* Strings and pixels belong to the caller, who keeps them until vt_generate, vt_edit or vt_plan_picture returns. */
struct vt_request {
    /* A diffusers folder, a folder with veetance.json, or an embedded model's name. */
    const char *model;
    const char *prompt; /* UTF-8; NULL is the empty prompt */
    int width, height;  /* 64 to 2048; VT_DEFAULT: the model's, or the first image's */
    int steps;          /* VT_DEFAULT: the model's (4 distilled, 50 base) */
    int64_t seed;       /* 0 or more; VT_SEED_RANDOM */
    double guidance;    /* negative: the model's (4.0 for base models; distilled ones have none) */
    int count;          /* images, with seeds seed, seed + 1, ... */
    int max_tokens;     /* length that the prompt is padded to; VT_DEFAULT: the model's (512) */
    /* "default" (as NULL), or products of 8 bits in the blocks of transformer and text encoder, with a scale for each row of
     * weights and each token, faster and a little less exact: "int8" on the CPU and NVIDIA cards, "fp8" (e4m3) on NVIDIA cards
     * of the Hopper generation. On a card the blocks' weights take half the memory. VT_ERR_ARG where no device has it.
     * "auto": on each device the fastest that stays above 40 dB PSNR from the default (docs/performance.md). */
    const char *compute;
    /* 0: every step is computed. 1 to VT_MAX_FAST: passes of the transformer whose result can be predicted from those
     * before are left out, more from level to level; what that costs is in docs/layers.md. Of use in runs of many steps:
     * the first three and the last are always computed. vt_stats tells how many were left out. */
    int fast;
    struct vt_loras loras;
    /* Make an image with alpha: what comes out of prompt and images is edited onto a white and onto a black ground, and
     * solved for alpha and colour. Three images are made for one, and progress counts them. Not with a mask, a strength
     * or an extension. VT_ERR_ARG when the model changes no ground, so that nothing can be told. */
    int transparent;
    /* Files that the program writes of the result say nothing of how it was made. The library writes none: who does may
     * ask the result for its request. */
    int no_metadata;

    /* Editing. References; with a mask or strength the first image is the one that is painted in. */
    struct vt_image images[VT_MAX_IMAGES];
    int image_count;
    /* File names for the recipe that is written into the result's file; NULL: the recipe does not name them. */
    const char *image_names[VT_MAX_IMAGES];
    const char *mask_name;
    struct vt_image mask; /* white = paint; any mode, its own alpha counts; pixels NULL: none */
    int mask_from_alpha;  /* take the first image's alpha: transparent = paint */
    double strength;      /* 0 to 1; negative: 0.8 with a mask, otherwise not an inpainting run */
    int extend[4]; /* left, top, right, bottom: pixels added around the first image and painted */
    int feather;   /* pixels inside the mask over which the result fades in */
    /* The mask is turned round, grown by so many pixels (-1024 to 1024; negative shrinks it), and its edge fades over so
     * many at both sides (0 to 512): in this order, before anything is painted. Of use with a mask, or with extend. */
    int mask_invert, mask_grow, mask_feather;
    /* Paint only the part around the mask, with so many pixels of padding (0 to 1024), at a resolution of its own: about
     * width x height pixels where both are given, else about as many as the model makes, though no side more than four
     * times as long. Everything outside the mask stays bit for bit. Needs a mask, and a matte that is a colour. */
    int crop_to_mask, crop_padding;
    /* Undo what an edit does to all of the image: a tint, and a shift of up to a pixel. Both are measured on what the
     * mask keeps, without a mask on all that agrees with the first image. */
    int match_colours, align;
    /* The colour behind transparent pixels when the model sees an image: "white" (as NULL), "black", "grey", "#rrggbb".
     * "none": images are prepared as the reference implementation does it, with the colours that are stored under alpha,
     * and sizes cut or resampled to whole tokens. */
    const char *matte;

    /* Where to write named tensors of the run as safetensors, one file an image (with several images the seed goes
     * before the ending); NULL: nowhere. */
    const char *trace_path;
    int trace_blocks; /* also the blocks of the first step, and of the VAE */

    /* Folder for prompt embeddings across processes; NULL: this process only. */
    const char *cache_dir;
    int previews; /* for a plan: count what previews take. A run makes them when its callbacks ask for them. */
};

VT_API struct vt_request vt_request_defaults(void);

enum vt_stage { VT_STAGE_LOAD, VT_STAGE_TEXT, VT_STAGE_ENCODE, VT_STAGE_STEPS, VT_STAGE_DECODE };

struct vt_progress {
    enum vt_stage stage;
    int image, image_count; /* which image of the request, from 0 */
    /* VT_STAGE_STEPS: steps done and their number. VT_STAGE_LOAD: percent converted, and 100, while weights are
     * converted. VT_STAGE_TEXT: tokens of a caption, and the most there may be. VT_STAGE_DECODE of layers: images decoded
     * and their number, the whole one first. Otherwise 0 and 0. */
    int step, step_count;
    double done;         /* of this stage (and image), 0 to 1, never less than before */
    double step_seconds; /* time of the last step; 0 before the first */
    double seconds_left; /* of this stage; negative when unknown */
};

struct vt_result;

/* An early guess of the image: RGB, an eighth of its width and height. For layers it is one sheet: `tiles` of equal size
 * side by side, without gaps, the bottom layer at the left, on a grey chequer where they are transparent. */
struct vt_preview {
    struct vt_image image; /* valid until the callback returns */
    int tiles;             /* 1 for generate and edit */
    int step;              /* after this one, from 1 */
};

/* Each may be NULL. They are called while the request runs and may ask the engine things or cancel; they must not run a
 * request, set the budget, unload or close. What they are given is valid until they return; user is passed through. */
struct vt_callbacks {
    void (*progress)(const struct vt_progress *progress, void *user);
    /* Something that a person should know and that is not an error (a size was rounded, a mask resized). */
    void (*note)(const char *text, void *user);
    /* After each step, before its progress. Costs little; NULL: none is made. */
    void (*preview)(const struct vt_preview *preview, void *user);
    /* vt_generate, vt_edit: image i is done. The result has it and those before it; it may be read until the callback
     * returns, and must not be freed. */
    void (*image)(const struct vt_result *result, int i, void *user);
    void *user;
};

/* ---- results -------------------------------------------------------------------------------------- */

struct vt_stats {
    double load_seconds, text_seconds, encode_seconds, steps_seconds, decode_seconds, total_seconds;
    uint64_t device_weight_bytes, mapped_weight_bytes; /* of the component with the most */
    uint64_t compute_bytes;                            /* of the largest graph */
    uint64_t anonymous_bytes, file_bytes;              /* of the process, at the end */
    uint64_t pinned_bytes;                             /* page-locked, for uploads */
    int passes, passes_left_out; /* of the transformer, in all steps; see `fast` */
    /* Memory as counted against the budget: on the transformer's device, and on each. */
    uint64_t budget_bytes, device_peak_bytes, device_current_bytes;
    int device_count;
    struct vt_device_memory devices[VT_MAX_DEVICES];
};

/* Plans a request of vt_generate or vt_edit without reading its weights. A request that does not fit is not an error:
 * out->verdict is VT_REFUSED. */
VT_API enum vt_status vt_plan_picture(struct vt_engine *engine, const struct vt_request *request,
                                      struct vt_plan *out, struct vt_error *err);

/* Both take the same request; vt_edit needs at least one image, vt_generate takes none. callbacks may be NULL. The
 * caller frees *out with vt_result_free; NULL on failure. */
VT_API enum vt_status vt_generate(struct vt_engine *engine, const struct vt_request *request,
                                  const struct vt_callbacks *callbacks, struct vt_result **out,
                                  struct vt_error *err);
VT_API enum vt_status vt_edit(struct vt_engine *engine, const struct vt_request *request,
                              const struct vt_callbacks *callbacks, struct vt_result **out,
                              struct vt_error *err);
/* Accepts NULL. */
VT_API void vt_result_free(struct vt_result *result);
VT_API int vt_result_count(const struct vt_result *result);
/* i from 0 to vt_result_count - 1. The pixels are borrowed from the result, until it is freed. */
VT_API struct vt_image vt_result_image(const struct vt_result *result, int i);
VT_API int64_t vt_result_seed(const struct vt_result *result, int i);
/* Borrowed from the result, until it is freed. */
VT_API const struct vt_stats *vt_result_stats(const struct vt_result *result);
/* What the run really used, defaults filled in: model (its name), width, height, steps, guidance, count, seed,
 * max_tokens. The struct and its model are borrowed from the result, until it is freed. All its other strings and images
 * are those of the request that the caller passed in: read them only while the caller still has them. */
VT_API const struct vt_request *vt_result_request(const struct vt_result *result);

/* ---- taking an image apart ------------------------------------------------------------------------- */

/* Strings and pixels belong to the caller, who keeps them until vt_layers or vt_plan_layers returns. */
struct vt_layers_request {
    const char *model;
    struct vt_image image;
    const char *prompt; /* what the image shows; NULL: the model's; "": a caption is made */
    const char *negative_prompt; /* NULL: a single space */
    const char *language;        /* of the caption: "en" or "zh"; NULL: "en" */
    int layers, steps;           /* VT_DEFAULT: the model's, else 4 and 50 */
    int resolution; /* the model works at about this many pixels squared; VT_DEFAULT: the model's, else 640 */
    int64_t seed;
    double guidance; /* 1: none; negative: the model's, else 4 */
    int cfg_normalize;
    int keep_empty;       /* keep layers that hold nothing */
    int merge_duplicates; /* merge neighbouring layers that hardly differ */
    int full_size;        /* bring the layers to the image's size and, where known, its colours */
    int no_modulation_tables; /* same result, more memory */
    /* The colour that the model sees where alpha is 0; as in struct vt_request. The alpha itself is kept. */
    const char *matte;
    const char
        *trace_path;     /* where to write named tensors of the run as safetensors; NULL: nowhere */
    const char *compute; /* as in struct vt_request */
    int fast;            /* as in struct vt_request */
    int previews;        /* as in struct vt_request */
    struct vt_loras loras;
    int no_metadata; /* as in struct vt_request */
};

VT_API struct vt_layers_request vt_layers_request_defaults(void);

/* Pixels and strings are borrowed from the result, until it is freed. */
struct vt_layer {
    struct vt_image image; /* RGBA */
    int x, y;              /* on the canvas */
    const char *id, *name; /* UTF-8 */
};

/* How far a flattened stack is from an image, over 8-bit values. */
struct vt_difference {
    double psnr_db; /* infinite when they are equal */
    double mean;
    int worst;
};

/* Its strings are borrowed from the result, until it is freed. */
struct vt_layers_report {
    int width, height;                 /* of the canvas */
    int working_width, working_height; /* that the model worked at */
    int layers_asked, layers_dropped, layers_merged;
    int steps, resolution;
    int64_t seed;
    double guidance;
    const char *model;  /* its name */
    const char *prompt; /* given, the model's own, or the caption */
    int captioned;
    struct vt_difference source;              /* the flattened stack against the image */
    struct vt_difference composite;           /* all layers against the model's own composite */
    uint64_t table_bytes, table_weight_bytes; /* of the weights that tables replace */
    double table_seconds;
};

struct vt_layers_result;

/* callbacks may be NULL. The caller frees *out with vt_layers_result_free; NULL on failure. */
VT_API enum vt_status vt_layers(struct vt_engine *engine, const struct vt_layers_request *request,
                                const struct vt_callbacks *callbacks, struct vt_layers_result **out,
                                struct vt_error *err);
/* What vt_layers would take; otherwise as vt_plan_picture. */
VT_API enum vt_status vt_plan_layers(struct vt_engine *engine,
                                     const struct vt_layers_request *request, struct vt_plan *out,
                                     struct vt_error *err);
/* Accepts NULL. */
VT_API void vt_layers_result_free(struct vt_layers_result *result);
VT_API int vt_layers_count(const struct vt_layers_result *result);
/* Layer 0 is the bottom. What this and the next three give is borrowed from the result, until it is freed. */
VT_API struct vt_layer vt_layers_layer(const struct vt_layers_result *result, int i);
/* The layers flattened, RGBA. */
VT_API struct vt_image vt_layers_composite(const struct vt_layers_result *result);
VT_API const struct vt_layers_report *vt_layers_report(const struct vt_layers_result *result);
VT_API const struct vt_stats *vt_layers_stats(const struct vt_layers_result *result);

/* ---- captions --------------------------------------------------------------------------------------- */

/* Strings and pixels belong to the caller, who keeps them until vt_caption returns. */
struct vt_caption_request {
    const char *model; /* a layered model, or a Qwen2.5-VL folder or file */
    struct vt_image image;
    const char *language; /* "en" or "zh"; NULL: "en" */
    int max_new_tokens;   /* VT_DEFAULT: 512 */
    const char *compute;  /* as in struct vt_request */
};

VT_API struct vt_caption_request vt_caption_request_defaults(void);

struct vt_caption_result;

/* callbacks may be NULL. The caller frees *out with vt_caption_result_free; NULL on failure. */
VT_API enum vt_status vt_caption(struct vt_engine *engine, const struct vt_caption_request *request,
                                 const struct vt_callbacks *callbacks,
                                 struct vt_caption_result **out, struct vt_error *err);
/* Accepts NULL. */
VT_API void vt_caption_result_free(struct vt_caption_result *result);
/* UTF-8, without white space at its ends. Borrowed from the result, until it is freed. */
VT_API const char *vt_caption_text(const struct vt_caption_result *result);
/* Borrowed from the result, until it is freed. */
VT_API const struct vt_stats *vt_caption_stats(const struct vt_caption_result *result);
VT_API int vt_caption_tokens(const struct vt_caption_result *result);
/* 1: the text came to its end; 0: it was cut off at max_new_tokens. */
VT_API int vt_caption_complete(const struct vt_caption_result *result);

/* ---- jobs: requests that run beside the caller ------------------------------------------------------- */

/* The same requests without waiting for them: an engine runs its jobs one after the other in a thread of its own, in the
 * order in which they were submitted. With an isolated engine nothing that happens to a job ends the program, or another
 * job: when the engine's process dies, the job that ran has failed with one of VT_ERR_ENGINE_*, and the next one has a new
 * process. (A request that killed it is not tried again by itself. Before you submit it again: it may kill that, too.)
 *
 *     struct vt_engine_options options = {.isolated = 1};
 *     ...
 *     if (vt_submit(engine, &rq, NULL, &job, &err) != VT_OK)
 *         return fail(err.text);
 *     // rq and all that it points to may be gone from here on
 *     struct pollfd look = {.fd = vt_job_fd(job), .events = POLLIN};
 *     struct vt_progress p;
 *     while (vt_job_poll(job, &p) != VT_JOB_OVER) {
 *         show(p.step, p.step_count);
 *         poll(&look, 1, -1);                 // or give the descriptor to the program's own loop
 *     }
 *     if (vt_job_wait(job, 0, &err) == VT_OK)
 *         keep(vt_job_take_result(job));      // ours now
 *     else
 *         tell(err.text, vt_job_last_words(job));
 *     vt_job_free(job);
 *
 * Until its jobs are over, the engine does nothing else: its functions that return a status say VT_ERR_BUSY, and
 * vt_engine_release and vt_engine_unload do nothing. vt_engine_memory, _model and _last_words are then for callbacks alone.
 * Submitting is a call on the engine, to be serialised with others. The functions of a job may be called by any thread,
 * but for vt_job_free: that is the last. */
struct vt_job;

enum vt_job_state {
    VT_JOB_QUEUED,
    VT_JOB_RUNNING,
    VT_JOB_OVER /* vt_job_wait says how it ended */
};

/* As vt_generate, or with images as vt_edit. The request is copied with its strings and pixels; an image that is a file
 * is read when the job runs. What is wrong with a request is said at once, or by vt_job_wait. callbacks may be NULL and
 * are copied, too: they are called in the engine's thread, and may cancel or free this job, but must not wait for one. The
 * caller frees *out with vt_job_free; NULL on failure. */
VT_API enum vt_status vt_submit(struct vt_engine *engine, const struct vt_request *request,
                                const struct vt_callbacks *callbacks, struct vt_job **out,
                                struct vt_error *err);
VT_API enum vt_status vt_submit_layers(struct vt_engine *engine,
                                       const struct vt_layers_request *request,
                                       const struct vt_callbacks *callbacks, struct vt_job **out,
                                       struct vt_error *err);
VT_API enum vt_status vt_submit_caption(struct vt_engine *engine,
                                        const struct vt_caption_request *request,
                                        const struct vt_callbacks *callbacks, struct vt_job **out,
                                        struct vt_error *err);

/* A descriptor that can be read when there is news since vt_job_poll was called last (its state, or progress), and for
 * ever once the job is over. Only wait for it; it is the job's, until vt_job_free. -1 when there is none to be had. */
VT_API int vt_job_fd(struct vt_job *job);
/* How it stands. progress may be NULL; it is what was told last, zeroed before the first. */
VT_API enum vt_job_state vt_job_poll(struct vt_job *job, struct vt_progress *progress);
/* Waits until it is over, at most so many seconds; negative: as long as it takes. Says what vt_generate and so on would
 * have said, VT_ERR_CANCELLED of one that was cancelled, or VT_ERR_BUSY when it is not over. */
VT_API enum vt_status vt_job_wait(struct vt_job *job, double seconds, struct vt_error *err);
/* It ends within a step, or does not begin. Nothing happens to one that is over. */
VT_API void vt_job_cancel(struct vt_job *job);
/* What it made: the caller's from here on, to be freed with the _free function of its kind. NULL when it is not over, has
 * failed, made something else, or was asked before. Of vt_result_request the strings and images that are said to be the
 * caller's are the job's, until vt_job_free. */
VT_API struct vt_result *vt_job_take_result(struct vt_job *job);
VT_API struct vt_layers_result *vt_job_take_layers(struct vt_job *job);
VT_API struct vt_caption_result *vt_job_take_caption(struct vt_job *job);
/* As vt_engine_last_words, of the process that died while this job ran; "" when none did or it is not over. Borrowed from
 * the job, until it is freed. */
VT_API const char *vt_job_last_words(struct vt_job *job);
/* Accepts NULL. Cancels it unless it is over, without waiting for that; no callback is called after this returns. It may
 * be called after vt_engine_close, which cancels all jobs and waits for the one that runs. */
VT_API void vt_job_free(struct vt_job *job);

/* ---- the open model --------------------------------------------------------------------------------- */

/* Opens a model and checks its files without running it; puts nothing on the device. model is copied. */
VT_API enum vt_status vt_engine_load(struct vt_engine *engine, const char *model,
                                     struct vt_error *err);
/* The path or name of the open model as it was given; "" when none is open. Borrowed from the engine, until the next
 * request or call that opens or closes a model. */
VT_API const char *vt_engine_model(const struct vt_engine *engine);
/* Closes the open model, and takes its weights off the device. */
VT_API void vt_engine_unload(struct vt_engine *engine);

#ifdef __cplusplus
}
#endif

#endif
