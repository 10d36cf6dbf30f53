/* presplit.c - see presplit.h.
 *
 * The just-in-time compiled code runs on 32 KiB of machine stack; when a pattern needs more, and where
 * the system forbids generated code, the interpreter takes over. Both count their tries against a
 * limit that grows with the text, so a hostile pattern ends in an error instead of a hang. PCRE2 is opened with the
 * first pattern (base/late.h).
 */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "text/presplit.h"

#include <inttypes.h>
#include <pcre2.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/late.h"
#include "base/mem.h"

#define PCRE2_FUNCTIONS(X)                                                                         \
    X(pcre2_code_free_8)                                                                           \
    X(pcre2_compile_8)                                                                             \
    X(pcre2_get_error_message_8)                                                                   \
    X(pcre2_get_ovector_pointer_8)                                                                 \
    X(pcre2_jit_compile_8)                                                                         \
    X(pcre2_jit_match_8)                                                                           \
    X(pcre2_match_8)                                                                               \
    X(pcre2_match_context_create_8)                                                                \
    X(pcre2_match_context_free_8)                                                                  \
    X(pcre2_match_data_create_8)                                                                   \
    X(pcre2_match_data_free_8)                                                                     \
    X(pcre2_set_depth_limit_8)                                                                     \
    X(pcre2_set_heap_limit_8)                                                                      \
    X(pcre2_set_match_limit_8)

LATE_LIBRARY(text_pcre2, "splitting prompts into words", PCRE2_FUNCTIONS)

struct str presplit_qwen(void)
{
    return STR_LIT("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
                   " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+");
}

struct str presplit_gpt2(void)
{
    return STR_LIT("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
                   "\\s+(?!\\S)|\\s+");
}

/* Unicode's White_Space, as Oniguruma's \s. */
#define BLANKS                                                                                     \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"    \
    "\\x{205f}\\x{3000}"

enum {
    TRIES_BASE = 100000,
    TRIES_PER_BYTE = 16,
    TRIES_MAX = 100000000,
    DEPTH_MAX = 1000000,
    HEAP_MAX_KIB = 256 << 10,
};

struct presplit {
    pcre2_code *code;
    bool jit;
};

/* ---- from Oniguruma's dialect to PCRE2's ------------------------------------------------------- */

static enum err_code translate_escape(char c, bool in_class, struct buf *out, struct err *e)
{
    if (c == 's') {
        buf_add_z(out, in_class ? BLANKS : "[" BLANKS "]");
    } else if (c == 'S' && !in_class) {
        buf_add_z(out, "[^" BLANKS "]");
    } else if (c != 0 && strchr("SwWbBhHRXKGCQE", c) != NULL) {
        return err_set(e, ERR_FORMAT, "pre-tokenizer: \\%c%s in the pattern is not supported", c,
                       in_class ? " inside [...]" : "");
    } else {
        buf_add_byte(out, '\\');
        buf_add_byte(out, (unsigned char)c);
    }
    return ERR_OK;
}

/* Copies "[", and with it "^" and a first "]", which stands for itself. */
static size_t open_class(struct str pattern, size_t i, struct buf *out)
{
    size_t end = i + 1;
    if (end < pattern.n && pattern.p[end] == '^')
        end++;
    if (end < pattern.n && pattern.p[end] == ']')
        end++;
    buf_add(out, pattern.p + i, end - i);
    return end - 1;
}

static enum err_code translate(struct str pattern, struct buf *out, struct err *e)
{
    bool in_class = false;
    for (size_t i = 0; i < pattern.n; i++) {
        char c = pattern.p[i];
        if (c == '\\' && i + 1 < pattern.n) {
            enum err_code rc = translate_escape(pattern.p[++i], in_class, out, e);
            if (rc != ERR_OK)
                return rc;
        } else if (c == '[' && in_class) {
            return err_set(e, ERR_FORMAT,
                           "pre-tokenizer: '[' inside [...] is not supported (byte %zu)", i);
        } else if (c == '[') {
            in_class = true;
            i = open_class(pattern, i, out);
        } else {
            in_class = in_class && c != ']';
            buf_add_byte(out, (unsigned char)c);
        }
    }
    return ERR_OK;
}

/* ---- compiling --------------------------------------------------------------------------------- */

static enum err_code compile(struct presplit *p, struct str pattern, struct err *e)
{
    int code;
    PCRE2_SIZE at;
    TRY(late_open(&text_pcre2, e));
    uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_NO_AUTO_CAPTURE;
    p->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, options, &code, &at, NULL);
    if (!p->code) {
        char why[160];
        (void)pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        return err_set(e, ERR_FORMAT, "pre-tokenizer: the pattern is no regex: %s", why);
    }
    p->jit = pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE) == 0;
    return ERR_OK;
}

enum err_code presplit_new(struct str pattern, struct presplit **out, struct err *e)
{
    struct buf translated;
    enum err_code rc;
    *out = NULL;
    if (pattern.n > PRESPLIT_MAX_PATTERN_BYTES)
        return err_set(e, ERR_LIMIT,
                       "pre-tokenizer: a pattern of %zu bytes; at most %d are possible", pattern.n,
                       PRESPLIT_MAX_PATTERN_BYTES);
    struct presplit *p = mem_try_alloc(sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for the pre-tokenizer");
    buf_init(&translated, 64 * PRESPLIT_MAX_PATTERN_BYTES);
    TRY_GOTO(translate(pattern, &translated, e), done);
    if (buf_failed(&translated)) {
        rc = err_set(e, ERR_NOMEM, "no memory for the pre-tokenizer's pattern");
        goto done;
    }
    rc = compile(p, buf_str(&translated), e);
done:
    buf_deinit(&translated);
    if (rc != ERR_OK) {
        presplit_free(p);
        return rc;
    }
    *out = p;
    return ERR_OK;
}

void presplit_free(struct presplit *p)
{
    if (!p)
        return;
    pcre2_code_free(p->code);
    mem_free(p);
}

/* ---- running ----------------------------------------------------------------------------------- */

enum err_code presplit_run_init(struct presplit_run *run, const struct presplit *p, struct err *e)
{
    *run = (struct presplit_run){.split = p};
    run->matches = pcre2_match_data_create(1, NULL);
    run->limits = pcre2_match_context_create(NULL);
    if (!run->matches || !run->limits) {
        presplit_run_deinit(run);
        return err_set(e, ERR_NOMEM, "no memory to split text");
    }
    (void)pcre2_set_depth_limit(run->limits, DEPTH_MAX);
    (void)pcre2_set_heap_limit(run->limits, HEAP_MAX_KIB);
    return ERR_OK;
}

void presplit_run_deinit(struct presplit_run *run)
{
    pcre2_match_data_free(run->matches);
    pcre2_match_context_free(run->limits);
    *run = (struct presplit_run){0};
}

void presplit_start(struct presplit_run *run, struct str text)
{
    size_t tries = text.n < TRIES_MAX / TRIES_PER_BYTE ? TRIES_BASE + text.n * TRIES_PER_BYTE
                                                       : (size_t)TRIES_MAX;
    (void)pcre2_set_match_limit(run->limits, (uint32_t)tries);
    run->text = text;
    run->at = run->from = run->to = run->search = 0;
}

static int match_from(struct presplit_run *run, size_t from)
{
    const struct presplit *p = run->split;
    PCRE2_SPTR text = (PCRE2_SPTR)run->text.p;
    if (p->jit) {
        int rc = pcre2_jit_match(p->code, text, run->text.n, from, PCRE2_NO_UTF_CHECK, run->matches,
                                 run->limits);
        if (rc != PCRE2_ERROR_JIT_STACKLIMIT)
            return rc;
    }
    return pcre2_match(p->code, text, run->text.n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                       run->matches, run->limits);
}

/* Finds the next match that is not empty into from, to; from = to = text.n when there is none. An
 * empty match ends the gap before it (*cut) and takes nothing. */
static enum err_code find_match(struct presplit_run *run, bool *cut, struct err *e)
{
    *cut = false;
    int rc = run->search > run->text.n ? PCRE2_ERROR_NOMATCH : match_from(run, run->search);
    if (rc == PCRE2_ERROR_NOMATCH) {
        run->from = run->to = run->search = run->text.n;
        run->search++;
        return ERR_OK;
    }
    if (rc < 0) {
        char why[160];
        (void)pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof why);
        return err_set(e, ERR_LIMIT,
                       "the pre-tokenizer's pattern gave up at byte %zu of the text: %s",
                       run->search, why);
    }
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(run->matches);
    if (span[0] < run->at || span[1] < span[0])
        return err_set(e, ERR_FORMAT, "the pre-tokenizer's pattern matched backwards at byte %zu",
                       run->search);
    run->from = span[0];
    run->to = run->search = span[1];
    if (span[0] == span[1]) {
        *cut = true;
        do
            run->search++;
        while (run->search < run->text.n &&
               ((unsigned char)run->text.p[run->search] & 0xc0) == 0x80);
    }
    return ERR_OK;
}

static struct str give(struct presplit_run *run, size_t to)
{
    struct str piece = {run->text.p + run->at, to - run->at};
    run->at = to;
    return piece;
}

enum err_code presplit_next(struct presplit_run *run, struct str *piece, struct err *e)
{
    *piece = (struct str){run->text.p, 0};
    if (run->at == run->from && run->from < run->to) { /* the match behind the gap */
        *piece = give(run, run->to);
        return ERR_OK;
    }
    while (run->at < run->text.n) {
        bool cut;
        enum err_code rc = find_match(run, &cut, e);
        if (rc != ERR_OK)
            return rc;
        if (run->at < run->from) { /* the gap; nothing is lost when a cut follows */
            *piece = give(run, run->from);
            return ERR_OK;
        }
        if (!cut) {
            *piece = give(run, run->to);
            return ERR_OK;
        }
    }
    return ERR_OK;
}
