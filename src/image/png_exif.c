/* png_exif.c - the orientation of a PNG, from every place where programs put it; see png_exif.h.
 *
 * The chunk eXIf is the standard and wins. Before it existed, ImageMagick and others wrote EXIF or XMP as
 * hexadecimal in a text chunk ("Raw profile type ..."); Adobe's programs write XMP as an iTXt. All texts are
 * bounded, and damage in them means no orientation, never an error: the image itself may be fine.
 */
#include "image/png_exif.h"

#include <string.h>

#include "base/buf.h"
#include "image/exif.h"
#include "image/png_save.h"
#include "image/xmp.h"

enum { SIGNATURE_BYTES = 8, CHUNK_BYTES = 12, PROFILE_MAX_BYTES = 1 << 20 };

/* Also behind the pixels, where libpng has not been when the header is read. "" when there is none. */
static struct str find_exif(struct str s)
{
    s = str_skip(s, SIGNATURE_BYTES);
    while (s.n >= CHUNK_BYTES) {
        const unsigned char *p = (const unsigned char *)s.p;
        size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (n > s.n - CHUNK_BYTES)
            break;
        if (memcmp(p + 4, "eXIf", 4) == 0)
            return (struct str){s.p + 8, n};
        s = str_skip(s, CHUNK_BYTES + n);
    }
    return STR_LIT("");
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The next word of *s, which it leaves behind. */
static struct str word(struct str *s)
{
    size_t n = 0;
    while (s->n && is_space(s->p[0]))
        *s = str_skip(*s, 1);
    while (n < s->n && !is_space(s->p[n]))
        n++;
    struct str w = {s->p, n};
    *s = str_skip(*s, n);
    return w;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool png_profile_unpack(struct str text, struct buf *out)
{
    int64_t n;
    int high = -1;
    (void)word(&text); /* the name */
    if (!str_to_i64(word(&text), &n) || n < 1 || n > (int64_t)text.n / 2)
        return false;
    for (; n > 0 && text.n; text = str_skip(text, 1)) {
        int digit = hex_digit(text.p[0]);
        if (digit < 0 && !is_space(text.p[0]))
            return false;
        if (digit >= 0 && high < 0) {
            high = digit;
        } else if (digit >= 0) {
            buf_add_byte(out, (unsigned)(16 * high + digit));
            high = -1;
            n--;
        }
    }
    return n == 0 && !buf_failed(out);
}

/* What one of those texts says; 0: nothing. APP1 is a JPEG's, and may hold either. */
static int of_profile(struct str file, const char *key)
{
    const struct str xmp_head = STR_LIT("http://ns.adobe.com/xap/1.0/\0");
    struct buf text, bytes;
    int v = 0;
    buf_init(&text, 4 * PROFILE_MAX_BYTES);
    buf_init(&bytes, PROFILE_MAX_BYTES);
    if (image_png_text(file, key, &text, NULL) == ERR_OK &&
        png_profile_unpack(buf_str(&text), &bytes)) {
        struct str s = buf_str(&bytes);
        v = str_starts(s, xmp_head) ? xmp_orientation(str_skip(s, xmp_head.n))
                                    : exif_orientation(exif_payload(s));
        v = v ? v : xmp_orientation(s);
    }
    buf_deinit(&text);
    buf_deinit(&bytes);
    return v;
}

static int of_xmp(struct str file)
{
    struct buf packet;
    buf_init(&packet, PROFILE_MAX_BYTES);
    int v = image_png_text(file, "XML:com.adobe.xmp", &packet, NULL) == ERR_OK
                ? xmp_orientation(buf_str(&packet))
                : 0;
    buf_deinit(&packet);
    return v;
}

int png_orientation(struct str file)
{
    static const char *const keys[] = {"Raw profile type exif", "Raw profile type APP1",
                                       "Raw profile type xmp"};
    int v = exif_orientation(exif_payload(find_exif(file)));
    for (size_t i = 0; v == 0 && i < 2; i++)
        v = of_profile(file, keys[i]);
    v = v ? v : of_xmp(file);
    v = v ? v : of_profile(file, keys[2]);
    return v ? v : 1;
}
