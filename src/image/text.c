/* text.c - labels: letters of five by seven dots, enlarged to whole pixels. No font file and no library: a label has to
 * be read, not admired. */
#include "image/text.h"

#include <string.h>

enum { GLYPH_W = 5, GLYPH_H = 7, FIRST = ' ', LAST = '~' };

/* ' ' to '~'. A digit of base 32 (0-9, A-V) a row from the top, its highest bit at the left. */
static const char glyphs[LAST - FIRST + 1][GLYPH_H + 1] = {
    "0000000", "4444404", "AAA0000", "AAVAVAA", "4FKE5U4", "OP248J3", "CIK8LID", "4480000",
    "2488842", "8422248", "04LEL40", "044V440", "0000C48", "000V000", "00000CC", "01248G0",
    "EHJLPHE", "4C4444E", "EH1248V", "V2421HE", "26AIV22", "VGU11HE", "68GUHHE", "V124888",
    "EHHEHHE", "EHHF12C", "0CC0CC0", "0CC0C48", "248G842", "00V0V00", "8421248", "EH12404",
    "EH1DLLE", "EHHVHHH", "UHHUHHU", "EHGGGHE", "SIHHHIS", "VGGUGGV", "VGGUGGG", "EHGNHHF",
    "HHHVHHH", "E44444E", "72222IC", "HIKOKIH", "GGGGGGV", "HRLLHHH", "HHPLJHH", "EHHHHHE",
    "UHHUGGG", "EHHHLID", "UHHUKIH", "FGGE11U", "V444444", "HHHHHHE", "HHHHHA4", "HHHLLLA",
    "HHA4AHH", "HHHA444", "V1248GV", "E88888E", "0G84210", "E22222E", "4AH0000", "000000V",
    "8420000", "00E1FHF", "GGMPHHU", "00EGGHE", "11DJHHF", "00EHVGE", "698S888", "0FHHF1E",
    "GGMPHHH", "40C444E", "20622IC", "GGIKOKI", "C44444E", "00QLLHH", "00MPHHH", "00EHHHE",
    "00UHUGG", "00DJF11", "00MPGGG", "00EGE1U", "88S8896", "00HHHJD", "00HHHA4", "00HHLLA",
    "00HA4AH", "00HHF1E", "00V248V", "2448442", "4444444", "8442448", "008L200",
};

/* Characters of other scripts are one '?' each. */
static const char *glyph_at(const char **text)
{
    unsigned char c = (unsigned char)*(*text)++;
    while (c >= 0x80 && ((unsigned char)**text & 0xc0) == 0x80)
        (*text)++;
    return glyphs[(c >= FIRST && c <= LAST ? c : '?') - FIRST];
}

int image_text_width(const char *text)
{
    int n = 0;
    for (; *text; n++)
        (void)glyph_at(&text);
    return n * IMAGE_TEXT_ADVANCE;
}

static bool is_set(const char *glyph, int x, int y)
{
    int digit = glyph[y] <= '9' ? glyph[y] - '0' : glyph[y] - 'A' + 10;
    return digit >> (GLYPH_W - 1 - x) & 1;
}

static void draw_dot(struct image *im, int x, int y, const unsigned char colour[4])
{
    for (int v = y; v < y + IMAGE_TEXT_DOT; v++)
        for (int u = x; u < x + IMAGE_TEXT_DOT; u++)
            if (u >= 0 && v >= 0 && u < im->w && v < im->h)
                memcpy(image_row(im, v) + (size_t)u * (size_t)im->channels, colour,
                       (size_t)im->channels);
}

void image_draw_text(struct image *im, int x, int y, int width, const char *text,
                     const unsigned char colour[4])
{
    for (int end = x + width; *text && x + IMAGE_TEXT_ADVANCE <= end; x += IMAGE_TEXT_ADVANCE) {
        const char *glyph = glyph_at(&text);
        for (int i = 0; i < GLYPH_W * GLYPH_H; i++)
            if (is_set(glyph, i % GLYPH_W, i / GLYPH_W))
                draw_dot(im, x + i % GLYPH_W * IMAGE_TEXT_DOT, y + i / GLYPH_W * IMAGE_TEXT_DOT,
                         colour);
    }
}
