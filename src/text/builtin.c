/* builtin.c - a tokenizer out of its merges alone.
 *
 * Token 256 + i is what merge i joins; the first 256 are the bytes, in GPT-2's order: the printable ones, then the
 * others. So only the merges' parts need to be stored, as ids: the left ones, then the right ones, each as three
 * planes of bytes (low, middle, high), under zlib. tools/tokenizer/pack_merges.py makes them of the published file
 * (Apache License 2.0).
 */
#include "text/builtin.h"

#include <string.h>
#include <zlib.h>

#include "base/embed.h"
#include "base/mem.h"

enum {
    BYTES = 256,
    MERGES = TOKENIZER_BUILTIN_WORDS - BYTES,
    PLANES = 6,
    QWEN3_ADDED = 26,
    QWEN2_5_ADDED = 22,
    NORMAL = 1, /* kinds of tokens, as in a GGUF file */
    CONTROL = 3,
    USER_DEFINED = 4,
    CONTROL_TOKENS = 14, /* of the added ones, the first */
    TEXT_BYTES = 8 << 20,
};

/* The added tokens in order; Qwen2.5's are the first 22. */
static const char *const added[QWEN3_ADDED] = {
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
};

EMBED_FILE(vt_qwen_merges, VT_TEXT_DATA "/qwen_merges.zlib")

static const char qwen3[] = "builtin:qwen3", qwen2_5[] = "builtin:qwen2.5";

const char *tokenizer_builtin_name(bool is_qwen3)
{
    return is_qwen3 ? qwen3 : qwen2_5;
}

bool tokenizer_is_builtin(const char *name)
{
    return strcmp(name, qwen3) == 0 || strcmp(name, qwen2_5) == 0;
}

/* What a tokenizer is made of, until it is made. */
struct lists {
    unsigned char *planes; /* [PLANES][MERGES] */
    char *text;            /* of all tokens and merges */
    size_t n;
    struct str *tokens, *merges;
    int32_t *types;
};

static void lists_free(struct lists *l)
{
    mem_free(l->planes);
    mem_free(l->text);
    mem_free(l->tokens);
    mem_free(l->merges);
    mem_free(l->types);
}

static enum err_code lists_make(struct lists *l, size_t n_tokens, struct err *e)
{
    uLongf n = (uLongf)PLANES * MERGES;
    l->planes = mem_try_alloc(n);
    l->text = mem_try_alloc(TEXT_BYTES);
    l->tokens = mem_try_array(n_tokens, sizeof *l->tokens);
    l->merges = mem_try_array(MERGES, sizeof *l->merges);
    l->types = mem_try_array(n_tokens, sizeof *l->types);
    if (!l->planes || !l->text || !l->tokens || !l->merges || !l->types)
        return err_set(e, ERR_NOMEM, "no memory for the tokenizer");
    if (uncompress(l->planes, &n, vt_qwen_merges, (uLong)(vt_qwen_merges_end - vt_qwen_merges)) !=
            Z_OK ||
        n != (uLongf)PLANES * MERGES)
        return err_set(e, ERR_INTERNAL, "the program's own tokenizer is broken");
    return ERR_OK;
}

static uint32_t part_of(const struct lists *l, size_t merge, size_t side)
{
    const unsigned char *p = l->planes + 3 * side * MERGES + merge;
    return p[0] | (uint32_t)p[MERGES] << 8 | (uint32_t)p[2 * (size_t)MERGES] << 16;
}

/* A byte as the character that tokenizer files write for it. */
static struct str put_char(struct lists *l, unsigned code)
{
    struct str s = {l->text + l->n, code < 0x80 ? 1 : 2};
    if (code >= 0x80) {
        l->text[l->n++] = (char)(0xc0 | code >> 6);
        code = 0x80 | (code & 0x3f);
    }
    l->text[l->n++] = (char)code;
    return s;
}

/* Bytes that are printed as themselves. */
static bool is_printable(unsigned c)
{
    return (c >= 33 && c < 127) || (c >= 161 && c < 256 && c != 173);
}

static void put_bytes(struct lists *l)
{
    size_t n = 0;
    for (unsigned c = 0; c < BYTES; c++)
        if (is_printable(c))
            l->tokens[n++] = put_char(l, c);
    for (unsigned other = BYTES; n < BYTES; other++)
        l->tokens[n++] = put_char(l, other);
}

/* Two texts, with a gap of so many bytes between them. */
static struct str put_pair(struct lists *l, struct str a, struct str b, size_t gap)
{
    struct str s = {l->text + l->n, a.n + gap + b.n};
    memcpy(l->text + l->n, a.p, a.n);
    memset(l->text + l->n + a.n, ' ', gap);
    memcpy(l->text + l->n + a.n + gap, b.p, b.n);
    l->n += s.n;
    return s;
}

static bool put_merges(struct lists *l)
{
    for (size_t i = 0; i < MERGES; i++) {
        uint32_t left = part_of(l, i, 0), right = part_of(l, i, 1);
        if (left >= BYTES + i || right >= BYTES + i)
            return false;
        struct str a = l->tokens[left], b = l->tokens[right];
        if (2 * (a.n + b.n) + 1 > TEXT_BYTES - l->n)
            return false;
        l->tokens[BYTES + i] = put_pair(l, a, b, 0);
        l->merges[i] = put_pair(l, a, b, 1);
    }
    return true;
}

static void put_added(struct lists *l, size_t n)
{
    for (size_t i = 0; i < n; i++)
        l->tokens[TOKENIZER_BUILTIN_WORDS + i] = str_from(added[i]);
    for (size_t i = 0; i < TOKENIZER_BUILTIN_WORDS + n; i++)
        l->types[i] = i < TOKENIZER_BUILTIN_WORDS                    ? NORMAL
                      : i < TOKENIZER_BUILTIN_WORDS + CONTROL_TOKENS ? CONTROL
                                                                     : USER_DEFINED;
}

enum err_code tokenizer_builtin(const char *name, struct tokenizer **out, struct err *e)
{
    size_t n_added = strcmp(name, qwen3) == 0 ? QWEN3_ADDED : QWEN2_5_ADDED;
    struct lists l = {0};
    *out = NULL;
    enum err_code rc;
    TRY_GOTO(lists_make(&l, TOKENIZER_BUILTIN_WORDS + n_added, e), done);
    put_bytes(&l);
    if (!put_merges(&l)) {
        rc = err_set(e, ERR_INTERNAL, "the program's own tokenizer is broken");
        goto done;
    }
    put_added(&l, n_added);
    const struct tokenizer_arrays a = {
        .model = STR_LIT("gpt2"),
        .pre = STR_LIT("qwen2"),
        .tokens = l.tokens,
        .n_tokens = TOKENIZER_BUILTIN_WORDS + n_added,
        .merges = l.merges,
        .n_merges = MERGES,
        .types = l.types,
        .eos_id = TOKENIZER_BUILTIN_WORDS + 2,
        .pad_id = TOKENIZER_BUILTIN_WORDS,
    };
    rc = tokenizer_from_arrays(&a, name, out, e);
done:
    lists_free(&l);
    return rc;
}
