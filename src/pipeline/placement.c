/* placement.c - devices for components, each opened once, with one governor of its memory; see placement.h.
 *
 * The transformer's device comes first, since it is the one that others share and the one that results name. Two
 * names may mean one device ("gpu", "vulkan0"), which only opening tells: a device that turns out to be open
 * already is closed again and the first one used, because two governors on one device would each spend the whole
 * budget.
 */
#include "pipeline/placement.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "memory/budget.h"
#include "pipeline/report.h"

enum { TEXT, TRANSFORMER, VAE, ROLES };
enum { NAME_BYTES = 300 };

static const char *const role_names[ROLES] = {"text", "transformer", "vae"};

/* What is wanted for each component; "" where nothing is said. */
struct wanted {
    char device[ROLES][NAME_BYTES];
};

struct devices devices_all(struct nn_device *d)
{
    return (struct devices){d, d, d};
}

/* ---- the text --------------------------------------------------------------------------------------- */

static int role_of(struct str name)
{
    int r = 0;
    while (r < ROLES && !str_eq(name, str_from(role_names[r])))
        r++;
    return r;
}

static enum err_code parse_one(struct str item, struct wanted *w, struct err *e)
{
    const char *is = item.n ? memchr(item.p, '=', item.n) : NULL;
    struct str name = {item.p, is ? (size_t)(is - item.p) : 0};
    struct str device = {is ? is + 1 : item.p, is ? item.n - name.n - 1 : 0};
    int role = role_of(name);
    if (role == ROLES)
        return err_set(
            e, ERR_ARG,
            "'%.*s' is not a placement; it should be COMPONENT=DEVICE with text, transformer "
            "or vae",
            item.n > 60 ? 60 : (int)item.n, item.p);
    if (w->device[role][0])
        return err_set(e, ERR_ARG, "%s is placed twice", role_names[role]);
    if (device.n == 0 || device.n >= NAME_BYTES)
        return err_set(e, ERR_ARG, "no device is named for %s; `veetance devices` lists them",
                       role_names[role]);
    (void)snprintf(w->device[role], NAME_BYTES, "%.*s", (int)device.n, device.p);
    return ERR_OK;
}

static enum err_code parse(const char *place, struct wanted *w, struct err *e)
{
    enum err_code rc = ERR_OK;
    memset(w, 0, sizeof *w);
    for (const char *p = place; p && rc == ERR_OK; p = *p ? p + 1 : NULL) {
        size_t n = strcspn(p, ",");
        rc = parse_one((struct str){p, n}, w, e);
        p += n;
    }
    return rc;
}

enum err_code placement_check(const char *place, struct err *e)
{
    struct wanted w;
    return parse(place, &w, e);
}

/* ---- opening ---------------------------------------------------------------------------------------- */

static bool same_device(const struct nn_device *a, const struct nn_device *b)
{
    struct nn_device_info x, y;
    nn_device_info(a, &x);
    nn_device_info(b, &y);
    return strcmp(x.name, y.name) == 0;
}

/* Opens a device, or finds it among those that are open; it may have been asked for by another name. */
static enum err_code open_device(const char *want, int threads, struct placement *p,
                                 struct nn_device **out, struct err *e)
{
    struct nn_device *d;
    size_t n = p->governors.n;
    TRY(nn_device_open(want, threads, &d, e));
    for (size_t i = 0; i < n; i++)
        if (same_device(p->all[i], d)) {
            nn_device_close(d);
            *out = p->all[i];
            return ERR_OK;
        }
    *out = p->all[n] = d;
    return ERR_OK;
}

static enum err_code govern(const char *budget, struct placement *p, struct nn_device *d,
                            struct err *e)
{
    uint64_t bytes = 0;
    size_t n = p->governors.n;
    enum err_code rc;
    TRY_GOTO(budget ? budget_parse(budget, d, &bytes, e) : ERR_OK, done);
    rc = governor_new(d, bytes, &p->governors.of[n], e);
done:
    if (rc == ERR_OK)
        p->governors.n++;
    else
        nn_device_close(d);
    return rc;
}

static enum err_code open_for(const char *want, const struct placement_options *o,
                              struct placement *p, struct nn_device **out, struct err *e)
{
    TRY(open_device(want, o->threads, p, out, e));
    return !governor_of(*out) ? govern(o->budget, p, *out, e) : ERR_OK;
}

enum err_code placement_open(const struct placement_options *o, struct placement *out,
                             struct err *e)
{
    static const int order[ROLES] = {TRANSFORMER, TEXT, VAE};
    struct nn_device **slots[ROLES] = {&out->devices.text, &out->devices.transformer,
                                       &out->devices.vae};
    struct wanted w;
    memset(out, 0, sizeof *out);
    enum err_code rc = parse(o->place, &w, e);
    for (int i = 0; rc == ERR_OK && i < ROLES; i++) {
        int role = order[i];
        const char *want = w.device[role][0] ? w.device[role] : o->device;
        bool like_first = i > 0 && !w.device[role][0] && !w.device[TRANSFORMER][0];
        if (like_first) /* the common case opens one device once */
            *slots[role] = out->devices.transformer;
        else
            rc = open_for(want, o, out, slots[role], e);
        if (rc != ERR_OK && w.device[role][0])
            rc = err_note(e, "--place %s", role_names[role]);
    }
    if (rc != ERR_OK)
        placement_close(out);
    return rc;
}

void placement_close(struct placement *p)
{
    for (size_t i = 0; i < p->governors.n; i++) {
        governor_free(p->governors.of[i]);
        nn_device_close(p->all[i]);
    }
    memset(p, 0, sizeof *p);
}

/* ---- in which precision ---------------------------------------------------------------------- */

static const struct {
    const char *word;
    enum nn_compute compute;
} compute_words[] = {
    {"default", NN_COMPUTE_DEFAULT}, {"int8", NN_COMPUTE_INT8}, {"fp8", NN_COMPUTE_FP8}};

/* What `auto` takes: the fastest whose images stay above 40 dB PSNR from the default's. int8 is at least as fast as the
 * default and fp8 wherever it is, and was measured above 40 dB; fp8 was measured below (docs/performance.md). */
static enum nn_compute compute_auto(const struct nn_device *d)
{
    return nn_device_has_compute(d, NN_COMPUTE_INT8) ? NN_COMPUTE_INT8 : NN_COMPUTE_DEFAULT;
}

static enum err_code compute_parse(const char *word, bool *automatic, enum nn_compute *out,
                                   struct err *e)
{
    *out = NN_COMPUTE_DEFAULT;
    *automatic = word && strcmp(word, "auto") == 0;
    if (!word || *automatic)
        return ERR_OK;
    for (size_t i = 0; i < sizeof compute_words / sizeof compute_words[0]; i++)
        if (strcmp(word, compute_words[i].word) == 0) {
            *out = compute_words[i].compute;
            return ERR_OK;
        }
    return err_set(e, ERR_ARG, "compute is '%.40s'; it should be default, int8, fp8 or auto", word);
}

/* None of the devices has it. */
static enum err_code compute_missing(const struct devices *on, enum nn_compute c,
                                     const struct vt_callbacks *cb, struct err *e)
{
    struct nn_device_info info;
    nn_device_info(on->transformer, &info);
    if (c == NN_COMPUTE_FP8)
        return err_set(e, ERR_ARG,
                       "compute fp8 needs an NVIDIA card of the Hopper generation, which '%s' is "
                       "not: use --compute %s",
                       info.name,
                       nn_device_has_compute(on->transformer, NN_COMPUTE_INT8) ? "int8"
                                                                               : "default");
    if (!nn_device_is_cpu(on->text) && !nn_device_is_cpu(on->transformer))
        return err_set(e, ERR_ARG,
                       "compute int8 is for the CPU and NVIDIA cards (--device cuda); on '%s' "
                       "--weights q8_0 saves as much memory",
                       info.name);
    report_note(cb, "compute int8 has no effect: this processor has neither AVX2 nor AMX");
    return ERR_OK;
}

enum err_code compute_choose(struct devices on, const char *compute, const struct vt_callbacks *cb,
                             struct err *e)
{
    struct nn_device *of[] = {on.text, on.transformer};
    enum nn_compute wanted;
    bool automatic, any = false;
    TRY(compute_parse(compute, &automatic, &wanted, e));
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++)
        any |= nn_device_has_compute(of[i], wanted);
    if (!any)
        TRY(compute_missing(&on, wanted, cb, e));
    for (size_t i = 0; i < sizeof of / sizeof of[0]; i++) {
        nn_device_use_compute(of[i], automatic ? compute_auto(of[i]) : wanted);
        governor_release_outdated(of[i]);
    }
    return ERR_OK;
}
