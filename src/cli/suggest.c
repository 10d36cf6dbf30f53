/* suggest.c - "did you mean": the known word with the fewest edits.
 *
 * A swap of neighbours counts as one edit, as that is how people mistype. One to three edits are near, by the length
 * of what was typed; so is a word that begins with it. Otherwise nothing is suggested: a wild guess is worse than
 * none.
 */
#include "cli/suggest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { MAX_WORD = 64 };

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int lower(char c)
{
    return tolower((unsigned char)c);
}

/* Row i of the table, from the row above it and the one above that. */
static void next_row(const char *a, size_t i, const char *b, size_t m, const size_t *two,
                     const size_t *above, size_t *row)
{
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
        bool same = lower(a[i - 1]) == lower(b[j - 1]);
        row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + !same);
        if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
            lower(a[i - 2]) == lower(b[j - 1]))
            row[j] = least(row[j], two[j - 2] + 1);
    }
}

/* Letters changed, missing, too many, or two of them swapped (Damerau's distance, neighbours only). */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    size_t rows[3][MAX_WORD + 1];
    if (n > MAX_WORD || m > MAX_WORD)
        return MAX_WORD;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = rows[2][j] = j;
    for (size_t i = 1; i <= n; i++)
        next_row(a, i, b, m, rows[(i + 1) % 3], rows[(i - 1) % 3], rows[i % 3]);
    return rows[n % 3][m];
}

/* The beginning of a word counts as near: "gen" means generate. What was typed is no suggestion. */
void cli_suggest(struct cli_suggestion *s, const char *candidate)
{
    if (strcmp(s->typed, candidate) == 0)
        return;
    size_t n = strlen(s->typed), d = distance(s->typed, candidate);
    if (n >= 2 && strncmp(s->typed, candidate, n) == 0)
        d = least(d, 1);
    size_t most = n <= 3 ? 1 : n <= 8 ? 2 : 3;
    if (d <= most && d < strlen(candidate) && (!s->best || d < s->distance)) {
        s->best = candidate;
        s->distance = d;
    }
}

void cli_suggest_words(struct cli_suggestion *s, const char *words, char kept[64])
{
    char word[MAX_WORD];
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, "|, ");
        if (n > 0 && n < sizeof word) {
            const char *before = s->best;
            size_t far = s->distance;
            (void)snprintf(word, sizeof word, "%.*s", (int)n, p);
            cli_suggest(s, word);
            if (s->best == word) {
                memcpy(kept, word, n + 1);
                s->best = kept;
            } else {
                s->best = before;
                s->distance = far;
            }
        }
        p += n + (p[n] != 0);
    }
}

const char *cli_suggest_text(struct cli_suggestion *s)
{
    s->text[0] = 0;
    if (s->best)
        (void)snprintf(s->text, sizeof s->text, "; did you mean '%.150s'?", s->best);
    return s->text;
}

enum err_code cli_suggest_add(struct err *e, const char *typed, const char *words)
{
    char kept[64];
    struct cli_suggestion s = {.typed = typed};
    size_t n = strlen(e->text);
    cli_suggest_words(&s, words, kept);
    (void)snprintf(e->text + n, sizeof e->text - n, "%s", cli_suggest_text(&s));
    return e->code;
}
