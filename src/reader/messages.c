#include "reader/messages.h"

#include <limits.h>

void reader_code_question(struct code *c, struct reader_question *q)
{
    code_int(c, &q->wish, READER_HEADER, READER_DEEP);
    code_flag(c, &q->confined);
    code_int(c, &q->seconds, 1, INT_MAX);
    code_u64(c, &q->bytes);
    code_image(c, &q->file);
}

static void code_info(struct code *c, struct image_info *info)
{
    int format = (int)info->format, alpha = info->had_alpha, icc = info->had_icc;
    code_int(c, &format, IMAGE_FORMAT_UNKNOWN, IMAGE_FORMATS - 1);
    code_int(c, &info->w, 0, IMAGE_SIDE_MAX);
    code_int(c, &info->h, 0, IMAGE_SIDE_MAX);
    code_int(c, &info->channels, 0, 4);
    code_int(c, &info->bit_depth, 0, 64);
    code_int(c, &info->orientation, 1, 8);
    code_int(c, &info->frames, 0, INT_MAX);
    code_flag(c, &alpha);
    code_flag(c, &icc);
    code_chars(c, info->notes, sizeof info->notes);
    info->format = (enum image_format)format;
    info->had_alpha = alpha != 0;
    info->had_icc = icc != 0;
}

void reader_code_answer(struct code *c, struct reader_answer *a)
{
    code_int(c, &a->rc, ERR_OK, ERR_INTERNAL);
    code_chars(c, a->text, sizeof a->text);
    code_info(c, &a->info);
    code_image(c, &a->pixels);
}

/* Sizes are the process's word until here. */
static enum err_code check(const struct reader_answer *a, enum reader_wish wish, struct err *e)
{
    const struct vt_image *p = &a->pixels;
    bool whole = p->pixels != NULL, wanted = a->rc == ERR_OK && reader_wants_pixels(wish);
    bool deep = p->bits == 16;
    if (whole != wanted || p->file)
        return err_set(e, ERR_FORMAT, "pixels came where none were wanted, or the other way");
    if (a->rc != ERR_OK)
        return a->text[0] ? ERR_OK : err_set(e, ERR_FORMAT, "a failure has no text");
    if (a->info.format == IMAGE_FORMAT_UNKNOWN || a->info.channels == 0)
        return err_set(e, ERR_FORMAT, "an image has no format");
    TRY(image_check_size((uint64_t)a->info.w, (uint64_t)a->info.h, NULL, e));
    if (!whole)
        return ERR_OK;
    if (p->width != a->info.w || p->height != a->info.h || (deep && wish != READER_DEEP) ||
        (!deep && p->bits != 8))
        return err_set(e, ERR_FORMAT, "an image has other sides or another depth than was said");
    return ERR_OK;
}

static enum err_code copy(const struct vt_image *p, struct image *out, struct err *e)
{
    TRY(image_new_deep(out, p->width, p->height, p->channels, p->bits == 16, e));
    memcpy(out->p, p->pixels, out->stride * (size_t)out->h);
    return ERR_OK;
}

enum err_code reader_take_answer(struct wire_message *m, enum reader_wish wish,
                                 struct image_info *info, struct image *out, bool *is_nonsense,
                                 struct err *e)
{
    struct code c;
    struct reader_answer a = {0};
    code_from(&c, m);
    c.strict = true;
    reader_code_answer(&c, &a);
    enum err_code rc =
        m->type == READER_ANSWER ? code_end(&c, e) : err_set(e, ERR_FORMAT, "no answer");
    if (rc == ERR_OK)
        rc = check(&a, wish, e);
    *is_nonsense = rc != ERR_OK;
    if (rc == ERR_OK) {
        *info = a.info;
        rc = (enum err_code)a.rc;
        if (rc != ERR_OK)
            (void)err_set(e, rc, "%s", a.text);
        else if (reader_wants_pixels(wish))
            rc = copy(&a.pixels, out, e);
    }
    code_deinit(&c);
    return rc;
}
