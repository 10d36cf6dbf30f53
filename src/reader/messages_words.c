/* messages_words.c - what files say of themselves, as messages: texts have a bound, one by one and together. */
#include <string.h>

#include "reader/messages.h"

void reader_code_about(struct code *c, struct image_about *a)
{
    const char *recipe = c->reading ? NULL : buf_z(&a->recipe);
    int source = (int)a->source;
    code_int(c, &source, IMAGE_SOURCE_UNKNOWN, IMAGE_SOURCES - 1);
    code_text(c, &recipe, IMAGE_RECIPE_MAX_BYTES);
    if (!c->reading || c->bad)
        return;
    a->source = (enum image_source)source;
    if (recipe)
        buf_add_z(&a->recipe, recipe);
}

void reader_code_text(struct code *c, char key[READER_KEY_SIZE], const char **text)
{
    code_chars(c, key, READER_KEY_SIZE);
    code_text(c, text, READER_TEXTS_BYTES);
}

/* ---- what came --------------------------------------------------------------------------------------------- */

enum err_code reader_take_text(struct code *c, struct reader_taking *t, struct err *e)
{
    char key[READER_KEY_SIZE] = "";
    const char *text = NULL;
    if (t->wish != READER_TEXTS || t->has_said)
        return err_set(e, ERR_FORMAT, "a text came that nobody asked for");
    reader_code_text(c, key, &text);
    TRY(code_end(c, e));
    size_t n = strlen(key) + (text ? strlen(text) : 0) + READER_TEXT_COST;
    if (!text || n > READER_TEXTS_BYTES - t->text_bytes)
        return err_set(e, ERR_FORMAT, "texts are longer than they may be");
    t->text_bytes += n;
    t->texts->see(str_from(key), str_from(text), t->texts->user);
    return ERR_OK;
}

enum err_code reader_take_said(struct code *c, struct reader_taking *t, struct err *e)
{
    if (!reader_wants_words(t->wish) || t->has_said)
        return err_set(e, ERR_FORMAT, "words came that nobody asked for");
    t->has_said = true;
    reader_code_about(c, t->about);
    return code_end(c, e);
}
