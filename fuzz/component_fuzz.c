/* A list of tensors as text, "NAME DTYPE DIM DIM ..." a line, becomes a sound checkpoint: what is fuzzed
 * is how networks are recognised and canonical names resolved, whatever names and shapes meet there. A line
 * "mark MODULE FORMAT ROTATION GROUP" marks a matrix as quantised so, in the header. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tensor_list.h"
#include "weights/component.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned sink; /* keeps reads of mapped bytes alive */

enum { MAX_DATA = 1 << 18 };

static void add_mark(struct str line, struct buf *marks)
{
    struct str module = next_word(&line), format = next_word(&line);
    uint64_t rotation = 0, group = 0;
    (void)str_to_u64(next_word(&line), &rotation);
    (void)str_to_u64(next_word(&line), &group);
    if (is_plain(module) && is_plain(format))
        buf_printf(marks,
                   "%s\\\"%.*s\\\":{\\\"format\\\":\\\"%.*s\\\",\\\"convrot\\\":%s,"
                   "\\\"convrot_groupsize\\\":%u,\\\"group_size\\\":%u}",
                   marks->n ? "," : "", STR_ARG(module), STR_ARG(format),
                   rotation ? "true" : "false", (unsigned)rotation, (unsigned)group);
}

/* Adds one tensor; lines that make no sense are left out. */
static void add_line(struct str line, struct buf *header, struct buf *marks, uint64_t *end)
{
    struct str name = next_word(&line);
    if (str_eq_z(name, "mark")) {
        add_mark(line, marks);
        return;
    }
    struct str dtype = next_word(&line);
    const struct dtype_info *info = dtype_info(dtype_from_safetensors(dtype));
    uint64_t n;
    char dims[128];
    if (!is_plain(name) || !read_shape(line, dims, &n))
        return;
    if (info->block_bytes == 0 || n > MAX_DATA || *end + n * info->block_bytes > MAX_DATA)
        return;
    buf_printf(header, "%s\"%.*s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%u,%u]}",
               header->n > 1 ? "," : "", (int)name.n, name.p, info->name, dims, (unsigned)*end,
               (unsigned)(*end + n * info->block_bytes));
    *end += n * info->block_bytes;
}

static void build(struct str text, struct buf *out)
{
    struct buf header, marks;
    uint64_t end = 0;
    buf_init(&header, 1 << 20);
    buf_init(&marks, 1 << 19);
    buf_add_byte(&header, '{');
    while (text.n > 0) {
        const char *nl = memchr(text.p, '\n', text.n);
        size_t n = nl ? (size_t)(nl - text.p) : text.n;
        add_line((struct str){text.p, n}, &header, &marks, &end);
        text = str_skip(text, n + 1);
    }
    if (marks.n)
        buf_printf(&header,
                   "%s\"__metadata__\":{\"_quantization_metadata\":\"{\\\"layers\\\":{%s}}\"}",
                   header.n > 1 ? "," : "", buf_z(&marks));
    buf_deinit(&marks);
    buf_add_byte(&header, '}');
    buf_init(out, 4 << 20);
    for (int i = 0; i < 8; i++)
        buf_add_byte(out, header.n >> (8 * i) & 255);
    buf_add_str(out, buf_str(&header));
    (void)buf_grow(out, (size_t)end);
    if (out->n >= end)
        memset(out->p + out->n - end, 0x38, (size_t)end);
    buf_deinit(&header);
}

static const char *const names[] = {
    "norm_out.scale.weight",
    "norm_out.shift.bias",
    "x_embedder.weight",
    "transformer_blocks.0.attn.to_k.weight",
    "transformer_blocks.0.attn.norm_added_q.weight",
    "single_transformer_blocks.0.attn.to_v.weight",
    "single_transformer_blocks.1.proj_mlp.weight",
    "decoder.up_blocks.0.resnets.0.conv1.weight",
    "decoder.up_blocks.1.upsamplers.0.conv.weight",
    "decoder.up_blocks.1.upsamplers.0.resample.1.weight",
    "decoder.up_blocks.3.resnets.2.conv2.weight",
    "decoder.mid_block.attentions.0.to_q.weight",
    "model.layers.0.self_attn.q_proj.weight",
    "visual.blocks.0.attn.v.weight",
};

/* Whatever comes out lies inside the stored tensor. */
/* The last row, whose scales are the last of each kind. */
static void use_row(const struct weights_view *v)
{
    int64_t row = v->n_dims > 0 ? v->dims[v->n_dims - 1] : 1, rows = 1;
    uint64_t bytes;
    for (int i = 0; i + 1 < v->n_dims; i++)
        rows *= v->dims[i];
    if (row > 1 << 16 || !dtype_bytes(v->dtype, (uint64_t)row, (uint64_t)row, &bytes))
        return;
    float *f = mem_try_array((size_t)row, sizeof *f);
    if (f && weights_view_numbers(v, v->data + (uint64_t)(rows - 1) * bytes, (size_t)row, f))
        weights_view_apply(v, rows - 1, 1, row, f);
    mem_free(f);
}

static void use(struct component *c)
{
    static const int64_t wanted[WEIGHTS_MAX_DIMS] = {-1, 1, -1, 4, 1};
    char what[64];
    const char *unused[4];
    component_describe(c, what, sizeof what);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        for (int rank = -1; rank <= WEIGHTS_MAX_DIMS; rank++) {
            struct weights_view v;
            if (component_find(c, names[i], rank, wanted, &v, NULL) != ERR_OK)
                continue;
            if (v.data < v.stored->data || v.data + v.bytes > v.stored->data + v.stored->bytes)
                abort();
            sink = sink + v.data[0] + v.data[v.bytes - 1];
            if (v.n_scales > 0)
                sink = sink + (unsigned char)(weights_number(&v.rows, 0) +
                                                  weights_number(&v.rows, v.n_scales - 1) >
                                              0);
            use_row(&v);
        }
        (void)component_dim(c, names[i], 1);
    }
    (void)component_block_count(c, "decoder.up_blocks");
    (void)component_leftovers(c, unused, 4);
    sink = sink + (component_check(c, NULL) == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf bytes;
    struct checkpoint *cp;
    struct component *c;
    struct err e = {0};
    if (size > 1 << 14)
        return 0;
    build((struct str){(const char *)data, size}, &bytes);
    if (!buf_failed(&bytes) && checkpoint_open_bytes("fuzz", bytes.p, bytes.n, &cp, &e) == ERR_OK &&
        component_from_checkpoint(cp, COMPONENT_UNKNOWN, &c, &e) == ERR_OK) {
        use(c);
        component_close(c);
    }
    buf_deinit(&bytes);
    return 0;
}
