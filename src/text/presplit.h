/* presplit.h - splitting text into words with a tokenizer's own regex.
 *
 * Tokenizer files are written for Oniguruma; their pattern runs here under PCRE2 with Unicode
 * properties, after two corrections: \s is spelt out, because PCRE2 counts U+180E as a blank and
 * Oniguruma does not, and constructs that mean different things in the two are refused.
 *
 *     struct presplit_run run;
 *     if ((rc = presplit_run_init(&run, p, e)) != ERR_OK) return rc;
 *     presplit_start(&run, text);
 *     while ((rc = presplit_next(&run, &piece, e)) == ERR_OK && piece.n > 0)
 *         ...
 *     presplit_run_deinit(&run);
 */
#ifndef VT_TEXT_PRESPLIT_H
#define VT_TEXT_PRESPLIT_H

#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

/* The pattern of the Qwen2, Qwen2.5 and Qwen3 tokenizers, for files that do not carry one. Static. */
struct str presplit_qwen(void);
/* What a ByteLevel pre-tokenizer with use_regex splits by. Static. */
struct str presplit_gpt2(void);

enum { PRESPLIT_MAX_PATTERN_BYTES = 16 << 10 };

/* A compiled pattern: immutable, freely shared. */
struct presplit;

ERR_MUST_CHECK enum err_code presplit_new(struct str pattern, struct presplit **out, struct err *e);
void presplit_free(struct presplit *p);

/* One pass over one text; reusable for further texts through presplit_start. */
struct presplit_run {
    const struct presplit *split;
    void *matches; /* pcre2_match_data */
    void *limits;  /* pcre2_match_context */
    struct str text;
    size_t at;       /* all before it has been given out */
    size_t from, to; /* the match found last; it waits when the gap before it is given out */
    size_t search;   /* where to look for the next match */
};

ERR_MUST_CHECK enum err_code presplit_run_init(struct presplit_run *run, const struct presplit *p,
                                               struct err *e);
void presplit_run_deinit(struct presplit_run *run);

/* Begins a text (well-formed UTF-8). Borrowed until the last piece. */
void presplit_start(struct presplit_run *run, struct str text);

/* The next piece: a match, or what lies between two matches. Empty at the end. The pieces, one after
 * the other, are the text. ERR_LIMIT when the pattern needs absurdly many tries. */
ERR_MUST_CHECK enum err_code presplit_next(struct presplit_run *run, struct str *piece,
                                           struct err *e);

#endif
