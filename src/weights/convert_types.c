#include "weights/convert_types.h"

#include <strings.h>

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
