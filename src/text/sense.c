#include "text/sense.h"

#include <string.h>

enum {
    REPEAT_MAX_PERIOD = 400, /* bytes; a longer repeated part is not looked for */
    REPEAT_MIN_TIMES = 4,
    REPEAT_MIN_BYTES = 80,
};

/* Newlines and tabs are text. C1 controls are two bytes in UTF-8. */
static bool has_controls(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f)
            return true;
        if (c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0)
            return true;
    }
    return false;
}

/* U+FFFD stands for bytes that were no UTF-8. One may be a character that was cut off at the end. */
static bool is_broken(struct str s)
{
    size_t broken = 0;
    for (size_t i = 0; i + 3 <= s.n; i++)
        broken += memcmp(s.p + i, "\xef\xbf\xbd", 3) == 0;
    return broken >= 3 && broken * 50 >= s.n / 3;
}

/* Does the text end in the same bytes over and over, for at least half of its length? */
static bool repeats(struct str s)
{
    for (size_t period = 1; period <= REPEAT_MAX_PERIOD && period * REPEAT_MIN_TIMES <= s.n;
         period++) {
        size_t same = 0;
        while (same + period < s.n && s.p[s.n - 1 - same] == s.p[s.n - 1 - same - period])
            same++;
        if (same >= period * (REPEAT_MIN_TIMES - 1) && same + period >= REPEAT_MIN_BYTES &&
            (same + period) * 2 >= s.n)
            return true;
    }
    return false;
}

const char *text_nonsense(struct str s)
{
    if (has_controls(s))
        return "has control characters";
    if (is_broken(s))
        return "is no text in UTF-8";
    return repeats(s) ? "repeats itself without end" : NULL;
}
