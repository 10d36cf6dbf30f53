/* cmd_doctor.c - `veetance doctor`: is everything as it should be, and what to do where it is not.
 *
 * The network is given up first, so that all checks run under the same rights as every other command. Each check
 * adds lines with a state and, where something can be done, the next step; none of them stops the others. The exit
 * code is that of the worst line: notes are no failure.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "cli/offline.h"

enum { DOCTOR_JSON = 1, DOCTOR_AIR_GAP };

static const struct cli_option options[] = {
    {DOCTOR_AIR_GAP, 0, "air-gap", NULL,
     "prove that this program cannot reach the network: try, and show the refusals"},
    {DOCTOR_JSON, 0, "json", NULL, "print JSON"},
    {0},
};

void doctor_add(struct doctor *d, enum doctor_state state, const char *area, const char *next,
                const char *fmt, ...)
{
    if (d->n == DOCTOR_MAX)
        return;
    struct doctor_finding *f = &d->found[d->n++];
    va_list ap;
    f->state = state;
    f->area = area;
    (void)snprintf(f->next, sizeof f->next, "%s", next ? next : "");
    va_start(ap, fmt);
    (void)vsnprintf(f->text, sizeof f->text, fmt, ap);
    va_end(ap);
}

static const char *const state_words[] = {"ok", "note", "bad"};

static enum doctor_state worst(const struct doctor *d)
{
    enum doctor_state s = DOCTOR_OK;
    for (size_t i = 0; i < d->n; i++)
        s = d->found[i].state > s ? d->found[i].state : s;
    return s;
}

static void print_json(const struct doctor *d)
{
    struct buf b;
    buf_init(&b, 4u << 20);
    json_object(&b, NULL);
    json_put_z(&b, "state", state_words[worst(d)]);
    json_array(&b, "findings");
    for (size_t i = 0; i < d->n; i++) {
        const struct doctor_finding *f = &d->found[i];
        json_object(&b, NULL);
        json_put_z(&b, "area", f->area);
        json_put_z(&b, "state", state_words[f->state]);
        json_put_z(&b, "text", f->text);
        json_put_z(&b, "next", f->next);
        json_end_object(&b);
    }
    json_end_array(&b);
    json_put_raw(&b, NULL, buf_str(&d->details));
    json_end_object(&b);
    cli_print_json(&b);
}

static void print_text(const struct doctor *d)
{
    static const char *const marks[] = {"  ", "! ", "X "};
    const char *area = "";
    for (size_t i = 0; i < d->n; i++) {
        const struct doctor_finding *f = &d->found[i];
        printf("%s%-11s%s\n", marks[f->state], strcmp(area, f->area) != 0 ? f->area : "", f->text);
        if (f->next[0])
            printf("             -> %s\n", f->next);
        area = f->area;
    }
    printf("\n%s\n", worst(d) == DOCTOR_BAD    ? "Something does not work: see the lines with X."
                     : worst(d) == DOCTOR_NOTE ? "Everything works; lines with ! could be better."
                                               : "Everything is as it should be.");
}

static void examine(struct doctor *d, bool air_gap)
{
    /* First, so that everything below runs as every other command does. */
    if (!cli_go_offline(false))
        doctor_add(d, DOCTOR_BAD, "air gap",
                   "use a kernel with seccomp, or a machine without network",
                   "the right to use the network cannot be given up on this system");
    if (air_gap) {
        doctor_air_gap(d);
        return;
    }
    doctor_processor(d);
    doctor_limits(d);
    doctor_devices(d);
    doctor_pin(d);
    doctor_disk(d);
    doctor_models(d);
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    bool json = false, air_gap = false;
    int id;
    while ((id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            return CLI_OK;
        if (id == CLI_POSITIONAL)
            return cli_usage_error(self, "'%.60s' is not expected here", a.value);
        if (id == CLI_ERROR)
            return CLI_USAGE;
        json = json || id == DOCTOR_JSON;
        air_gap = air_gap || id == DOCTOR_AIR_GAP;
    }
    struct doctor *d = mem_alloc(sizeof *d);
    buf_init(&d->details, 1u << 20);
    json_put_z(&d->details, "version", vt_version());
    examine(d, air_gap);
    if (json)
        print_json(d);
    else
        print_text(d);
    int rc = worst(d) == DOCTOR_BAD ? CLI_FAILED : CLI_OK;
    buf_deinit(&d->details);
    mem_free(d);
    return rc;
}

const struct cli_command cli_cmd_doctor = {
    .name = "doctor",
    .summary = "Say what works on this machine, and what to do about the rest",
    .usage = "[--air-gap] [--json]",
    .examples = "  veetance doctor\n"
                "  veetance doctor --air-gap\n",
    .options = options,
    .run = run,
    .listens = true,
};
