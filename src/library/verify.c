/* verify.c - are the files still those that were recorded?
 *
 * A place is good when each of its files has the recorded size and quick hash, and all bytes when asked to read
 * them. A component is broken when a copy that is there differs, or when no copy is there and no drive is offline: a
 * copy on an unplugged drive is not an error. A place that is gone for good is forgotten once there is another.
 */
#include <stdio.h>
#include <string.h>

#include "library/impl.h"

/* Compares one file with what was recorded, whole when asked to; says what differs. */
static enum err_code verify_file(const char *path, struct models_file *f,
                                 const struct models_options *o, struct err *e)
{
    struct models_file now = {0};
    char hex[SHA256_HEX_SIZE];
    TRY(models_quick(path, &now, e));
    if (now.bytes != f->bytes || strcmp(now.quick, f->quick) != 0)
        return err_set(e, ERR_FORMAT, "'%s' has other bytes than when it was added", path);
    if (!o || !o->hash)
        return ERR_OK;
    TRY(models_hash(path, o, hex, e));
    if (f->sha256[0] && strcmp(hex, f->sha256) != 0)
        return err_set(e, ERR_FORMAT, "'%s' is damaged: its sha256 is %s, not %s", path, hex,
                       f->sha256);
    memcpy(f->sha256, hex, sizeof hex);
    return ERR_OK;
}

static enum err_code verify_place(struct models_component *c, const struct models_place *p,
                                  const struct models_options *o, struct err *e)
{
    char path[MODELS_PATH_BYTES];
    for (size_t i = 0; i < c->n_files; i++) {
        if (!models_file_path(p, i, path))
            return err_set(e, ERR_LIMIT, "a path of '%s' is too long", c->about);
        TRY(verify_file(path, &c->files[i], o, e));
    }
    return ERR_OK;
}

/* A component that is only found under another mount point is entered there. */
static void note_move(struct models *m, struct models_component *c, const struct models_options *o)
{
    char path[MODELS_PATH_BYTES], volume[MODELS_PATH_BYTES];
    for (size_t i = 0; i < c->n_places; i++)
        if (models_place_state(c, &c->places[i]) == MODELS_READY)
            return;
    if (c->n_places == 0 || models_component_state(c, path) != MODELS_READY)
        return;
    models_volume_of(path, volume);
    /* Found elsewhere means: at the rest of one of these paths. */
    for (size_t i = 0; i < c->n_places; i++) {
        struct models_place *p = &c->places[i];
        const char *tail = strcmp(p->volume, "/") == 0 ? p->path : p->path + strlen(p->volume);
        if (!str_ends(str_from(path), str_from(tail)))
            continue;
        p->path = models_keep(m, path);
        p->volume = models_keep(m, volume);
        models_say(o, MODELS_MOVED, path, c->about);
        return;
    }
}

/* A place that is gone for good (its drive is there, it is not) is forgotten once there is another. */
static void forget_gone(struct models_component *c)
{
    char path[MODELS_PATH_BYTES];
    if (models_component_state(c, path) != MODELS_READY)
        return;
    for (size_t i = 0; i < c->n_places && c->n_places > 1; i++)
        if (models_place_state(c, &c->places[i]) == MODELS_MISSING)
            c->places[i--] = c->places[--c->n_places];
}

static bool verify_component(struct models *m, struct models_component *c,
                             const struct models_options *o)
{
    bool sound = true, any = false, away = false;
    note_move(m, c, o);
    forget_gone(c);
    for (size_t i = 0; i < c->n_places; i++) {
        const struct models_place *p = &c->places[i];
        struct err e = {0};
        enum models_state s = models_place_state(c, p);
        away = away || s == MODELS_AWAY;
        if (s == MODELS_AWAY || s == MODELS_MISSING)
            continue;
        any = true;
        if (verify_place(c, p, o, &e) == ERR_OK) {
            models_say(o, MODELS_VERIFIED, p->path, c->about);
        } else {
            models_say(o, MODELS_BROKEN, p->path, e.text);
            sound = false;
        }
    }
    if (any)
        return sound;
    models_say(o, MODELS_BROKEN, c->n_places ? c->places[0].path : "",
               away ? "its drive is offline" : "it is missing");
    return away; /* an unplugged drive is not an error */
}

size_t models_verify(struct models *m, const struct models_options *o)
{
    size_t broken = 0;
    for (size_t i = 0; i < m->n_components; i++)
        broken += !verify_component(m, &m->components[i], o);
    return broken;
}
