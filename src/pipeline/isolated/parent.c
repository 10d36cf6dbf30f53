/* parent.c - the life of an engine's process: starting it, asking it one thing, and its death.
 *
 * A request is over when its reply came or the process is gone. Until then the process says at least twice a second
 * that it lives. It counts as stuck when nothing comes for a while (it was stopped, or the machine is), when it has
 * neither told of progress nor used the processor for longer than that, or when a step takes many times what the
 * steps before it took. A request that was cancelled and does not end is ended with the process.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/mem.h"
#include "nn/cpu/choice.h"
#include "nn/pin.h"
#include "pipeline/convert/cache.h"
#include "pipeline/isolated/call.h"

enum {
    LOOK_MS = 250,
    DEFAULT_PATIENCE = 60,
    /* Patiences without progress and without the processor; and steps that one may take. */
    IDLE_PATIENCES = 10,
    SLOW_STEPS = 30,
    CANCEL_STEPS = 5,
    END_MS = 5000,
};

/* A pulse in which the processor was used for this long is a sign of work. */
static const uint64_t WORK_NS = 5000000;

/* How a call stands. */
struct wait {
    const struct call *call;
    double heard, moved, progressed; /* when it last said anything, worked, told of progress */
    double looked;                   /* when we last looked at that */
    double step_seconds;             /* of the last step; 0: not known */
    double cancelled;                /* when it was told so; 0: not */
    uint64_t cpu_ns;
    bool replied;
    enum err_code rc;  /* of the reply */
    struct err failed; /* of a callback of ours: the run is to end */
    char gave_up[400]; /* why it said that it ends; "" it did not */
};

static bool wants_network(const struct vt_engine_options *o)
{
    return (o->device && strncasecmp(o->device, "rpc:", 4) == 0) ||
           (o->place && strcasestr(o->place, "rpc:"));
}

/* ---- death ----------------------------------------------------------------------------------------------- */

static void drop_process(struct isolated *g)
{
    process_free(g->process);
    g->process = NULL;
    g->model[0] = 0;
    char device[sizeof g->state.device];
    uint64_t budget = g->state.memory.budget;
    memcpy(device, g->state.device, sizeof device);
    g->state = (struct iso_state){.memory.budget = budget};
    memcpy(g->state.device, device, sizeof device);
}

static const char *signal_name(int signal)
{
    const char *name = sigabbrev_np(signal);
    return name ? name : "?";
}

static enum err_code tell_death(const struct process_ending *how, const struct wait *w,
                                struct err *e)
{
    static const char again[] = "the next request starts it anew";
    if (w->gave_up[0] && strstr(w->gave_up, "ggml-rpc"))
        return err_set(e, ERR_ENGINE_LOST_WORKER,
                       "the worker that the engine computed on is gone, or is no worker; see that "
                       "`veetance worker` runs there, then try again");
    if (w->gave_up[0])
        return err_set(e, ERR_ENGINE_CRASHED, "a device of the engine failed: %s; %s", w->gave_up,
                       again);
    if (how->out_of_memory)
        return err_set(e, ERR_ENGINE_OUT_OF_MEMORY,
                       "the system's memory ran out, and it killed the engine; ask for a smaller "
                       "image, set a lower budget or end other programs, then try again");
    if (how->signal == SIGKILL)
        return err_set(e, ERR_ENGINE_CRASHED, "the engine was killed from outside; %s", again);
    if (how->signal)
        return err_set(e, ERR_ENGINE_CRASHED, "the engine crashed (SIG%s); %s",
                       signal_name(how->signal), again);
    return err_set(e, ERR_ENGINE_CRASHED, "the engine ended by itself with code %d; %s", how->code,
                   again);
}

static void keep_last_words(struct isolated *g)
{
    process_log(g->process, g->last_words);
}

/* It is gone, or nearly. */
static enum err_code died(struct isolated *g, const struct wait *w, struct err *e)
{
    struct process_ending how;
    process_end(g->process, END_MS, &how);
    if (!how.ended) { /* it closed its socket and lives on */
        process_kill(g->process);
        process_end(g->process, END_MS, &how);
    }
    keep_last_words(g);
    enum err_code rc = tell_death(&how, w, e);
    drop_process(g);
    return rc;
}

static void put_down(struct isolated *g)
{
    struct process_ending how;
    process_kill(g->process);
    process_end(g->process, END_MS, &how);
    keep_last_words(g);
    drop_process(g);
}

static enum err_code sent_nonsense(struct isolated *g, struct err *e)
{
    put_down(g);
    return err_set(e, ERR_ENGINE_CRASHED,
                   "the engine's process sent what makes no sense and was ended; the next request "
                   "starts it anew");
}

/* While we did not run ourselves (stopped at a terminal, busy in a callback), its silence says nothing. */
static void forgive(struct wait *w, double now)
{
    const double gap = now - w->looked;
    w->looked = now;
    if (gap < 4e-3 * LOOK_MS)
        return;
    w->heard += gap;
    w->moved += gap;
    w->progressed += gap;
    if (w->cancelled > 0)
        w->cancelled += gap;
}

/* Has it been too long? Then it is ended, and e says so. */
static enum err_code check_life(struct isolated *g, struct wait *w, struct err *e)
{
    const double now = clock_s(), patience = g->patience;
    forgive(w, now);
    const double idle = IDLE_PATIENCES * patience, step = SLOW_STEPS * w->step_seconds;
    const double slow = step > idle ? step : idle;
    const double end = CANCEL_STEPS * w->step_seconds;
    if (w->cancelled > 0 && now - w->cancelled > (end > patience ? end : patience)) {
        put_down(g);
        return err_set(e, ERR_CANCELLED, "cancelled; the engine did not end, and was ended");
    }
    const double since = now - w->heard > patience                           ? w->heard
                         : now - w->moved > idle                             ? w->moved
                         : w->step_seconds > 0 && now - w->progressed > slow ? w->progressed
                                                                             : 0;
    if (since <= 0)
        return ERR_OK;
    put_down(g);
    if (w->call->type == ISO_OPEN &&
        wants_network(&g->options)) /* it connects, or waits its turn */
        return err_set(
            e, ERR_ENGINE_LOST_WORKER,
            "no worker answered for %.0f seconds; see that `veetance worker` runs there, "
            "can be reached and serves nobody else, then try again",
            now - since);
    return err_set(e, ERR_ENGINE_STUCK,
                   "the engine gave no sign of life for %.0f seconds and was ended; the next "
                   "request starts it anew",
                   now - since);
}

/* ---- what comes ------------------------------------------------------------------------------------------ */

static enum err_code on_progress(struct isolated *g, struct wait *w, struct code *c, struct err *e)
{
    struct iso_progress p;
    iso_code_progress(c, &p);
    TRY(code_end(c, e));
    const struct vt_callbacks *cb = w->call->callbacks;
    g->state.memory = p.memory;
    w->progressed = clock_s();
    w->step_seconds = p.progress.stage == VT_STAGE_STEPS ? p.progress.step_seconds : 0;
    if (cb && cb->progress)
        cb->progress(&p.progress, cb->user);
    return ERR_OK;
}

static enum err_code on_note(struct wait *w, struct code *c, struct err *e)
{
    const char *text = NULL;
    const struct vt_callbacks *cb = w->call->callbacks;
    code_text(c, &text, WIRE_PACKET_BYTES);
    TRY(code_end(c, e));
    if (cb && cb->note && text)
        cb->note(text, cb->user);
    return ERR_OK;
}

static enum err_code on_preview(struct wait *w, struct code *c, struct err *e)
{
    struct vt_preview p;
    const struct vt_callbacks *cb = w->call->callbacks;
    memset(&p, 0, sizeof p);
    iso_code_preview(c, &p);
    TRY(code_end(c, e));
    if (cb && cb->preview)
        cb->preview(&p, cb->user);
    return ERR_OK;
}

static enum err_code on_pulse(struct wait *w, struct code *c, struct err *e)
{
    uint64_t cpu_ns = 0;
    code_u64(c, &cpu_ns);
    TRY(code_end(c, e));
    if (cpu_ns - w->cpu_ns > WORK_NS)
        w->moved = clock_s();
    w->cpu_ns = cpu_ns;
    return ERR_OK;
}

static enum err_code on_gave_up(struct wait *w, struct code *c, struct err *e)
{
    code_chars(c, w->gave_up, sizeof w->gave_up);
    return code_end(c, e);
}

static void take_state(struct isolated *g, const struct call *call, const struct iso_state *s)
{
    g->state = *s;
    if (!s->has_model)
        g->model[0] = 0;
    else if (s->is_asked_model && call->model)
        (void)snprintf(g->model, sizeof g->model, "%s", call->model);
}

static enum err_code on_reply(struct isolated *g, struct wait *w, struct code *c, struct err *e)
{
    struct vt_error err = {0};
    struct iso_state s = {0};
    iso_code_error(c, &err);
    iso_code_state(c, &s);
    if (err.status == VT_OK && w->call->read && !c->bad)
        w->call->read(c, w->call->user);
    TRY(code_end(c, e));
    take_state(g, w->call, &s);
    w->replied = true;
    w->rc = (enum err_code)err.status;
    if (w->rc != ERR_OK)
        (void)err_set(&w->failed, w->rc, "%s", err.text);
    return ERR_OK;
}

/* A failure of this is nonsense; one of the caller's is kept in w. */
static enum err_code take_message(struct isolated *g, struct wait *w, struct wire_message *m,
                                  struct err *e)
{
    struct code c;
    enum err_code rc;
    code_from(&c, m);
    c.strict = true;
    w->heard = clock_s();
    g->has_begun = true;
    if (m->type != ISO_PULSE)
        w->moved = w->heard;
    switch (m->type) {
    case ISO_PROGRESS:
        rc = on_progress(g, w, &c, e);
        break;
    case ISO_NOTE:
        rc = on_note(w, &c, e);
        break;
    case ISO_PREVIEW:
        rc = on_preview(w, &c, e);
        break;
    case ISO_PULSE:
        rc = on_pulse(w, &c, e);
        break;
    case ISO_GAVE_UP:
        rc = on_gave_up(w, &c, e);
        break;
    case ISO_REPLY:
        rc = on_reply(g, w, &c, e);
        break;
    case ISO_IMAGE:
        rc = w->call->image ? w->call->image(&c, w->call->user, e)
                            : err_set(e, ERR_FORMAT, "an image that nobody asked for");
        break;
    default:
        rc = err_set(e, ERR_FORMAT, "a message of the unknown type %u", m->type);
    }
    code_deinit(&c);
    w->heard = clock_s(); /* our own callbacks take time, too */
    return rc;
}

/* ---- a call ---------------------------------------------------------------------------------------------- */

static enum err_code send(struct isolated *g, uint32_t type, struct code *c, struct err *e)
{
    return wire_send(process_socket(g->process),
                     &(struct wire_out){
                         .type = type, .body = buf_str(&c->out), .fds = c->fds, .n_fds = c->n_fds},
                     e);
}

static void pass_cancel_on(struct isolated *g, struct wait *w)
{
    uint64_t n;
    if (read(g->cancel_fd, &n, sizeof n) != sizeof n)
        return;
    if (w->cancelled <= 0)
        w->cancelled = clock_s();
    if (wire_send(process_socket(g->process), &(struct wire_out){.type = ISO_CANCEL}, NULL) !=
        ERR_OK)
        log_debug("the engine cannot be told to stop now"); /* it is dead or stuck: seen soon */
}

static enum err_code wait_for_reply(struct isolated *g, struct wait *w, struct err *e)
{
    while (!w->replied) {
        struct pollfd both[2] = {{.fd = process_socket(g->process), .events = POLLIN},
                                 {.fd = g->cancel_fd, .events = POLLIN}};
        int n = poll(both, 2, LOOK_MS);
        if (n < 0 && errno != EINTR) {
            enum err_code rc = err_set_sys(e, ERR_IO, errno, "cannot wait for the engine");
            put_down(g);
            return rc;
        }
        if (n > 0 && both[1].revents)
            pass_cancel_on(g, w);
        if (n > 0 && both[0].revents) {
            struct wire_message m;
            struct err why = {0};
            enum err_code rc = wire_receive(both[0].fd, &m, &why);
            if (rc == ERR_NOTFOUND)
                return died(g, w, e);
            if (rc == ERR_OK)
                rc = take_message(g, w, &m, &why);
            wire_message_deinit(&m);
            if (rc != ERR_OK) {
                log_error("engine: %s", why.text);
                return sent_nonsense(g, e);
            }
        }
        TRY(check_life(g, w, e));
    }
    if (w->rc != ERR_OK && e)
        *e = w->failed;
    return w->rc;
}

/* The process is there. */
static enum err_code ask(struct isolated *g, const struct call *call, struct err *e)
{
    struct code c;
    const double now = clock_s();
    struct wait w = {.call = call, .heard = now, .moved = now, .progressed = now, .looked = now};
    g->has_begun = false;
    code_to(&c);
    if (call->write)
        call->write(&c, call->user);
    enum err_code made = code_end(&c, e), rc = made == ERR_OK ? send(g, call->type, &c, e) : made;
    code_deinit(&c);
    if (made != ERR_OK)
        return made;
    if (rc == ERR_NOTFOUND || rc == ERR_BUSY) /* it died just now; or it takes nothing */
        return died(g, &w, e);
    return rc == ERR_OK ? wait_for_reply(g, &w, e) : rc;
}

/* ---- starting -------------------------------------------------------------------------------------------- */

/* Where a confined process puts what is too large for memory: a folder of the user's own, in which nothing has a name
 * for longer than a moment. */
static bool temporary_folder(const struct isolated *g, char *out, size_t size)
{
    struct stat st;
    const char *own = getenv("TMPDIR");
    int n =
        snprintf(out, size, "%s/veetance-%u", own && *own ? own : "/var/tmp", (unsigned)getuid());
    return g->options.confined && n > 0 && (size_t)n < size &&
           folder_make(out, 0700, NULL) == ERR_OK && lstat(out, &st) == 0 && S_ISDIR(st.st_mode) &&
           st.st_uid == getuid();
}

static void write_open(struct code *c, void *user)
{
    iso_code_open(c, user);
}

/* What every process of this engine reaches. */
static enum err_code grant_own(struct isolated *g, const char *temporary, struct err *e)
{
    char path[MODEL_PATH_BYTES];
    if (nn_pin_path(path, sizeof path, NULL) == ERR_OK)
        TRY(grants_add_read(&g->granted, path, e));
    if (nn_cpu_choice_path(path, sizeof path, NULL) == ERR_OK)
        TRY(grants_add_read(&g->granted, path, e));
    if (g->options.weights) {
        TRY(convert_cache_folder(path, e));
        TRY(grants_add_write(&g->granted, path, e));
    }
    return grants_add_write(&g->granted, temporary, e);
}

/* By $PATH. */
static bool find_program(char out[MODEL_PATH_BYTES])
{
    const char *at = getenv("PATH");
    for (size_t n; at && *at; at += n + (at[n] == ':')) {
        n = strcspn(at, ":");
        int length = snprintf(out, MODEL_PATH_BYTES, "%.*s/veetance", (int)n, at);
        if (length > 0 && length < MODEL_PATH_BYTES && access(out, X_OK) == 0)
            return true;
    }
    return false;
}

static const char *program_of(const struct isolated *g, char own[MODEL_PATH_BYTES])
{
    if (g->options.program)
        return g->options.program;
    ssize_t n = readlink("/proc/self/exe", own, MODEL_PATH_BYTES - 1);
    own[n > 0 ? n : 0] = 0;
    const char *name = strrchr(own, '/');
    if (name && strcmp(name, "/veetance") == 0)
        return "/proc/self/exe";
    return find_program(own) ? own : "veetance";
}

static enum err_code start(struct isolated *g, struct err *e)
{
    static const char *const words[] = {"veetance", "engine", NULL};
    char folder[MODEL_PATH_BYTES], own[MODEL_PATH_BYTES];
    const char *temporary = temporary_folder(g, folder, sizeof folder) ? folder : NULL;
    const struct process_start how = {
        .program = program_of(g, own), .arguments = words, .temporary = temporary};
    if (g->options.confined)
        TRY(grant_own(g, temporary, e));
    return process_start(&how, &g->process, e);
}

/* A new process, opened as it was asked for. */
static enum err_code open_process(struct isolated *g, struct err *e)
{
    const int64_t began = clock_ns();
    TRY(start(g, e));
    struct iso_open *o = mem_alloc(sizeof *o);
    (void)snprintf(o->version, sizeof o->version, "%s", vt_version());
    o->options = g->options;
    o->grants = g->granted;
    o->confined = g->options.confined;
    o->network = wants_network(&g->options);
    o->verbose = log_wants(LOG_DEBUG);
    const struct call call = {.type = ISO_OPEN, .write = write_open, .user = o};
    enum err_code rc = ask(g, &call, e);
    mem_free(o);
    if (rc != ERR_OK && g->process)
        drop_process(g);
    if (rc == ERR_OK && g->has_budget)
        rc = isolated_set_budget(g, g->budget, e);
    if (rc == ERR_OK)
        log_debug("engine: a process of its own after %.1f ms",
                  (double)(clock_ns() - began) * 1e-6);
    return rc;
}

static enum err_code grants_of(const struct call *call, struct grants *out, struct err *e)
{
    char folder[FOLDER_PATH_BYTES];
    TRY(grants_add_model(out, call->model, e));
    for (int i = 0; call->loras && i < call->loras->count && i < VT_MAX_LORAS; i++) {
        const struct vt_lora *l = &call->loras->of[i];
        TRY(grants_add_model(out, l->path ? l->path : l->name, e));
    }
    TRY(grants_add_write(out, call->cache_dir, e));
    if (!call->trace_path || folder_of(call->trace_path, folder, NULL) != ERR_OK)
        return ERR_OK;
    return grants_add_write(out, folder, e);
}

/* Whoever may not reach what the call needs makes room for one that may. */
static enum err_code grant(struct isolated *g, const struct call *call, struct err *e)
{
    struct grants *wanted = mem_alloc(sizeof *wanted);
    enum err_code rc = grants_of(call, wanted, e);
    if (rc == ERR_OK && !grants_cover(&g->granted, wanted)) {
        if (g->process)
            drop_process(g);
        if (grants_join(&g->granted, wanted, NULL) != ERR_OK) { /* too many by now: only these */
            grants_deinit(&g->granted);
            rc = grants_join(&g->granted, wanted, e);
        }
    }
    grants_deinit(wanted);
    mem_free(wanted);
    return rc;
}

/* Callbacks that come meanwhile cannot ask anything else. */
static enum err_code ask_alone(struct isolated *g, const struct call *call, struct err *e)
{
    g->is_busy = true;
    enum err_code rc = ask(g, call, e);
    g->is_busy = false;
    return rc;
}

enum err_code call_make(struct isolated *g, const struct call *call, struct err *e)
{
    struct process_ending how = {0};
    uint64_t before;
    if (g->is_busy)
        return err_set(e, ERR_BUSY, "the engine runs a request");
    g->last_words[0] = 0;
    (void)!read(g->cancel_fd, &before, sizeof before); /* was about an earlier request */
    if (g->options.confined)
        TRY(grant(g, call, e));
    if (g->process)
        process_end(g->process, 0, &how);
    if (how.ended) { /* while nobody asked it for anything */
        keep_last_words(g);
        drop_process(g);
    }
    bool was_there = g->process != NULL;
    if (!g->process)
        TRY(open_process(g, e));
    enum err_code rc = ask_alone(g, call, e);
    /* It died, or was stopped, before it heard of this: not the request's fault. */
    if (err_is_engine_death(rc) && was_there && !g->has_begun && !g->process) {
        rc = open_process(g, e);
        if (rc == ERR_OK)
            rc = ask_alone(g, call, e);
    }
    return rc;
}

/* ---- the engine ------------------------------------------------------------------------------------------ */

/* The texts of options, which are ours in g. */
enum { OPTION_TEXTS = 5 };
static void option_texts(struct vt_engine_options *o, const char **texts[OPTION_TEXTS])
{
    const char **const all[OPTION_TEXTS] = {&o->device, &o->place, &o->budget, &o->weights,
                                            &o->program};
    memcpy(texts, all, sizeof all);
}

static enum err_code copy_options(struct isolated *g, const struct vt_engine_options *o,
                                  struct err *e)
{
    struct vt_engine_options given = *o;
    const char **from[OPTION_TEXTS], **to[OPTION_TEXTS];
    g->options = *o;
    option_texts(&given, from);
    option_texts(&g->options, to);
    bool whole = true;
    for (size_t i = 0; i < OPTION_TEXTS; i++) {
        *to[i] = *from[i] ? mem_try_strndup(*from[i], strlen(*from[i])) : NULL;
        whole = whole && (*to[i] || !*from[i]);
    }
    return whole ? ERR_OK : err_set(e, ERR_NOMEM, "no memory for an engine");
}

enum err_code isolated_open(const struct vt_engine_options *o, struct isolated **out, struct err *e)
{
    struct isolated *g = mem_alloc(sizeof *g);
    enum err_code rc;
    *out = NULL;
    g->patience = o->patience > 0 ? o->patience : DEFAULT_PATIENCE;
    g->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    TRY_GOTO(copy_options(g, o, e), done);
    if (g->cancel_fd < 0) {
        rc = err_set_sys(e, ERR_IO, errno, "no descriptor for an engine");
        goto done;
    }
    rc = open_process(g, e);
done:
    if (rc != ERR_OK) {
        isolated_close(g);
        return rc;
    }
    *out = g;
    return ERR_OK;
}

void isolated_close(struct isolated *g)
{
    const char **texts[OPTION_TEXTS];
    if (!g)
        return;
    process_free(g->process);
    option_texts(&g->options, texts);
    for (size_t i = 0; i < OPTION_TEXTS; i++)
        mem_free((void *)(uintptr_t)*texts[i]);
    grants_deinit(&g->granted);
    if (g->cancel_fd >= 0)
        (void)close(g->cancel_fd);
    mem_free(g);
}

void isolated_cancel(struct isolated *g)
{
    const uint64_t one = 1;
    int kept = errno; /* of whom a signal has interrupted */
    (void)!write(g->cancel_fd, &one, sizeof one);
    errno = kept;
}
