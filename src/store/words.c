/* words.c - the SQL function has_words(words, name, prompt): whether every word is in the name or the prompt, without
 * case.
 *
 * SQLite itself knows the case of ASCII alone. The C.UTF-8 locale of the C library knows that of all letters, and is
 * there whatever the machine's language is; where it is missing, letters beyond ASCII must match as they are. */
#include <locale.h>
#include <stdlib.h>
#include <wchar.h>
#include <wctype.h>

#include "base/mem.h"
#include "store/db.h"

/* The character at p, of at most n > 0 bytes, and how many it takes; a byte that begins none stands for itself. */
static size_t decode(const unsigned char *p, size_t n, wint_t *out)
{
    size_t more = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : p[0] >= 0xc0 ? 1 : 0;
    *out = p[0];
    if (more == 0 || more >= n)
        return 1;
    wint_t c = p[0] & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 1;
        c = c << 6 | (p[i] & 0x3fu);
    }
    *out = c;
    return more + 1;
}

/* In lower case. NULL without memory. Caller: mem_free. */
static wchar_t *fold(sqlite3_value *v, locale_t letters)
{
    const unsigned char *p = sqlite3_value_text(v);
    size_t n = (size_t)sqlite3_value_bytes(v), count = 0;
    wchar_t *out = p ? mem_try_array(n + 1, sizeof *out) : NULL;
    for (size_t at = 0; out && at < n;) {
        wint_t c;
        at += decode(p + at, n - at, &c);
        out[count++] = (wchar_t)(letters ? towlower_l(c, letters) : towlower(c));
    }
    if (out)
        out[count] = 0;
    return out;
}

/* words is taken apart. */
static bool has_all(wchar_t *words, const wchar_t *name, const wchar_t *prompt)
{
    wchar_t *rest;
    for (wchar_t *w = wcstok(words, L" \t\n", &rest); w; w = wcstok(NULL, L" \t\n", &rest))
        if (!wcsstr(name, w) && !wcsstr(prompt, w))
            return false;
    return true;
}

static void has_words(sqlite3_context *c, int n, sqlite3_value **args)
{
    locale_t letters = sqlite3_user_data(c);
    wchar_t *texts[3];
    (void)n;
    for (int i = 0; i < 3; i++)
        texts[i] = fold(args[i], letters);
    if (texts[0] && texts[1] && texts[2])
        sqlite3_result_int(c, has_all(texts[0], texts[1], texts[2]));
    else
        sqlite3_result_error_nomem(c);
    for (int i = 0; i < 3; i++)
        mem_free(texts[i]);
}

static void free_letters(void *letters)
{
    if (letters)
        freelocale(letters);
}

enum err_code db_add_words(struct db *db, struct err *e)
{
    locale_t letters = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL);
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_DIRECTONLY;
    if (sqlite3_create_function_v2(db->h, "has_words", 3, flags, letters, has_words, NULL, NULL,
                                   free_letters) != SQLITE_OK)
        return db_error(db->h, "prepare the database", e);
    return ERR_OK;
}
