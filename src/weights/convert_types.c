/* convert_types.c - the type that each tensor is written in, by the table of convert_types.h, and the metadata of
 * the new file.
 *
 * A row that is no multiple of a type's blocks takes the type with smaller ones that is at least as precise; where
 * none fits, the tensor stays as it is. Metadata go along but for what is about the old layout, which would be wrong
 * in the new file.
 */
#include "weights/convert_types.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "weights/convert_names.h"

/* file_type: the numbers of llama.cpp's list of file types. */
static const struct {
    const char *name;
    enum dtype dtype;
    uint32_t file_type;
    enum dtype smaller; /* with blocks of 32, for rows that are no multiple of 256 */
} types[] = {
    {"f32", DTYPE_F32, 0, DTYPE_INVALID},       {"f16", DTYPE_F16, 1, DTYPE_INVALID},
    {"bf16", DTYPE_BF16, 32, DTYPE_INVALID},    {"q8_0", DTYPE_Q8_0, 7, DTYPE_INVALID},
    {"q6_k", DTYPE_Q6_K, 18, DTYPE_Q8_0},       {"q5_k", DTYPE_Q5_K, 16, DTYPE_Q5_1},
    {"q5_1", DTYPE_Q5_1, 9, DTYPE_INVALID},     {"q5_0", DTYPE_Q5_0, 8, DTYPE_INVALID},
    {"q4_k", DTYPE_Q4_K, 14, DTYPE_Q5_0},       {"q4_1", DTYPE_Q4_1, 3, DTYPE_INVALID},
    {"q4_0", DTYPE_Q4_0, 2, DTYPE_INVALID},     {"iq4_nl", DTYPE_IQ4_NL, 25, DTYPE_INVALID},
    {"iq4_xs", DTYPE_IQ4_XS, 30, DTYPE_IQ4_NL}, {"q3_k", DTYPE_Q3_K, 11, DTYPE_Q4_0},
    {"q2_k", DTYPE_Q2_K, 10, DTYPE_Q4_0},
};

enum { N_TYPES = sizeof types / sizeof types[0] };

enum dtype convert_type_from_name(const char *name)
{
    for (size_t i = 0; i < N_TYPES; i++)
        if (strcasecmp(types[i].name, name) == 0)
            return types[i].dtype;
    return DTYPE_INVALID;
}

const char *convert_type_names(void)
{
    return "bf16 f16 f32 q8_0 q6_k q5_k q5_1 q5_0 q4_k q4_1 q4_0 iq4_nl iq4_xs q3_k q2_k";
}

uint32_t convert_gguf_file_type(enum dtype t)
{
    for (size_t i = 0; i < N_TYPES; i++)
        if (types[i].dtype == t)
            return types[i].file_type;
    return 0;
}

static bool fits(enum dtype t, int64_t row)
{
    uint32_t block = dtype_info(t)->block_elems;
    return block > 0 && row % block == 0;
}

enum dtype convert_type_fitting(enum dtype wanted, int64_t row, enum dtype stored)
{
    if (fits(wanted, row))
        return wanted;
    for (size_t i = 0; i < N_TYPES; i++)
        if (types[i].dtype == wanted && types[i].smaller != DTYPE_INVALID &&
            fits(types[i].smaller, row))
            return types[i].smaller;
    return stored;
}

bool convert_type_quantises(enum component_kind kind, const char *canonical, int n_dims)
{
    static const char *const blocks[COMPONENT_COUNT][2] = {
        [COMPONENT_FLUX2_TRANSFORMER] = {"transformer_blocks.", "single_transformer_blocks."},
        [COMPONENT_QWEN_IMAGE_TRANSFORMER] = {"transformer_blocks."},
        [COMPONENT_QWEN3] = {"model.layers."},
        [COMPONENT_QWEN2_5_VL] = {"model.layers."},
    };
    struct str name = str_from(canonical);
    if (n_dims != 2 || !str_ends(name, STR_LIT(".weight")))
        return false;
    for (size_t i = 0; i < 2; i++)
        if (blocks[kind][i] && str_starts(name, str_from(blocks[kind][i])))
            return true;
    return false;
}

/* The type of tensors that are not quantised: as stored, except float8 and the like, which mean little without their
 * scales, and float64, which nothing needs. */
static enum dtype kept(enum dtype stored)
{
    if (stored == DTYPE_F8_E4M3 || stored == DTYPE_F8_E5M2 || stored == DTYPE_F4 ||
        stored == DTYPE_U4 || stored == DTYPE_I8 || stored == DTYPE_NVFP4)
        return DTYPE_BF16;
    return stored == DTYPE_F64 ? DTYPE_F32 : stored;
}

enum dtype convert_type_for(enum component_kind kind, const char *canonical, int n_dims,
                            const int64_t *dims, enum dtype stored, enum dtype wanted,
                            enum checkpoint_format format)
{
    if (!dtype_info(stored)->is_float)
        return stored;
    if (wanted == DTYPE_INVALID)
        return kept(stored);
    if (n_dims < 2 && (format == CHECKPOINT_GGUF || dtype_info(wanted)->quantised))
        return DTYPE_F32;
    if (!dtype_info(wanted)->quantised)
        return wanted;
    if (!convert_type_quantises(kind, canonical, n_dims))
        return kept(stored);
    return convert_type_fitting(wanted, dims[n_dims - 1], kept(stored));
}

/* ---- metadata -------------------------------------------------------------------------------- */

/* The metadata of a converted file.
 *
 * What the source says about itself is kept, except what would be wrong in the new file (alignment, file type,
 * original shapes, shards). GGUF values are copied as bytes, type and all, since arrays of strings would otherwise
 * have to be taken apart and written again; value_bytes may trust the lengths because the reader has checked them.
 * For a language model that comes from safetensors the dimensions that llama.cpp needs are written from the
 * shapes. */

enum { OWN_KEYS = 16, QUANTIZATION_VERSION = 2 };

struct list {
    struct arena *arena;
    struct write_meta *items;
    size_t n;
    bool failed;
};

static void add_string(struct list *l, struct str key, struct str text)
{
    l->items[l->n++] = (struct write_meta){.key = key, .type = WRITE_STRING, .text = text};
}

static void add_u32(struct list *l, struct str key, uint32_t number)
{
    l->items[l->n++] = (struct write_meta){.key = key, .type = WRITE_U32, .number = number};
}

/* ---- from the source ------------------------------------------------------------------------------ */

/* About the old file, or written anew. */
static bool is_about_layout(struct str key)
{
    static const char *const keys[] = {"general.alignment", "general.file_type",
                                       "general.quantization_version", "general.architecture",
                                       "veetance.source"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (str_eq_z(key, keys[i]))
            return true;
    return str_starts(key, STR_LIT("comfy.gguf.orig_shape.")) || str_starts(key, STR_LIT("split."));
}

/* Bytes of a value of the GGUF source behind its type number. */
static size_t value_bytes(const struct meta_item *m, const unsigned char **begin)
{
    if (m->type == META_STRING) {
        *begin = (const unsigned char *)m->text.p - sizeof(uint64_t);
        return sizeof(uint64_t) + m->text.n;
    }
    *begin = m->p;
    if (m->type != META_ARRAY)
        return catalogue_meta_size(m->type);
    *begin -= sizeof(uint32_t) + sizeof(uint64_t); /* type and count */
    if (m->elem != META_STRING)
        return (size_t)(m->p - *begin) + (size_t)m->count * catalogue_meta_size(m->elem);
    const unsigned char *p = m->p;
    for (uint64_t i = 0; i < m->count; i++) { /* the reader checked every length */
        uint64_t n = 0;
        for (int k = 7; k >= 0; k--)
            n = n << 8 | p[k];
        p += sizeof(uint64_t) + n;
    }
    return (size_t)(p - *begin);
}

static void add_value(struct list *l, const struct meta_item *m)
{
    const unsigned char *begin;
    size_t n = value_bytes(m, &begin);
    char *p = arena_alloc(l->arena, sizeof(uint32_t) + n);
    if (!p) {
        l->failed = true;
        return;
    }
    p[0] = (char)m->type; /* little-endian */
    memcpy(p + sizeof(uint32_t), begin, n);
    l->items[l->n++] = (struct write_meta){
        .key = m->key, .type = WRITE_GGUF_VALUE, .text = {p, sizeof(uint32_t) + n}};
}

static void add_source(struct list *l, const struct checkpoint *cp, const struct convert_options *o)
{
    for (size_t i = 0; i < cp->n_meta; i++) {
        const struct meta_item *m = &cp->meta[i];
        bool repeated = i > 0 && str_eq(cp->meta[i - 1].key, m->key); /* shards repeat each other */
        if (repeated || is_about_layout(m->key) || str_eq_z(m->key, "format"))
            continue;
        if (cp->format == CHECKPOINT_GGUF && o->format == CHECKPOINT_GGUF)
            add_value(l, m);
        else if (m->type == META_STRING)
            add_string(l, m->key, m->text);
    }
}

/* ---- our own -------------------------------------------------------------------------------------- */

/* The names that programs tell networks by. */
static const char *architecture(enum component_kind k)
{
    switch (k) {
    case COMPONENT_FLUX2_TRANSFORMER:
        return "flux";
    case COMPONENT_QWEN_IMAGE_TRANSFORMER:
        return "qwen_image";
    case COMPONENT_QWEN3:
        return "qwen3";
    case COMPONENT_QWEN2_5_VL:
        return "qwen2vl";
    case COMPONENT_QWEN2_5_VL_VISION:
        return "clip";
    default:
        return component_kind_id(k);
    }
}

static void add_dim(struct list *l, const char *arch, const char *key, int64_t v)
{
    char full[128];
    (void)snprintf(full, sizeof full, "%s.%s", arch, key);
    char *copy = arena_strdup(l->arena, str_from(full));
    if (!copy)
        l->failed = true;
    else if (v > 0 && v <= UINT32_MAX)
        add_u32(l, str_from(copy), (uint32_t)v);
}

/* What a language model's shapes say, for programs that read it from the metadata. */
static void add_language_model(struct list *l, const struct component *c, const char *arch)
{
    static const char block[] = "model.layers.0.";
    char name[80];
    int64_t head = component_dim(c, "model.layers.0.self_attn.q_norm.weight", 0);
    add_dim(l, arch, "block_count", component_block_count(c, "model.layers"));
    add_dim(l, arch, "embedding_length", component_dim(c, "model.embed_tokens.weight", 1));
    (void)snprintf(name, sizeof name, "%smlp.down_proj.weight", block);
    add_dim(l, arch, "feed_forward_length", component_dim(c, name, 1));
    if (head < 1) /* only Qwen3's norms tell how wide a head is */
        return;
    (void)snprintf(name, sizeof name, "%sself_attn.q_proj.weight", block);
    add_dim(l, arch, "attention.head_count", component_dim(c, name, 0) / head);
    (void)snprintf(name, sizeof name, "%sself_attn.k_proj.weight", block);
    add_dim(l, arch, "attention.head_count_kv", component_dim(c, name, 0) / head);
    add_dim(l, arch, "attention.key_length", head);
    add_dim(l, arch, "attention.value_length", head);
}

static void add_gguf(struct list *l, const struct component *c, const struct convert_options *o)
{
    struct str given;
    const char *arch = architecture(component_kind(c));
    bool was_gguf = checkpoint_format(c->cp) == CHECKPOINT_GGUF;
    if (was_gguf && checkpoint_meta_str(c->cp, "general.architecture", &given))
        add_string(l, STR_LIT("general.architecture"), given);
    else
        add_string(l, STR_LIT("general.architecture"), str_from(arch));
    if (o->type != DTYPE_INVALID)
        add_u32(l, STR_LIT("general.file_type"), convert_gguf_file_type(o->type));
    if (dtype_info(o->type)->quantised)
        add_u32(l, STR_LIT("general.quantization_version"), QUANTIZATION_VERSION);
    if (!was_gguf &&
        (component_kind(c) == COMPONENT_QWEN3 || component_kind(c) == COMPONENT_QWEN2_5_VL))
        add_language_model(l, c, arch);
}

enum err_code convert_meta_make(struct component *c, const struct convert_options *o,
                                struct arena *a, struct write_meta **out, size_t *n, struct err *e)
{
    struct list l = {.arena = a,
                     .items = arena_array(a, c->cp->n_meta + OWN_KEYS, sizeof(struct write_meta))};
    if (!l.items)
        return err_set(e, ERR_NOMEM, "no memory for the metadata");
    if (o->format == CHECKPOINT_GGUF)
        add_gguf(&l, c, o);
    else
        add_string(&l, STR_LIT("format"), STR_LIT("pt"));
    if (o->source)
        add_string(&l, STR_LIT("veetance.source"), str_from(o->source));
    add_source(&l, c->cp, o);
    *out = l.items;
    *n = l.n;
    return l.failed ? err_set(e, ERR_NOMEM, "no memory for the metadata") : ERR_OK;
}
