#include "reader/messages.h"

#include <limits.h>

static void code_limits(struct code *c, struct layers_limits *l)
{
    int groups = l->groups, untrusted = l->untrusted;
    code_int(c, &l->max_side, 0, INT_MAX);
    code_size(c, &l->max_layers);
    code_u64(c, &l->max_pixels);
    code_flag(c, &groups);
    code_flag(c, &untrusted);
    l->groups = groups != 0;
    l->untrusted = untrusted != 0;
}

void reader_code_question(struct code *c, struct reader_question *q)
{
    code_int(c, &q->wish, READER_HEADER, READER_TEXTS);
    code_flag(c, &q->confined);
    code_flag(c, &q->series);
    code_int(c, &q->seconds, 1, INT_MAX);
    code_limits(c, &q->limits);
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

void reader_code_size(struct code *c, struct layers_size *s)
{
    code_u64(c, &s->canvas);
    code_u64(c, &s->all);
    code_u64(c, &s->largest);
}

/* ---- what came --------------------------------------------------------------------------------------------- */

void reader_give_up(struct reader_taking *t, enum err_code rc, const struct err *why)
{
    t->is_done = true;
    t->rc = rc;
    t->why = *why;
}

static enum err_code check_image(const struct reader_answer *a, int wish, struct err *e)
{
    const struct vt_image *p = &a->pixels;
    bool deep = p->bits == 16;
    if (a->info.format == IMAGE_FORMAT_UNKNOWN || a->info.channels == 0)
        return err_set(e, ERR_FORMAT, "an image has no format");
    TRY(image_check_size((uint64_t)a->info.w, (uint64_t)a->info.h, NULL, e));
    if (!reader_wants_pixels(wish))
        return ERR_OK;
    if (p->width != a->info.w || p->height != a->info.h || (deep && wish != READER_DEEP) ||
        (!deep && p->bits != 8))
        return err_set(e, ERR_FORMAT, "an image has other sides or another depth than was said");
    return ERR_OK;
}

/* Of files with layers: all of it came. */
static enum err_code check_layers(const struct reader_taking *t, struct err *e)
{
    if (!t->has_size)
        return err_set(e, ERR_FORMAT, "no size came");
    if (t->wish == READER_LAYERS && (!t->has_stack || t->stack->n != t->n))
        return err_set(e, ERR_FORMAT, "not all of the layers came");
    return t->wish == READER_LAYERS ? layer_stack_check_groups(t->stack, e) : ERR_OK;
}

/* Sizes are the process's word until here. */
static enum err_code check(const struct reader_answer *a, const struct reader_taking *t,
                           struct err *e)
{
    bool wanted = a->rc == ERR_OK && reader_wants_pixels(t->wish);
    if ((a->pixels.pixels != NULL) != wanted || a->pixels.file)
        return err_set(e, ERR_FORMAT, "pixels came where none were wanted, or the other way");
    if (a->rc != ERR_OK)
        return a->text[0] ? ERR_OK : err_set(e, ERR_FORMAT, "a failure has no text");
    if (reader_wants_image(t->wish))
        return check_image(a, t->wish, e);
    if (reader_wants_words(t->wish) && !t->has_said)
        return err_set(e, ERR_FORMAT, "nothing was said of the file");
    return reader_wants_layers(t->wish) ? check_layers(t, e) : ERR_OK;
}

static enum err_code copy(const struct vt_image *p, struct image *out, struct err *e)
{
    TRY(image_new_deep(out, p->width, p->height, p->channels, p->bits == 16, e));
    memcpy(out->p, p->pixels, out->stride * (size_t)out->h);
    return ERR_OK;
}

static enum err_code take_answer(struct code *c, struct reader_taking *t, struct err *e)
{
    struct reader_answer a = {0};
    reader_code_answer(c, &a);
    TRY(code_end(c, e));
    TRY(check(&a, t, e));
    t->is_done = true;
    t->rc = (enum err_code)a.rc;
    if (t->info)
        *t->info = a.info;
    if (t->rc != ERR_OK)
        (void)err_set(&t->why, t->rc, "%s", a.text);
    else if (reader_wants_pixels(t->wish))
        t->rc = copy(&a.pixels, t->out, &t->why);
    return ERR_OK;
}

static enum err_code take_size(struct code *c, struct reader_taking *t, struct err *e)
{
    if (!reader_wants_layers(t->wish) || t->has_size)
        return err_set(e, ERR_FORMAT, "a size came that nobody asked for");
    t->has_size = true;
    reader_code_size(c, &t->size);
    reader_limit_pixels(&t->limits, &t->size);
    return code_end(c, e);
}

enum err_code reader_take(struct wire_message *m, struct reader_taking *t, struct err *e)
{
    struct code c;
    enum err_code rc;
    code_from(&c, m);
    c.strict = true;
    switch (m->type) {
    case READER_ANSWER:
        rc = take_answer(&c, t, e);
        break;
    case READER_SIZE:
        rc = take_size(&c, t, e);
        break;
    case READER_STACK:
        rc = reader_take_stack(&c, t, e);
        break;
    case READER_LAYER:
        rc = reader_take_layer(&c, t, e);
        break;
    case READER_TEXT:
        rc = reader_take_text(&c, t, e);
        break;
    case READER_SAID:
        rc = reader_take_said(&c, t, e);
        break;
    default:
        rc = err_set(e, ERR_FORMAT, "a message of the unknown type %u", m->type);
    }
    code_deinit(&c);
    return rc;
}
