/* A list of tensors as text, "NAME DTYPE DIM DIM ..." a line, becomes a sound safetensors file: what is fuzzed is how it
 * is read as a LoRA, and what it has for the matrices of networks. A line "meta TEXT" is what diffusers says about it. */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "tensor_list.h"
#include "weights/lora.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_DATA = 1 << 16, MAX_VALUES = 1 << 16 };

static volatile float sink; /* keeps reads of mapped bytes alive */

/* Lines that make no sense are left out. */
static void add_line(struct str line, struct buf *header, struct buf *meta, uint64_t *end)
{
    struct str name = next_word(&line);
    char dims[128];
    uint64_t n;
    if (str_eq_z(name, "meta") && str_is_utf8(line, NULL)) {
        buf_clear(meta);
        json_add_str(meta, line);
        return;
    }
    const struct dtype_info *info = dtype_info(dtype_from_safetensors(next_word(&line)));
    if (!read_shape(line, dims, &n))
        return;
    uint64_t bytes = n * info->block_bytes;
    if (!is_plain(name) || info->block_elems != 1 || bytes > MAX_DATA || *end + bytes > MAX_DATA)
        return;
    const unsigned long long begin = *end, after = *end + bytes;
    buf_printf(header, ",\"%.*s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%llu,%llu]}",
               STR_ARG(name), info->name, dims, begin, after);
    *end += bytes;
}

static void read_matrix(const struct lora_matrix *m)
{
    struct err e = {0};
    if (m->rows <= 0 || m->columns <= 0 || m->rows * m->columns > MAX_VALUES)
        return;
    float *f = mem_try_array((size_t)(m->rows * m->columns), sizeof *f);
    if (f && lora_matrix_rows(m, 0, m->rows, f, &e) == ERR_OK)
        sink = sink + f[m->rows * m->columns - 1];
    mem_free(f);
}

static void ask(struct lora *l, enum component_kind kind, const char *name, int64_t rows,
                int64_t columns)
{
    struct lora_term terms[LORA_MAX_TERMS];
    struct err e = {0};
    int n;
    if (lora_find(l, kind, name, rows, columns, terms, &n, &e) != ERR_OK) {
        if (e.text[0] == '\0' || !str_is_utf8(str_from(e.text), NULL))
            abort(); /* a refusal is a readable sentence */
        return;
    }
    for (int i = 0; i < n; i++) {
        read_matrix(&terms[i].down);
        read_matrix(&terms[i].up);
        read_matrix(&terms[i].mix);
    }
}

static void use(struct lora *l)
{
    static const char *const names[] = {"transformer_blocks.0.attn.to_q.weight",
                                        "transformer_blocks.0.attn.add_k_proj.weight",
                                        "transformer_blocks.0.ff.linear_in.weight",
                                        "single_transformer_blocks.0.attn.to_v.weight",
                                        "single_transformer_blocks.0.proj_mlp.weight",
                                        "norm_out.scale.weight",
                                        "transformer_blocks.0.img_mlp.net.2.weight"};
    struct lora_facts facts;
    struct err e = {0};
    lora_facts(l, &facts);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        for (int side = -1; side < 64; side += 13) {
            ask(l, COMPONENT_FLUX2_TRANSFORMER, names[i], side, side);
            ask(l, COMPONENT_QWEN_IMAGE_TRANSFORMER, names[i], side, side);
        }
    if (lora_check_all_found(l, COMPONENT_FLUX2_TRANSFORMER, &e) != ERR_OK &&
        !str_is_utf8(str_from(e.text), NULL))
        abort();
}

static void run(struct str text)
{
    struct buf header, meta, file;
    struct checkpoint *cp;
    struct lora *l;
    struct err e = {0};
    uint64_t end = 0;
    buf_init(&header, 1 << 20);
    buf_init(&meta, 1 << 20);
    buf_init(&file, 2 << 20);
    buf_add_z(&meta, "\"\"");
    while (text.n > 0) {
        const char *line = memchr(text.p, '\n', text.n);
        size_t n = line ? (size_t)(line - text.p) : text.n;
        add_line((struct str){text.p, n}, &header, &meta, &end);
        text = str_skip(text, n + 1);
    }
    struct buf all;
    buf_init(&all, 2 << 20);
    buf_printf(&all, "{\"__metadata__\":{\"lora_adapter_metadata\":");
    buf_add_str(&all, buf_str(&meta));
    buf_add_z(&all, "}");
    buf_add_str(&all, buf_str(&header));
    buf_add_z(&all, "}");
    for (int i = 0; i < 8; i++)
        buf_add_byte(&file, (unsigned)((uint64_t)all.n >> (8 * i) & 255));
    buf_add_str(&file, buf_str(&all));
    for (uint64_t i = 0; i < end; i++)
        buf_add_byte(&file, (unsigned)(i * 7 & 63));
    if (!buf_failed(&file) && checkpoint_open_bytes("fuzz", file.p, file.n, &cp, &e) == ERR_OK) {
        if (lora_from_checkpoint(cp, &l, &e) == ERR_OK) {
            use(l);
            lora_close(l);
        } else if (e.text[0] == '\0' || !str_is_utf8(str_from(e.text), NULL)) {
            abort();
        }
    }
    buf_deinit(&header);
    buf_deinit(&meta);
    buf_deinit(&all);
    buf_deinit(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run((struct str){(const char *)data, size});
    return 0;
}
