/* published.c - which klein a transformer file is: distilled, base, or KV, which keeps what it computed of its
 * references. Nothing in the weights tells. In this order: the published file's sha256, where that is known; its size, where
 * no other published file has it; a title in its metadata; its name. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "library/impl.h"
#include "weights/checkpoint.h"

static const struct {
    const char *sha256; /* NULL: not known */
    uint64_t bytes;     /* 0: other files have this size, too */
    enum models_klein is;
} published[] = {
    {"97ed34fe0567e436200f2faee3939b88f2b5d99f8af2a4dc16532c4245c0ccb6", 0, KLEIN_DISTILLED},
    {"0975d6b77b5f510b99547d6724a208e36527df654e8f6134f59ece3f9f30da58", 0, KLEIN_DISTILLED},
    {"865ba09f5b4c3cbd3468a4bd3acb9fcb2f8740c54317482f0bcd4ed1d3655cee", 0, KLEIN_DISTILLED},
    {"5c72214496dd278f721a112e1bd1585fffed487bc0831c894bcbf30d12e9ee48", 0, KLEIN_DISTILLED},
    {"d1023499ef3f2f82ff7c50e6778495195c1b6cc34835741778868428111f9ff4", 0, KLEIN_DISTILLED},
    {"0bba6951258ec8f92d51114a8fa13e66828297bfff58a738f52729b3ef66fa28", 0, KLEIN_DISTILLED},
    {"a7e77afa96871d16679ff7b949bd25f20c8179f219c4b662cac91e81ed99b944", 0, KLEIN_DISTILLED},
    {"67ca777c7aa2d6a0d63d4a7564f823c63af88e9688643df727e1867789062982", 0, KLEIN_DISTILLED},
    {"9c5fed22b76baea749d88fc2abe3ad53245e7b21a0d353a762665eea00043b92", 0, KLEIN_BASE},
    {"4a54fad7f5f741b99eee217198daac20b8d8e515e2a1f5b064fd51cf074f95bd", 0, KLEIN_BASE},
    {"a9f5028c24a7a96f4f45beb883aad287d9bccc246227a6803edc898ddda42cf4", 9567278472, KLEIN_BASE},
    {"730d6bdbd5069cd4cd263cfdc4801d0d06ca14457b903baa5d953a8c2f9e84c9", 5809193808, KLEIN_BASE},
    {NULL, 4089498488, KLEIN_BASE}, /* base-4b-fp8 */
    {"c3a2854510677b7aa37dd7547d908c54889a76c6d6aa3ffe902fcaa092d1328b", 0, KLEIN_BASE},
    {"53aa0e4b079af15499243b12bf5505dca37cf08000cc84b2502e130a7e0a4807", 0, KLEIN_BASE},
    {"f8df4fbcbbf2e38ced1f23b85c61da652d641191fa7944c3e42aa9ce1bfb3aa8", 0, KLEIN_BASE},
    {"33f7da5625a00798349a719742999d3c7dd20c1a7eda14663922c363640728f1", 9818935984, KLEIN_KV},
};

/* A file whose sha256 is known and in no row may still have a row's size: then it is another file. */
static enum models_klein by_content(const struct models_component *c)
{
    const struct models_file *f = c->n_files == 1 ? &c->files[0] : NULL;
    for (size_t i = 0; f && i < sizeof published / sizeof published[0]; i++) {
        bool hashed = f->sha256[0] && published[i].sha256;
        if (hashed ? strcmp(f->sha256, published[i].sha256) == 0 : f->bytes == published[i].bytes)
            return published[i].is;
    }
    return KLEIN_UNKNOWN;
}

/* Is the word in the text, between other characters than letters and digits where bound says so? */
static bool has_word(struct str text, const char *word, bool bound)
{
    size_t n = strlen(word);
    for (size_t i = 0; i + n <= text.n; i++)
        if (strncasecmp(text.p + i, word, n) == 0 &&
            (!bound || ((i == 0 || !isalnum((unsigned char)text.p[i - 1])) &&
                        (i + n == text.n || !isalnum((unsigned char)text.p[i + n])))))
            return true;
    return false;
}

static enum models_klein by_words(struct str text)
{
    return has_word(text, "kv", true)      ? KLEIN_KV
           : has_word(text, "base", false) ? KLEIN_BASE
                                           : KLEIN_UNKNOWN;
}

/* What the file is called inside. */
static enum models_klein by_title(const char *path)
{
    static const char *const keys[] = {"general.name", "general.basename", "modelspec.title",
                                       "title"};
    enum models_klein is = KLEIN_UNKNOWN;
    struct checkpoint *cp = NULL;
    struct str title;
    if (checkpoint_open(path, &cp, NULL) != ERR_OK)
        return KLEIN_UNKNOWN;
    for (size_t i = 0; is == KLEIN_UNKNOWN && i < sizeof keys / sizeof keys[0]; i++)
        if (checkpoint_meta_str(cp, keys[i], &title))
            is = by_words(title);
    checkpoint_close(cp);
    return is;
}

enum models_klein models_klein_of(const struct models_component *c, const char *path)
{
    const char *slash = strrchr(path, '/');
    enum models_klein is = by_content(c);
    if (is == KLEIN_UNKNOWN)
        is = by_title(path);
    if (is == KLEIN_UNKNOWN)
        is = by_words(str_from(slash ? slash + 1 : path));
    return is;
}
