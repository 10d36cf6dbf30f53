/* Each form in which safetensors files keep quantised matrices: small ones made here with the form's own
 * arithmetic, read back as values. What is not understood must be refused. */
#include <math.h>

#include "base/mem.h"
#include "networks.h"
#include "weights/component.h"

enum { ROWS = 256, COLUMNS = 512, BLOCK = 16 };

#define MODULE "double_blocks.1.img_mlp.2"

struct fixture {
    struct build b;
    struct buf bytes;
    struct component *c;
    struct err e;
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    build_begin(&f->b);
    add_flux2_bfl(&f->b, "");
}

static void add_raw(struct build *b, const char *name, const char *dtype, const char *dims,
                    const void *p, size_t n)
{
    size_t at = b->data.n;
    buf_add(&b->data, p, n);
    buf_printf(&b->header, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
               name, dtype, dims, at, b->data.n);
}

static void add_marker(struct build *b, const char *text)
{
    char dims[24];
    (void)snprintf(dims, sizeof dims, "%zu", strlen(text));
    add_raw(b, MODULE ".comfy_quant", "U8", dims, text, strlen(text));
}

static void add_f32(struct build *b, const char *name, const char *dims, const float *v, size_t n)
{
    add_raw(b, name, "F32", dims, v, n * sizeof *v);
}

static void open_it(struct fixture *f)
{
    struct checkpoint *cp = NULL;
    build_end(&f->b, &f->bytes);
    enum err_code rc =
        checkpoint_open_bytes("test.safetensors", f->bytes.p, f->bytes.n, &cp, &f->e);
    if (rc == ERR_OK)
        rc = component_from_checkpoint(cp, COMPONENT_UNKNOWN, &f->c, &f->e);
    if (rc != ERR_OK)
        fail_msg("%s", f->e.text);
}

static void close_it(struct fixture *f)
{
    component_close(f->c);
    buf_deinit(&f->bytes);
}

static void find(struct fixture *f, struct weights_view *v)
{
    const int64_t dims[] = {ROWS, COLUMNS};
    if (component_find(f->c, "transformer_blocks.1.ff.linear_out.weight", 2, dims, v, &f->e) !=
        ERR_OK)
        fail_msg("%s", f->e.text);
}

/* The values of row r. */
static void read_row(const struct weights_view *v, int64_t r, float *out)
{
    uint64_t bytes = 0;
    assert_true(dtype_bytes(v->dtype, COLUMNS, COLUMNS, &bytes));
    assert_true(weights_view_numbers(v, v->data + (uint64_t)r * bytes, COLUMNS, out));
    weights_view_apply(v, r, 1, COLUMNS, out);
}

static void expect_refusal(struct fixture *f, const char *says)
{
    open_it(f);
    assert_int_equal(component_check(f->c, &f->e), ERR_FORMAT);
    if (!strstr(f->e.text, says))
        fail_msg("expected '%s' in '%s'", says, f->e.text);
    close_it(f);
}

/* Numbers that differ everywhere, and repeat never in a tile. */
static unsigned noise(int64_t i)
{
    uint64_t x = (uint64_t)i * 0x9e3779b97f4a7c15u + 12345;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9u;
    return (unsigned)(x >> 33);
}

/* ---- NVFP4 ------------------------------------------------------------------------------------- */

/* Where the tensor cores' order has the scale of a row and block, by its definition: 128 x 4 tiles, in which four
 * groups of 32 rows lie beside each other. */
static size_t tiled_at(int64_t row, int64_t block, int64_t blocks)
{
    int64_t tile = row / 128 * (blocks / 4) + block / 4;
    return (size_t)(tile * 512 + row % 32 * 16 + row % 128 / 32 * 4 + block % 4);
}

static void make_nvfp4(struct fixture *f, bool comfy, bool marked_in_header)
{
    enum { BLOCKS = COLUMNS / BLOCK };
    static uint8_t q[ROWS * COLUMNS / 2], s[ROWS * BLOCKS];
    for (int64_t r = 0; r < ROWS; r++) {
        for (int64_t i = 0; i < COLUMNS; i += 2) {
            unsigned first = noise(r * COLUMNS + i) & 15, second = noise(r * COLUMNS + i + 1) & 15;
            q[(r * COLUMNS + i) / 2] = (uint8_t)(comfy ? first << 4 | second : second << 4 | first);
        }
        for (int64_t k = 0; k < BLOCKS; k++)
            s[comfy ? tiled_at(r, k, BLOCKS) : (size_t)(r * BLOCKS + k)] =
                (uint8_t)(8 + noise(~(r * BLOCKS + k)) % 0x70);
    }
    begin(f);
    if (marked_in_header)
        buf_add_z(&f->b.header,
                  ",\"__metadata__\":{\"_quantization_metadata\":\"{\\\"layers\\\":{\\\"" MODULE
                  "\\\":{\\\"format\\\":\\\"nvfp4\\\"}}}\"}");
    else if (comfy)
        add_marker(&f->b, "{\"format\": \"nvfp4\"}");
    add_raw(&f->b, MODULE ".weight", "U8", "256,256", q, sizeof q);
    add_raw(&f->b, MODULE ".weight_scale", "F8_E4M3", "256,32", s, sizeof s);
    add_f32(&f->b, MODULE ".weight_scale_2", "", (float[]){0.125f}, 1);
    add_f32(&f->b, MODULE ".input_scale", "", (float[]){3}, 1);
    open_it(f);
}

static void nvfp4_is_read_in_both_orders(void **state)
{
    (void)state;
    for (int form = 0; form < 3; form++) {
        struct fixture f;
        struct weights_view v;
        float row[COLUMNS];
        make_nvfp4(&f, form > 0, form == 2);
        assert_int_equal(component_check(f.c, &f.e), ERR_OK);
        find(&f, &v);
        for (int64_t r = 0; r < ROWS; r++) {
            read_row(&v, r, row);
            for (int64_t i = 0; i < COLUMNS; i++) {
                float q = dtype_e2m1_to_f32((uint8_t)(noise(r * COLUMNS + i) & 15));
                float s = dtype_e4m3_to_f32(
                    (uint8_t)(8 + noise(~(r * COLUMNS / BLOCK + i / BLOCK)) % 0x70));
                assert_true(row[i] == q * s * 0.125f);
            }
        }
        close_it(&f);
    }
}

/* ---- mxfp8, int8 and others -------------------------------------------------------------------- */

static void mxfp8_is_read_in_both_orders(void **state)
{
    enum { BLOCKS = COLUMNS / 32 };
    static uint8_t q[ROWS * COLUMNS], s[ROWS * BLOCKS];
    (void)state;
    for (int comfy = 0; comfy < 2; comfy++) {
        struct fixture f;
        struct weights_view v;
        float row[COLUMNS];
        for (int64_t i = 0; i < ROWS * COLUMNS; i++)
            q[i] = (uint8_t)(noise(i) % 0x7e);
        for (int64_t i = 0; i < ROWS * BLOCKS; i++)
            s[comfy ? tiled_at(i / BLOCKS, i % BLOCKS, BLOCKS) : (size_t)i] =
                (uint8_t)(110 + noise(~i) % 20);
        begin(&f);
        if (comfy)
            add_marker(&f.b, "{\"format\":\"mxfp8\"}");
        add_raw(&f.b, MODULE ".weight", "F8_E4M3", "256,512", q, sizeof q);
        add_raw(&f.b, MODULE ".weight_scale", comfy ? "U8" : "F8_E8M0", "256,16", s, sizeof s);
        open_it(&f);
        find(&f, &v);
        for (int64_t r = 0; r < ROWS; r++) {
            read_row(&v, r, row);
            for (int64_t i = 0; i < COLUMNS; i++)
                assert_true(row[i] ==
                            dtype_e4m3_to_f32((uint8_t)(noise(r * COLUMNS + i) % 0x7e)) *
                                ldexpf(1, (int)(noise(~(r * BLOCKS + i / 32)) % 20) - 17));
        }
        close_it(&f);
    }
}

/* The sign of entry (i, j) of the Hadamard matrix of 256, by its definition: the fourth Kronecker power. */
static float hadamard(int i, int j)
{
    static const float h4[4][4] = {{1, 1, 1, -1}, {1, 1, -1, 1}, {1, -1, 1, 1}, {-1, 1, 1, 1}};
    float s = 1;
    for (int k = 0; k < 4; k++, i /= 4, j /= 4)
        s *= h4[i % 4][j % 4];
    return s / 16;
}

static void int8_is_read_scaled_and_rotated_back(void **state)
{
    static int8_t q[ROWS * COLUMNS];
    static float s[ROWS];
    (void)state;
    for (int64_t i = 0; i < ROWS * COLUMNS; i++)
        q[i] = (int8_t)(noise(i) & 255);
    for (int64_t r = 0; r < ROWS; r++)
        s[r] = 0.001f * (float)(r + 1);
    for (int form = 0; form < 4;
         form++) { /* ModelOpt's, and ComfyUI's: one scale, a scale a row, rotated */
        struct fixture f;
        struct weights_view v;
        float row[COLUMNS];
        begin(&f);
        add_raw(&f.b, MODULE ".weight", "I8", "256,512", q, sizeof q);
        if (form == 1)
            add_f32(&f.b, MODULE ".weight_scale", "", s, 1);
        else
            add_f32(&f.b, MODULE ".weight_scale", form == 0 ? "256" : "256,1", s, ROWS);
        if (form > 0)
            add_marker(&f.b, form < 3 ? "{\"format\": \"int8_tensorwise\"}"
                                      : "{\"format\": \"int8_tensorwise\", \"convrot\": true, "
                                        "\"convrot_groupsize\": 256}");
        open_it(&f);
        find(&f, &v);
        for (int64_t r = 0; r < ROWS; r += 37) {
            read_row(&v, r, row);
            for (int i = 0; i < COLUMNS; i++) {
                float scale = form == 1 ? s[0] : s[r], want = 0;
                if (form < 3)
                    want = (float)q[r * COLUMNS + i];
                int block = i / 256 * 256; /* convrot turns blocks of 256 columns */
                for (int j = 0; form == 3 && j < 256; j++)
                    want += (float)q[r * COLUMNS + block + j] * hadamard(j, i % 256);
                assert_true(fabsf(row[i] - want * scale) <= 1e-5f * fabsf(scale) * 128);
            }
        }
        close_it(&f);
    }
}

static void scales_of_columns_and_of_squares_are_applied(void **state)
{
    static uint8_t q[ROWS * COLUMNS];
    float columns[COLUMNS], squares[2 * 4];
    struct fixture f;
    struct weights_view v;
    float row[COLUMNS];
    (void)state;
    for (int64_t i = 0; i < ROWS * COLUMNS; i++)
        q[i] = (uint8_t)(noise(i) % 0x7e);
    for (int i = 0; i < COLUMNS; i++)
        columns[i] = 1 + (float)i / 64;
    for (int i = 0; i < 8; i++)
        squares[i] = ldexpf(1, i - 4);
    begin(&f);
    add_raw(&f.b, MODULE ".weight", "F8_E4M3", "256,512", q, sizeof q);
    add_f32(&f.b, MODULE ".weight_scale_inv", "2,4", squares, 8);
    add_f32(&f.b, MODULE ".pre_quant_scale", "512", columns, COLUMNS);
    open_it(&f);
    find(&f, &v);
    for (int64_t r = 0; r < ROWS; r++) {
        read_row(&v, r, row);
        for (int64_t i = 0; i < COLUMNS; i++)
            assert_true(row[i] == dtype_e4m3_to_f32(q[r * COLUMNS + i]) *
                                      squares[r / 128 * 4 + i / 128] * columns[i]);
    }
    close_it(&f);
}

/* ---- int4 ---------------------------------------------------------------------------------------- */

static int code_at(int64_t r, int64_t i)
{
    return (int)(noise(r * COLUMNS + i) & 15);
}

/* Codes of four bits, the first of two in the low bits, as int8. */
static void add_codes(struct build *b, const char *module, const char *dims, int64_t rows)
{
    static uint8_t q[ROWS * COLUMNS / 2];
    char name[100];
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < COLUMNS; i += 2)
            q[(r * COLUMNS + i) / 2] = (uint8_t)(code_at(r, i) | code_at(r, i + 1) << 4);
    (void)snprintf(name, sizeof name, "%s.weight", module);
    add_raw(b, name, "I8", dims, q, (size_t)(rows * COLUMNS / 2));
}

/* What a row of values was before groups of 256 columns were rotated. */
static float rotated_back(const float *row, int i)
{
    float sum = 0;
    for (int j = 0; j < 256; j++)
        sum += row[i / 256 * 256 + j] * hadamard(j, i % 256);
    return sum;
}

static void expect_rotated(const struct weights_view *v, int64_t r, const float *stored)
{
    float row[COLUMNS], most = 0;
    for (int i = 0; i < COLUMNS; i++)
        most = fmaxf(most, fabsf(stored[i]));
    read_row(v, r, row);
    for (int i = 0; i < COLUMNS; i++)
        assert_true(fabsf(row[i] - rotated_back(stored, i)) <= 1e-5f * most * 16);
}

static void convrot_w4a4_has_signs_and_is_rotated_back(void **state)
{
    static float s[ROWS];
    struct fixture f;
    struct weights_view v;
    (void)state;
    for (int r = 0; r < ROWS; r++)
        s[r] = 0.01f * (float)(r + 1);
    begin(&f);
    add_codes(&f.b, MODULE, "256,256", ROWS);
    add_f32(&f.b, MODULE ".weight_scale", "256", s, ROWS);
    add_marker(&f.b, "{\"format\": \"convrot_w4a4\", \"convrot_groupsize\": 256, "
                     "\"linear_dtype\": \"int8\"}");
    open_it(&f);
    assert_int_equal(component_check(f.c, &f.e), ERR_OK);
    find(&f, &v);
    for (int64_t r = 0; r < ROWS; r += 37) {
        float stored[COLUMNS];
        for (int i = 0; i < COLUMNS; i++)
            stored[i] = (float)(code_at(r, i) < 8 ? code_at(r, i) : code_at(r, i) - 16) * s[r];
        expect_rotated(&v, r, stored);
    }
    close_it(&f);
}

/* Half to even, as torch and the standard's default mode do. */
static float int8_of(float x)
{
    float whole = floorf(x), rest = x - whole;
    if (rest > 0.5f || (rest == 0.5f && fmodf(whole, 2) != 0))
        whole += 1;
    return whole > 127 ? 127 : whole < -127 ? -127 : whole;
}

/* As ComfyUI has it, with a table of levels; and without one, with offsets, larger groups and scales in float32. */
static void asym_w4a8_is_rounded_scaled_and_rotated_back(void **state)
{
    static uint8_t relative[ROWS * 32];
    static float wide[ROWS * 16], channel[ROWS], zeros[16 * ROWS], levels[16];
    (void)state;
    for (int i = 0; i < ROWS * 32; i++)
        relative[i] = (uint8_t)(0x40 + noise(~i) % 0x30);
    for (int i = 0; i < ROWS * 16; i++)
        wide[i] = 0.5f + (float)(noise(i) % 64) / 2;
    for (int i = 0; i < 16 * ROWS; i++)
        zeros[i] = (float)(int)(noise(i + 9) % 64) / 256;
    for (int r = 0; r < ROWS; r++)
        channel[r] = 0.001f * (float)(r + 1);
    for (int i = 0; i < 16; i++)
        levels[i] = -1 + (float)i * 0.13f;
    for (int form = 0; form < 3; form++) {
        struct fixture f;
        struct weights_view v;
        begin(&f);
        add_codes(&f.b, MODULE, "256,256", ROWS);
        add_f32(&f.b, MODULE ".weight_s_channel", "256", channel, ROWS);
        if (form == 2) {
            add_f32(&f.b, MODULE ".weight_s_rel", "256,16", wide, ROWS * 16);
            add_f32(&f.b, MODULE ".weight_correction", "16,256", zeros, ROWS * 16);
            add_marker(&f.b, "{\"format\":\"asym_w4a8_int8\",\"params\":{\"group_size\":32}}");
        } else {
            add_raw(&f.b, MODULE ".weight_s_rel", form == 0 ? "F8_E4M3" : "U8", "256,32", relative,
                    sizeof relative);
            add_f32(&f.b, MODULE ".weight_codebook", "16", levels, 16);
            add_marker(&f.b, "{\"format\":\"asym_w4a8_int8\",\"group_size\":16,\"convrot\":true,"
                             "\"convrot_groupsize\":256}");
        }
        open_it(&f);
        assert_int_equal(component_check(f.c, &f.e), ERR_OK);
        find(&f, &v);
        for (int64_t r = 0; r < ROWS; r += 37) {
            float stored[COLUMNS];
            for (int i = 0; i < COLUMNS; i++) {
                int q = code_at(r, i);
                if (form == 2)
                    stored[i] = int8_of((float)(q - 8) * wide[r * 16 + i / 32]) * channel[r] +
                                zeros[i / 32 * ROWS + r];
                else
                    stored[i] = int8_of(levels[q] * dtype_e4m3_to_f32(relative[r * 32 + i / 16])) *
                                channel[r];
            }
            expect_rotated(&v, r, stored);
        }
        close_it(&f);
    }
}

/* Also of rows that are cut out of a fused matrix: scales and zeros lie a group after the other. */
static void awq_w4a16_has_scales_and_zeros_of_groups(void **state)
{
    enum { D = 64, THREE = 3 * D };
    static uint8_t q[THREE * D / 2];
    float scale[THREE], zeros[THREE], row[D];
    struct fixture f;
    struct weights_view v;
    (void)state;
    for (size_t i = 0; i < sizeof q; i++)
        q[i] = (uint8_t)noise((int64_t)i);
    for (int r = 0; r < THREE; r++) {
        scale[r] = 0.25f * (float)(r + 1);
        zeros[r] = (float)(r - 7);
    }
    begin(&f);
    add_raw(&f.b, "double_blocks.1.img_attn.qkv.weight", "I8", "192,32", q, sizeof q);
    add_f32(&f.b, "double_blocks.1.img_attn.qkv.weight_scale", "1,192", scale, THREE);
    add_f32(&f.b, "double_blocks.1.img_attn.qkv.weight_zeros", "1,192", zeros, THREE);
    add_raw(&f.b, "double_blocks.1.img_attn.qkv.comfy_quant", "U8", "23",
            "{\"format\": \"awq_w4a16\"}", 23);
    open_it(&f);
    assert_int_equal(component_check(f.c, &f.e), ERR_OK);
    assert_int_equal(component_find(f.c, "transformer_blocks.1.attn.to_k.weight", 2,
                                    (int64_t[]){D, D}, &v, &f.e),
                     ERR_OK);
    for (int r = 0; r < D; r++) {
        assert_true(weights_view_numbers(&v, v.data + r * D / 2, D, row));
        weights_view_apply(&v, r, 1, D, row);
        for (int i = 0; i < D; i++) {
            int byte = q[((D + r) * D + i) / 2], code = i % 2 ? byte >> 4 : byte & 15;
            assert_true(row[i] == (float)(code - 8) * scale[D + r] + zeros[D + r]);
        }
    }
    close_it(&f);
}

/* Cut out of the third row on: the scales begin there, too. */
static void rows_of_a_fused_matrix_keep_their_scales(void **state)
{
    enum { D = 64, THREE = 3 * D, BLOCKS = D / BLOCK };
    static uint8_t q[THREE * D / 2], s[256 * BLOCKS];
    struct fixture f;
    struct weights_view v;
    float row[D];
    (void)state;
    for (size_t i = 0; i < sizeof q; i++)
        q[i] = (uint8_t)noise((int64_t)i);
    for (int64_t r = 0; r < THREE; r++)
        for (int64_t k = 0; k < BLOCKS; k++)
            s[tiled_at(r, k, BLOCKS)] = (uint8_t)(0x20 + (r + k) % 64);
    begin(&f);
    add_raw(&f.b, "double_blocks.1.img_attn.qkv.weight", "U8", "192,32", q, sizeof q);
    add_raw(&f.b, "double_blocks.1.img_attn.qkv.weight_scale", "F8_E4M3", "256,4", s, sizeof s);
    add_f32(&f.b, "double_blocks.1.img_attn.qkv.weight_scale_2", "", (float[]){2}, 1);
    add_raw(&f.b, "double_blocks.1.img_attn.qkv.comfy_quant", "U8", "19", "{\"format\": \"nvfp4\"}",
            19);
    open_it(&f);
    assert_int_equal(component_find(f.c, "transformer_blocks.1.attn.to_v.weight", 2,
                                    (int64_t[]){D, D}, &v, &f.e),
                     ERR_OK);
    for (int64_t r = 0; r < D; r++) {
        assert_true(weights_view_numbers(&v, v.data + r * D / 2, D, row));
        weights_view_apply(&v, r, 1, D, row);
        for (int64_t i = 0; i < D; i++) {
            uint8_t byte = q[((2 * D + r) * D + i) / 2];
            float want = dtype_e2m1_to_f32(i % 2 ? byte & 15 : byte >> 4) * 2 *
                         dtype_e4m3_to_f32((uint8_t)(0x20 + (2 * D + r + i / BLOCK) % 64));
            assert_true(row[i] == want);
        }
    }
    close_it(&f);
}

/* ---- refusals ---------------------------------------------------------------------------------- */

static void what_is_not_understood_is_refused(void **state)
{
    static const struct {
        const char *dtype, *dims;
        size_t bytes;
        const char *beside, *marker, *says;
    } rows[] = {
        {"F8_E4M3", "4,12", 48, ".scale", NULL, "lies beside"},
        {"F8_E4M3", "4,12", 48, ".weight.absmax", NULL, "lies beside"},
        {"F8_E5M2", "4,12", 48, ".weight_zero_point", NULL, "lies beside"},
        {"I8", "4,12", 48, NULL, NULL, "has no weight_scale"},
        {"U8", "4,12", 48, NULL, NULL, "nothing beside it says"},
        {"U32", "4,3", 48, ".scales", NULL, "lies beside"},
        {"I8", "4,12", 48, ".weight_scale", "{\"format\": \"convrot_w4a4\"}",
         "rotated in groups of 256"},
        {"I8", "4,12", 48, NULL, "{\"format\": \"convrot_w4a4\"}", "and its weight_scale"},
        {"I8", "4,12", 48, ".weight_s_rel", "{\"format\": \"asym_w4a8_int8\"}",
         "its weight_s_channel"},
        {"I8", "4,12", 48, ".weight_scale", "{\"format\": \"awq_w4a16\"}", "its weight_zeros"},
        {"U8", "4,12", 48, ".weight_scale", "{\"format\": \"awq_w4a16\"}", "'awq_w4a16'"},
        {"I8", "4,12", 48, ".weight_scale", "{\"format\": \"svdquant_w4a4\"}", "'svdquant_w4a4'"},
        {"F8_E4M3", "4,12", 48, ".weight_zeros", NULL, "has no use for it"},
        {"F8_E4M3", "4,12", 48, ".weight_scale", "{\"format\": \"float8_e5m2\"}", "'float8_e5m2'"},
        {"I8", "4,12", 48, ".weight_scale",
         "{\"format\": \"int8_tensorwise\", \"convrot\": true, \"convrot_groupsize\": 100}",
         "rotated in groups of 100"},
        {"I8", "4,12", 48, ".weight_scale", "{}", "names no format"},
        {"U8", "4,12", 48, ".weight_scale", "{\"format\": \"nvfp4\"}", "NVFP4 needs"},
        {"F8_E4M3", "4,12", 48, ".weight_scale", "{\"format\": \"mxfp8\"}",
         "no weight_scale of bytes"},
        {"F8_E4M3", "4,12", 48, ".weight_scale_2", NULL, "has no use for it"},
        {"F8_E4M3", "4,12", 48, ".pre_quant_scale", NULL, "one number for each column"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static const uint8_t zeros[64];
        char name[100];
        struct fixture f;
        begin(&f);
        add_raw(&f.b, MODULE ".weight", rows[i].dtype, rows[i].dims, zeros, rows[i].bytes);
        if (rows[i].marker)
            add_marker(&f.b, rows[i].marker);
        (void)snprintf(name, sizeof name, "%s%s", MODULE, rows[i].beside ? rows[i].beside : "");
        if (rows[i].beside)
            add_f32(&f.b, name, "1", (float[]){1}, 1);
        expect_refusal(&f, rows[i].says);
    }
}

static void scales_that_lie_elsewhere_are_refused(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f);
    add_f32(&f.b, "scales.double_blocks.0.img_mlp.2", "1", (float[]){1}, 1);
    expect_refusal(&f, "'scales.double_blocks.0.img_mlp.2'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nvfp4_is_read_in_both_orders),
        cmocka_unit_test(mxfp8_is_read_in_both_orders),
        cmocka_unit_test(int8_is_read_scaled_and_rotated_back),
        cmocka_unit_test(scales_of_columns_and_of_squares_are_applied),
        cmocka_unit_test(convrot_w4a4_has_signs_and_is_rotated_back),
        cmocka_unit_test(asym_w4a8_is_rounded_scaled_and_rotated_back),
        cmocka_unit_test(awq_w4a16_has_scales_and_zeros_of_groups),
        cmocka_unit_test(rows_of_a_fused_matrix_keep_their_scales),
        cmocka_unit_test(what_is_not_understood_is_refused),
        cmocka_unit_test(scales_that_lie_elsewhere_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
