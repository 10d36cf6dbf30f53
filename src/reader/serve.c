/* serve.c - the process that reads one file, or those of a series.
 *
 * What has no hole yet is done first: the file is told from its first bytes, and the libraries that its kind needs are
 * opened. Then every right is given up, and only then is a byte parsed. Memory is bounded twice: for the header, and
 * for the pixels by what the header says; time by the processor's, which no loop escapes. Later files of a series come
 * when no right is left: for one that would need more than there is the process ends without an answer, and another
 * one is asked.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "child/process.h"
#include "reader/messages.h"

/* The header of any file, and a decoder's own; then what a pixel that is being decoded takes (planes, frames that a
 * decoder keeps, the image in two depths, and turned), and one that is kept. */
static const uint64_t BASE_BYTES = (uint64_t)768 << 20, PIXEL_BYTES = 64, KEPT_BYTES = 8;
/* By how much later images of a series may be larger than the first one whose pixels are read. */
static const uint64_t SERIES_BYTES = (uint64_t)1 << 30;

/* ---- bounds ------------------------------------------------------------------------------------------------ */

/* more: how far it may be raised later on. */
static void bound(int what, uint64_t n, uint64_t more)
{
    struct rlimit l;
    if (getrlimit((__rlimit_resource_t)what, &l) != 0)
        return;
    l.rlim_cur = n < l.rlim_max ? (rlim_t)n : l.rlim_max;
    if (more < l.rlim_max - l.rlim_cur)
        l.rlim_max = l.rlim_cur + (rlim_t)more;
    (void)setrlimit((__rlimit_resource_t)what, &l);
}

static void bound_memory(uint64_t bytes, uint64_t more)
{
    if (reader_bounds_memory())
        bound(RLIMIT_DATA, BASE_BYTES + bytes, more);
}

/* Whether that bound can still be had. */
static bool may_have_memory(uint64_t bytes)
{
    struct rlimit l;
    return !reader_bounds_memory() || getrlimit(RLIMIT_DATA, &l) != 0 ||
           BASE_BYTES + bytes <= l.rlim_max;
}

/* Beyond the seconds comes the signal that ends it, then one that nobody can do without. */
static void bound_time(const struct reader_question *q, uint64_t more)
{
    struct rusage used = {0};
    (void)getrusage(RUSAGE_SELF, &used);
    bound(RLIMIT_CPU,
          (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (uint64_t)q->seconds, more);
}

/* And of what is not the file's business: cores, the memory that an answer may lie in. */
static void bound_all(const struct reader_question *q)
{
    const uint64_t image = 8 * image_limits_defaults().max_pixels, layer = 4 * q->limits.max_pixels;
    (void)signal(SIGXFSZ, SIG_IGN); /* writing fails instead */
    bound(RLIMIT_CORE, 0, 0);
    bound_time(q, q->series ? READER_SERIES_FILES * (uint64_t)q->seconds : 1);
    bound(RLIMIT_FSIZE, (image > layer ? image : layer) + WIRE_MAX_BYTES, 0);
    bound_memory(0, UINT64_MAX);
}

struct reading {
    const struct reader_question *question;
    bool is_first; /* of the process */
    bool gives_up; /* another process has to read it */
    enum err_code (*confine)(struct err *e);
    struct str bytes;
    struct image_info info;
    struct image image;
};

/* All that can fail before the file is looked at. */
static enum err_code prepare(struct reading *g, struct err *e)
{
    struct err why = {0};
    const struct reader_question *q = g->question;
    enum err_code rc = ERR_OK; /* words need no library */
    if (reader_wants_image(q->wish))
        rc = image_prepare(image_sniff(g->bytes), e);
    else if (reader_wants_layers(q->wish))
        rc = layers_prepare(g->bytes, e);
    if (!g->is_first) {
        bound_memory(0, UINT64_MAX);
        bound_time(q, UINT64_MAX);
        g->gives_up = rc != ERR_OK;
        return rc;
    }
    TRY(rc);
    bound_all(q);
    if (q->confined && g->confine(&why) != ERR_OK)
        log_warn("a reader keeps rights that it does not need: %s", why.text);
    return ERR_OK;
}

static enum err_code say(uint32_t type, struct code *c, struct err *e)
{
    enum err_code rc = code_send(c, PROCESS_SOCKET, type, true, e);
    code_deinit(c);
    return rc;
}

static struct vt_image pixels_of(const struct image *im)
{
    return (struct vt_image){.width = im->w,
                             .height = im->h,
                             .channels = im->channels,
                             .bits = im->deep ? 16 : 8,
                             .pixels = im->p};
}

static enum err_code read_image(struct reading *g, struct err *e)
{
    const int wish = g->question->wish;
    struct image_info *info = &g->info;
    TRY(reader_decode(g->bytes, READER_HEADER, info, NULL, e));
    if (wish == READER_HEADER)
        return ERR_OK;
    const uint64_t needed = PIXEL_BYTES * (uint64_t)info->w * (uint64_t)info->h;
    g->gives_up = !g->is_first && !may_have_memory(needed);
    if (g->gives_up)
        return ERR_LIMIT;
    bound_memory(needed, g->question->series ? SERIES_BYTES : 0);
    return reader_decode(g->bytes, wish, info, &g->image, e);
}

/* A layer's pixels are given back once they are handed over. */
static enum err_code say_stack(struct layer_stack *s, struct err *e)
{
    struct code c;
    size_t n = s->n;
    code_to(&c);
    reader_code_stack(&c, s, &n);
    TRY(say(READER_STACK, &c, e));
    for (size_t i = 0; i < s->n; i++) {
        struct vt_image pixels = pixels_of(&s->layers[i].image);
        code_to(&c);
        reader_code_layer(&c, &s->layers[i], &pixels);
        TRY(say(READER_LAYER, &c, e));
        image_free(&s->layers[i].image);
    }
    return ERR_OK;
}

static uint64_t memory_for(const struct layers_size *s, uint64_t max)
{
    const uint64_t largest = s->largest < max ? s->largest : max;
    const uint64_t canvas = s->canvas < max ? s->canvas : max;
    return KEPT_BYTES * max + PIXEL_BYTES * (largest + canvas);
}

static enum err_code read_layers(const struct reading *g, struct err *e)
{
    struct layers_limits limits = g->question->limits;
    struct layers_size size = {0};
    struct layer_stack stack;
    struct code c;
    TRY(layers_measure(g->bytes, &size, e));
    code_to(&c);
    reader_code_size(&c, &size);
    TRY(say(READER_SIZE, &c, e));
    if (g->question->wish == READER_LAYERS_SIZE)
        return ERR_OK;
    reader_limit_pixels(&limits, &size);
    bound_memory(memory_for(&size, limits.max_pixels), 0);
    TRY(layers_import_memory(g->bytes, &limits, &stack, e));
    enum err_code rc = say_stack(&stack, e);
    layer_stack_deinit(&stack);
    return rc;
}

struct saying {
    enum err_code rc;
    struct err err;
};

static void say_text(struct str key, struct str text, void *user)
{
    struct saying *s = user;
    char name[READER_KEY_SIZE];
    struct code c;
    struct buf copy;
    if (s->rc != ERR_OK)
        return;
    buf_init(&copy, READER_TEXTS_BYTES);
    buf_add_str(&copy, text);
    (void)snprintf(name, sizeof name, "%.*s", (int)key.n, key.p);
    const char *z = buf_z(&copy);
    code_to(&c);
    reader_code_text(&c, name, &z);
    s->rc = say(READER_TEXT, &c, &s->err);
    buf_deinit(&copy);
}

static enum err_code read_words(const struct reading *g, struct err *e)
{
    struct saying s = {.rc = ERR_OK};
    const struct reader_texts to = {say_text, &s};
    struct image_about about;
    struct code c;
    image_about_init(&about);
    enum err_code rc = reader_words(g->bytes, g->question->wish, &to, &about, e);
    if (rc == ERR_OK && s.rc != ERR_OK)
        rc = err_set(e, s.rc, "%s", s.err.text);
    if (rc == ERR_OK) {
        code_to(&c);
        reader_code_about(&c, &about);
        rc = say(READER_SAID, &c, e);
    }
    image_about_deinit(&about);
    return rc;
}

static enum err_code answer(const struct reading *g, enum err_code rc, const struct err *why,
                            struct err *e)
{
    struct code c;
    struct reader_answer a = {.rc = (int)rc, .info = g->info};
    if (rc != ERR_OK)
        (void)snprintf(a.text, sizeof a.text, "%s", why->text);
    else if (g->image.p)
        a.pixels = pixels_of(&g->image);
    code_to(&c);
    reader_code_answer(&c, &a);
    return say(READER_ANSWER, &c, e);
}

static enum err_code read_file(struct reading *g, int fd, struct err *e)
{
    const struct reader_question *q = g->question;
    void *p = mmap(NULL, (size_t)q->bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        return err_set_sys(e, ERR_IO, errno, "cannot read the file");
    g->bytes = (struct str){p, (size_t)q->bytes};
    TRY(prepare(g, e));
    if (reader_wants_image(q->wish))
        return read_image(g, e);
    return reader_wants_words(q->wish) ? read_words(g, e) : read_layers(g, e);
}

/* ERR_NOTFOUND: this process can read no further. */
static enum err_code read_and_answer(struct reading *g, int fd, struct err *e)
{
    struct err why = {0};
    enum err_code rc = read_file(g, fd, &why);
    if (g->gives_up)
        return ERR_NOTFOUND;
    enum err_code told = answer(g, rc, &why, e);
    if (told != ERR_OK && told != ERR_NOTFOUND && rc == ERR_OK) { /* no room for the pixels */
        why = *e;
        told = answer(g, told, &why, e);
    }
    return told;
}

/* While there is time: what most files need. */
static void warm_up(void)
{
    static const enum image_format common[] = {IMAGE_FORMAT_PNG, IMAGE_FORMAT_JPEG,
                                               IMAGE_FORMAT_WEBP};
    struct err missing = {0};
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++)
        if (image_prepare(common[i], &missing) != ERR_OK)
            err_clear(&missing); /* a file that needs it will say so */
}

static enum err_code serve_one(enum err_code (*confine)(struct err *e), bool is_first,
                               struct err *e)
{
    struct wire_message m;
    struct code c;
    struct reader_question q = {0};
    struct reading g = {.question = &q,
                        .is_first = is_first,
                        .confine = confine,
                        .info = {.orientation = 1, .frames = 1}};
    TRY(wire_receive(PROCESS_SOCKET, &m, e));
    code_from(&c, &m);
    reader_code_question(&c, &q);
    enum err_code rc = code_end(&c, e);
    if (rc == ERR_OK && (m.type != READER_ASK || c.n_files != 1))
        rc = err_set(e, ERR_FORMAT, "a reader was asked for something else than a file");
    if (rc == ERR_OK)
        rc = read_and_answer(&g, c.files[0].fd, e);
    code_deinit(&c);
    wire_message_deinit(&m);
    image_free(&g.image);
    if (g.bytes.p)
        (void)munmap((void *)(uintptr_t)g.bytes.p, g.bytes.n);
    return rc;
}

enum err_code reader_serve(enum err_code (*confine)(struct err *e), struct err *e)
{
    bool is_first = true;
    enum err_code rc;
    warm_up();
    while ((rc = serve_one(confine, is_first, e)) == ERR_OK)
        is_first = false;
    return rc == ERR_NOTFOUND ? ERR_OK : rc; /* nobody has a file for it, or it can read no more */
}
