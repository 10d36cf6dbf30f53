/* messages.h - what an engine and its process say to each other, in the terms of child/code.h: each function below writes
 * and reads one thing. Requests go by the one table of parameters (pipeline/params_table.h). */
#ifndef VT_PIPELINE_ISOLATED_MESSAGES_H
#define VT_PIPELINE_ISOLATED_MESSAGES_H

#include "child/code.h"
#include "pipeline/isolated/grants.h"
#include "pipeline/model_dir.h"
#include "veetance.h"

/* To the process. Each but ISO_CANCEL is answered by ISO_REPLY, and until then no other is sent. */
enum {
    ISO_OPEN = 1,
    ISO_CANCEL,
    ISO_GENERATE,
    ISO_EDIT,
    ISO_PLAN_IMAGE,
    ISO_LAYERS,
    ISO_PLAN_LAYERS,
    ISO_CAPTION,
    ISO_LOAD,
    ISO_UNLOAD,
    ISO_RELEASE,
    ISO_SET_BUDGET,
    ISO_PARSE_BUDGET,
};

/* From it. */
enum {
    ISO_REPLY = 100, /* a head, and what was asked for when it went well */
    ISO_PROGRESS,
    ISO_NOTE,
    ISO_PREVIEW,
    ISO_IMAGE,
    ISO_PULSE,   /* while a request runs: it lives, and this much processor time it has had */
    ISO_GAVE_UP, /* it ends, because a library of it gives up: why */
};

struct iso_open {
    char version[32];
    struct vt_engine_options options; /* device, place, threads, budget, weights and patience */
    struct grants grants;
    int confined, network, verbose;
};

/* What the parent knows of the engine while it does not ask. */
struct iso_state {
    char device[64];
    int has_model;
    int is_asked_model; /* the one that the request named */
    struct vt_memory memory;
};

struct iso_progress {
    struct vt_progress progress;
    struct vt_memory memory;
};

/* What became of a request for images so far. */
struct iso_used {
    int width, height, steps, count, max_tokens;
    int64_t seed;
    double guidance, strength;
    char model[256];
};

struct iso_image {
    int index;
    struct iso_used used;
    struct vt_image image;
};

/* A layer of a result; blend is an enum blend_mode. */
struct iso_layer {
    char id[64], name[256];
    int x, y, blend, visible;
    double opacity;
    struct vt_image image;
};

enum { ISO_MAX_LAYERS = 32 };

struct iso_layers {
    struct vt_layers_report report;
    int width, height, count;
    uint64_t dropped, merged;
    struct iso_layer layers[ISO_MAX_LAYERS];
    struct vt_image composite;
    struct vt_stats stats;
};

struct iso_caption {
    const char *text;
    int tokens, complete;
    struct vt_stats stats;
};

void iso_code_open(struct code *c, struct iso_open *o);
void iso_code_error(struct code *c, struct vt_error *e);
void iso_code_state(struct code *c, struct iso_state *s);
void iso_code_memory(struct code *c, struct vt_memory *m);
void iso_code_path(struct code *c, const char **path);
/* A request's strings and images are borrowed from what was read. */
void iso_code_request(struct code *c, struct vt_request *rq);
void iso_code_layers_request(struct code *c, struct vt_layers_request *rq);
void iso_code_caption_request(struct code *c, struct vt_caption_request *rq);
void iso_code_progress(struct code *c, struct iso_progress *m);
void iso_code_preview(struct code *c, struct vt_preview *p);
void iso_code_image(struct code *c, struct iso_image *im);
void iso_code_used(struct code *c, struct iso_used *u);
void iso_code_stats(struct code *c, struct vt_stats *s);
void iso_code_plan(struct code *c, struct vt_plan *p);
void iso_code_layers(struct code *c, struct iso_layers *l);
void iso_code_caption(struct code *c, struct iso_caption *r);

#endif
