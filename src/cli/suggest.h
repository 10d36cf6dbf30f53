/* suggest.h - "did you mean": the word of a list that a mistyped one is nearest to.
 *
 *     struct cli_suggestion s = {.typed = "genrate"};
 *     for (...)
 *         cli_suggest(&s, names[i]);
 *     say("there is no command '%s'%s", s.typed, cli_suggest_text(&s));      -> ...; did you mean 'generate'?
 */
#ifndef VT_CLI_SUGGEST_H
#define VT_CLI_SUGGEST_H

#include <stddef.h>

#include "base/err.h"

struct cli_suggestion {
    const char *typed;
    const char *best; /* borrowed from the caller; NULL: nothing is near enough */
    size_t distance;
    char text[192];
};

void cli_suggest(struct cli_suggestion *s, const char *candidate);
/* "; did you mean 'WORD'?", or "". Borrowed from s. */
const char *cli_suggest_text(struct cli_suggestion *s);
/* The same over "a|b|c" (or with blanks between); the word is kept in s. */
void cli_suggest_words(struct cli_suggestion *s, const char *words, char kept[64]);
/* Puts the near word behind the text of a failed call; gives its code. */
enum err_code cli_suggest_add(struct err *e, const char *typed, const char *words);

#endif
