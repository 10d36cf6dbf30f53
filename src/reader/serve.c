/* serve.c - the process that reads one file.
 *
 * What has no hole yet is done first: the file is told from its first bytes, and the libraries that its kind needs are
 * opened. Then every right is given up, and only then is a byte parsed. Memory is bounded twice: for the header, and
 * for the pixels by what the header says; time by the processor's, which no loop escapes.
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

/* The header of any file, and a decoder's own; then what a pixel takes: planes, frames that a decoder keeps, the image
 * in two depths, and turned. */
static const uint64_t BASE_BYTES = (uint64_t)768 << 20, PIXEL_BYTES = 64;

/* ---- bounds ------------------------------------------------------------------------------------------------ */

static void bound(int what, uint64_t n)
{
    struct rlimit l;
    if (getrlimit((__rlimit_resource_t)what, &l) != 0)
        return;
    l.rlim_cur = n < l.rlim_max ? (rlim_t)n : l.rlim_max;
    (void)setrlimit((__rlimit_resource_t)what, &l);
}

/* A sanitizer reserves more than any machine has. */
static void bound_memory(uint64_t pixels)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    bound(RLIMIT_DATA, BASE_BYTES + PIXEL_BYTES * pixels);
#else
    (void)pixels;
#endif
}

/* Of what is not the file's business: cores, the memory that an answer may lie in, descriptors. */
static void bound_all(int seconds)
{
    const struct image_limits limits = image_limits_defaults();
    (void)signal(SIGXFSZ, SIG_IGN); /* writing fails instead */
    bound(RLIMIT_CORE, 0);
    bound(RLIMIT_CPU, (uint64_t)seconds);
    bound(RLIMIT_FSIZE, 8 * limits.max_pixels + WIRE_MAX_BYTES);
    bound_memory(0);
}

/* ---- one file ---------------------------------------------------------------------------------------------- */

/* All that can fail before the file is looked at. */
static enum err_code prepare(struct str bytes, const struct reader_question *q,
                             enum err_code (*confine)(struct err *e), struct err *e)
{
    struct err why = {0};
    TRY(image_prepare(image_sniff(bytes), e));
    bound_all(q->seconds);
    if (q->confined && confine(&why) != ERR_OK)
        log_warn("a reader keeps rights that it does not need: %s", why.text);
    return ERR_OK;
}

static enum err_code read_file(const struct reader_question *q, struct str bytes,
                               enum err_code (*confine)(struct err *e), struct image_info *info,
                               struct image *out, struct err *e)
{
    TRY(prepare(bytes, q, confine, e));
    TRY(reader_decode(bytes, READER_HEADER, info, NULL, e));
    if (q->wish == READER_HEADER)
        return ERR_OK;
    bound_memory((uint64_t)info->w * (uint64_t)info->h);
    return reader_decode(bytes, (enum reader_wish)q->wish, info, out, e);
}

static enum err_code answer(enum err_code rc, const struct err *why, const struct image_info *info,
                            const struct image *im, struct err *e)
{
    struct code c;
    struct reader_answer a = {.rc = (int)rc, .info = *info};
    if (rc != ERR_OK)
        (void)snprintf(a.text, sizeof a.text, "%s", why->text);
    if (im->p)
        a.pixels = (struct vt_image){.width = im->w,
                                     .height = im->h,
                                     .channels = im->channels,
                                     .bits = im->deep ? 16 : 8,
                                     .pixels = im->p};
    code_to(&c);
    reader_code_answer(&c, &a);
    enum err_code made = code_end(&c, e);
    if (made == ERR_OK)
        made = wire_send(PROCESS_SOCKET,
                         &(struct wire_out){.type = READER_ANSWER,
                                            .body = buf_str(&c.out),
                                            .fds = c.fds,
                                            .n_fds = c.n_fds,
                                            .wait = true},
                         e);
    code_deinit(&c);
    return made;
}

static enum err_code read_and_answer(const struct reader_question *q, int fd,
                                     enum err_code (*confine)(struct err *e), struct err *e)
{
    struct image_info info = {.orientation = 1, .frames = 1};
    struct image im = {0};
    struct err why = {0};
    void *p = mmap(NULL, (size_t)q->bytes, PROT_READ, MAP_SHARED, fd, 0);
    enum err_code rc = p == MAP_FAILED ? err_set_sys(&why, ERR_IO, errno, "cannot read the file")
                                       : read_file(q, (struct str){p, (size_t)q->bytes}, confine,
                                                   &info, &im, &why);
    enum err_code told = answer(rc, &why, &info, &im, e);
    if (told != ERR_OK && told != ERR_NOTFOUND) { /* pixels that cannot be handed over */
        why = *e;
        told = answer(told, &why, &info, &(struct image){0}, e);
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

enum err_code reader_serve(enum err_code (*confine)(struct err *e), struct err *e)
{
    struct wire_message m;
    struct code c;
    struct reader_question q = {0};
    warm_up();
    enum err_code rc = wire_receive(PROCESS_SOCKET, &m, e);
    if (rc != ERR_OK)
        return rc == ERR_NOTFOUND ? ERR_OK : rc; /* nobody had a file for it */
    code_from(&c, &m);
    reader_code_question(&c, &q);
    rc = code_end(&c, e);
    if (rc == ERR_OK && (m.type != READER_ASK || c.n_files != 1))
        rc = err_set(e, ERR_FORMAT, "a reader was asked for something else than a file");
    if (rc == ERR_OK)
        rc = read_and_answer(&q, c.files[0].fd, confine, e);
    code_deinit(&c);
    wire_message_deinit(&m);
    return rc;
}
