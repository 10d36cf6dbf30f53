/* leftovers.c - which stored tensors nobody asked for, without those that are known to be of no use. */
#include <stdlib.h>

#include "weights/component_impl.h"

/* Endings of tensors that no forward pass reads, or that only describe other tensors. */
static const char *const harmless_ends[] = {
    ".input_scale", ".scale_input",         ".weight_scale",  ".scale_weight",       ".comfy_quant",
    "scaled_fp8",   ".num_batches_tracked", "lm_head.weight", "rotary_emb.inv_freq",
};

static const char *const harmless_parts[] = {".time_conv."};

static bool is_harmless_name(const char *name)
{
    struct str s = str_from(name);
    for (size_t i = 0; i < sizeof harmless_ends / sizeof harmless_ends[0]; i++) {
        if (str_ends(s, str_from(harmless_ends[i])))
            return true;
    }
    for (size_t i = 0; i < sizeof harmless_parts / sizeof harmless_parts[0]; i++) {
        if (strstr(name, harmless_parts[i]))
            return true;
    }
    return strcmp(name, "output.weight") == 0; /* llama.cpp's lm_head */
}

/* Parts of a network that a run may leave out as a whole. */
static const char *const optional_parts[] = {
    "encoder.", "quant_conv.", "decoder.", "post_quant_conv.", "visual.", "model.visual.",
};

/* The number behind "layers." or "blk.", -1 when there is none. */
static int64_t layer_of(const char *name)
{
    static const char *const marks[] = {"layers.", "blk."};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
        const char *at = strstr(name, marks[i]);
        if (at)
            return strtoll(at + strlen(marks[i]), NULL, 10);
    }
    return -1;
}

struct usage {
    bool part[sizeof optional_parts / sizeof optional_parts[0]]; /* something of it was used */
    int64_t last_layer;
};

static struct usage summarise(const struct component *c, size_t skip)
{
    struct usage u = {.last_layer = -1};
    for (size_t i = 0; i < checkpoint_count(c->cp); i++) {
        const char *name = checkpoint_at(c->cp, i)->name;
        if (!c->used[i] || strlen(name) < skip)
            continue;
        for (size_t k = 0; k < sizeof u.part / sizeof u.part[0]; k++)
            u.part[k] |= str_starts(str_from(name + skip), str_from(optional_parts[k]));
        int64_t layer = layer_of(name);
        u.last_layer = layer > u.last_layer ? layer : u.last_layer;
    }
    return u;
}

/* A text encoder is tapped in its middle: later layers and the final norm are never read. */
static bool is_behind_the_tap(const struct component *c, const struct usage *u, const char *name)
{
    if (component_kind(c) != COMPONENT_QWEN3 || u->last_layer < 0)
        return false;
    return layer_of(name) > u->last_layer || strcmp(name, "model.norm.weight") == 0 ||
           strcmp(name, "norm.weight") == 0 || strcmp(name, "output_norm.weight") == 0;
}

size_t component_unused(const struct component *c, const char **names, size_t max)
{
    size_t n = 0, skip = strlen(c->prefix);
    struct usage u = summarise(c, skip);
    for (size_t i = 0; i < checkpoint_count(c->cp); i++) {
        const char *name = checkpoint_at(c->cp, i)->name;
        /* What lies outside the prefix is another network in the same file. */
        bool harmless = c->used[i] || is_harmless_name(name) ||
                        strncmp(name, c->prefix, skip) != 0 || is_behind_the_tap(c, &u, name);
        for (size_t k = 0; k < sizeof u.part / sizeof u.part[0] && !harmless; k++)
            harmless = !u.part[k] && str_starts(str_from(name + skip), str_from(optional_parts[k]));
        if (harmless)
            continue;
        if (n < max)
            names[n] = name;
        n++;
    }
    return n;
}
