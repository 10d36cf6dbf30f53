/* Fuzzes all that a program reads of its engine's process: packets, their order, counts, and results rebuilt of them.
 *
 * The process is played: process.h is here, and hands out a socket in which everything that it will ever say lies
 * already. After that it is dead, in the way that the input says. What it says:
 *
 *     byte 0           what it is asked for; byte 1: how it dies
 *     then packets     type (255: the rest is a packet as it stands, without a head of ours), images beside it,
 *                      2 bytes of length, body
 *
 * The answer to being opened comes first, and is good. A result has to be whole, callbacks have to come in their order,
 * and no descriptor may be left. */
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "child/process.h"
#include "pipeline/isolated/messages.h"
#include "veetance.h"

enum { RAW = 255, COUNT = 3, MAX_IMAGES = 3 };

/* ---- the process ------------------------------------------------------------------------------------------- */

struct process {
    int ours, theirs;
};

static struct {
    const uint8_t *said;
    size_t bytes;
    unsigned death;
} script;

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void say_opened(int socket)
{
    struct code c;
    struct vt_error good = {.status = VT_OK};
    struct iso_state state = {.device = "cpu"};
    code_to(&c);
    iso_code_error(&c, &good);
    iso_code_state(&c, &state);
    (void)!wire_send(socket, &(struct wire_out){.type = ISO_REPLY, .body = buf_str(&c.out)}, NULL);
    code_deinit(&c);
}

/* The pixels of an image are 12 bytes: 2 x 2 of RGB, 3 x 1 of RGBA. */
static void say(int socket, uint32_t type, int images, struct str body)
{
    static const char pixels[12] = "images";
    int fds[MAX_IMAGES], n = 0;
    while (n < images && n < MAX_IMAGES &&
           shared_put((struct str){pixels, sizeof pixels}, &fds[n], NULL) == ERR_OK)
        n++;
    (void)!wire_send(socket, &(struct wire_out){.type = type, .body = body, .fds = fds, .n_fds = n},
                     NULL);
    while (n)
        (void)close(fds[--n]);
}

static void say_all(int socket)
{
    const uint8_t *p = script.said, *const end = p + script.bytes;
    while (end - p >= 4) {
        const uint32_t type = p[0];
        size_t n = p[2] | (size_t)p[3] << 8;
        n = n < (size_t)(end - p - 4) ? n : (size_t)(end - p - 4);
        const struct str body = {(const char *)p + 4, n};
        if (type == RAW)
            (void)!send(socket, body.p, body.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        else
            say(socket, type, p[1], body);
        p += 4 + n;
    }
}

enum err_code process_start(const struct process_start *o, struct process **out, struct err *e)
{
    int pair[2];
    (void)o;
    *out = NULL;
    TRY(wire_pair(pair, e));
    say_opened(pair[1]);
    say_all(pair[1]);
    (void)shutdown(pair[1], SHUT_WR);
    *out = mem_alloc(sizeof **out);
    **out = (struct process){pair[0], pair[1]};
    return ERR_OK;
}

int process_socket(const struct process *p)
{
    return p->ours;
}

void process_kill(struct process *p)
{
    (void)p;
}

/* While it has not been waited for it lives, as far as anybody knows. */
void process_end(struct process *p, int milliseconds, struct process_ending *out)
{
    static const struct process_ending ways[] = {{.ended = true, .signal = SIGKILL},
                                                 {.ended = true, .signal = SIGSEGV},
                                                 {.ended = true, .code = 3},
                                                 {.ended = true, .out_of_memory = true}};
    (void)p;
    *out = milliseconds ? ways[script.death % 4] : (struct process_ending){.ended = false};
}

void process_log(struct process *p, char out[PROCESS_LOG_BYTES])
{
    (void)p;
    memset(out, 0, PROCESS_LOG_BYTES);
}

void process_free(struct process *p)
{
    if (!p)
        return;
    (void)close(p->ours);
    (void)close(p->theirs);
    mem_free(p);
}

/* ---- who asks it ------------------------------------------------------------------------------------------- */

static volatile unsigned touched;

static void touch(struct vt_image im)
{
    demand(im.pixels && im.width > 0 && im.height > 0 && im.channels >= 1 && im.channels <= 4);
    touched += im.pixels[(size_t)im.width * (size_t)im.height * (size_t)im.channels - 1];
}

static void on_progress(const struct vt_progress *p, void *user)
{
    (void)user;
    demand(p->stage >= VT_STAGE_LOAD && p->stage <= VT_STAGE_DECODE && p->step >= 0);
}

static void on_note(const char *text, void *user)
{
    (void)user;
    touched += (unsigned)strlen(text);
}

static void on_preview(const struct vt_preview *p, void *user)
{
    (void)user;
    touch(p->image);
}

static void on_image(const struct vt_result *r, int i, void *user)
{
    int *next = user;
    demand(i == (*next)++ && vt_result_count(r) == i + 1);
    touch(vt_result_image(r, i));
}

static void ask_for_images(struct vt_engine *engine, bool edit)
{
    static const unsigned char pixel[3] = {1, 2, 3};
    int next = 0;
    struct vt_result *r;
    struct vt_request rq = vt_request_defaults();
    const struct vt_callbacks cb = {on_progress, on_note, on_preview, on_image, &next};
    rq.model = "m";
    rq.count = COUNT;
    rq.images[0] = (struct vt_image){1, 1, 3, pixel, 8, NULL};
    rq.image_count = edit;
    if ((edit ? vt_edit : vt_generate)(engine, &rq, &cb, &r, NULL) != VT_OK)
        return;
    demand(next == COUNT && vt_result_count(r) == COUNT);
    for (int i = 0; i < COUNT; i++)
        touch(vt_result_image(r, i));
    vt_result_free(r);
}

static void ask_for_layers(struct vt_engine *engine, bool plan)
{
    static const unsigned char pixel[3] = {1, 2, 3};
    struct vt_layers_result *r;
    struct vt_layers_request rq = vt_layers_request_defaults();
    const struct vt_callbacks cb = {.progress = on_progress, .note = on_note};
    rq.model = "m";
    rq.image = (struct vt_image){1, 1, 3, pixel, 8, NULL};
    if (plan) {
        struct vt_plan *p = mem_alloc(sizeof *p);
        if (vt_plan_layers(engine, &rq, p, NULL) == VT_OK)
            demand(p->stage_count <= VT_MAX_STAGES && p->device_count <= VT_MAX_DEVICES);
        mem_free(p);
        return;
    }
    if (vt_layers(engine, &rq, &cb, &r, NULL) != VT_OK)
        return;
    for (int i = 0; i < vt_layers_count(r); i++) {
        const struct vt_layer l = vt_layers_layer(r, i);
        touch(l.image);
        touched += (unsigned)(strlen(l.name) + strlen(l.id));
    }
    touch(vt_layers_composite(r));
    touched += (unsigned)strlen(vt_layers_report(r)->prompt);
    vt_layers_result_free(r);
}

static void ask_for_caption(struct vt_engine *engine)
{
    struct vt_caption_result *r;
    struct vt_caption_request rq = vt_caption_request_defaults();
    rq.model = "m";
    rq.image.file = "/dev/null";
    if (vt_caption(engine, &rq, NULL, &r, NULL) != VT_OK)
        return;
    touched += (unsigned)strlen(vt_caption_text(r));
    vt_caption_result_free(r);
}

static void ask(struct vt_engine *engine, unsigned what)
{
    uint64_t bytes;
    switch (what % 7) {
    case 0:
    case 1:
        ask_for_images(engine, what % 7 == 1);
        break;
    case 2:
    case 3:
        ask_for_layers(engine, what % 7 == 3);
        break;
    case 4:
        ask_for_caption(engine);
        break;
    case 5:
        (void)vt_engine_parse_budget(engine, "1G", &bytes, NULL);
        (void)vt_engine_set_budget(engine, 1, NULL);
        break;
    default:
        (void)vt_engine_load(engine, "m", NULL);
        vt_engine_unload(engine);
    }
    touched += (unsigned)(strlen(vt_engine_model(engine)) + strlen(vt_engine_device(engine)));
}

static int lowest_free_fd(void)
{
    int fd = dup(0);
    (void)close(fd);
    return fd;
}

static void hear_nothing(enum log_level level, const char *line, void *user)
{
    (void)level;
    (void)line;
    (void)user;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct vt_engine_options options = {.device = "cpu", .isolated = 1};
    struct vt_engine *engine;
    if (size < 2)
        return 0;
    log_set(LOG_ERROR, hear_nothing, NULL);
    const int before = lowest_free_fd();
    script.said = data + 2;
    script.bytes = size - 2;
    script.death = data[1];
    if (vt_engine_open(&options, &engine, NULL) == VT_OK) {
        ask(engine, data[0]);
        ask(engine, data[0]); /* the next request, of the same process or of a new one */
        vt_engine_close(engine);
    }
    demand(lowest_free_fd() == before);
    return 0;
}
