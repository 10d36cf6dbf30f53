/* cmd_devices.c - `veetance devices`: what can compute, and which of them is pinned.
 *
 * Finding devices means loading every backend and asking its driver, which takes a second; a pin spares later starts
 * that. Pinning therefore measures all candidates with the same product and writes down the fastest, with the
 * library that it came from. On the CPU it also measures whose products are the faster (nn/cpu/choice.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/suggest.h"
#include "nn/cpu/choice.h"
#include "nn/device.h"
#include "nn/pin.h"

enum { DEVICES_JSON = 1, DEVICES_PIN, DEVICES_UNPIN, DEVICES_VERBOSE, MAX_DEVICES = 64 };

static const struct cli_option options[] = {
    {DEVICES_PIN, 0, "pin", NULL,
     "measure and remember the device that later starts open at once: NAME, or the fastest"},
    {DEVICES_UNPIN, 0, "unpin", NULL, "forget it"},
    {DEVICES_JSON, 0, "json", NULL, "print JSON"},
    {DEVICES_VERBOSE, 'v', "verbose", NULL,
     "say which libraries are loaded, and how long it takes"},
    {0},
};

struct devices_job {
    bool json, pin, unpin;
    const char *name; /* to pin; NULL: the fastest */
    struct nn_device_info list[MAX_DEVICES];
    double flops[MAX_DEVICES]; /* 0: not measured */
    size_t n;
    char pinned[64]; /* "" when nothing is */
};

/* ---- what is pinned -------------------------------------------------------------------------------- */

static void read_pinned(struct devices_job *j)
{
    char path[NN_PIN_PATH_BYTES];
    struct err e = {0};
    struct nn_pin *pin = mem_alloc(sizeof *pin);
    enum err_code rc;
    TRY_GOTO(nn_pin_path(path, sizeof path, &e), done);
    rc = nn_pin_read(path, pin, &e);
done:
    if (rc == ERR_OK)
        memcpy(j->pinned, pin->device, sizeof j->pinned);
    else if (rc != ERR_NOTFOUND)
        log_warn("%s", e.text);
    mem_free(pin);
}

static int unpin(const struct devices_job *j)
{
    char path[NN_PIN_PATH_BYTES];
    struct err e = {0};
    if (nn_pin_path(path, sizeof path, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (file_exists(path) && unlink(path) != 0) {
        (void)err_set_sys(&e, ERR_IO, errno, "cannot remove '%s'", path);
        return cli_fail_err(&e);
    }
    if (nn_cpu_choice_unpin(&e) != ERR_OK)
        return cli_fail_err(&e);
    if (j->json)
        puts("{\"pinned\":null}");
    else
        puts("Nothing is pinned; starts look for the best device.");
    return CLI_OK;
}

static bool is_candidate(const struct devices_job *j, size_t i)
{
    if (j->name)
        return strcmp(j->list[i].name, j->name) == 0;
    return !j->list[i].is_software;
}

static enum err_code no_device(const struct devices_job *j, struct err *e)
{
    struct cli_suggestion s = {.typed = j->name ? j->name : ""};
    for (size_t i = 0; i < j->n; i++)
        cli_suggest(&s, j->list[i].name);
    return err_set(e, ERR_DEVICE, "there is no device '%s'; `veetance devices` lists them%s",
                   j->name ? j->name : "to pin", cli_suggest_text(&s));
}

/* Measures the candidates and pins the fastest. */
static enum err_code pin_fastest(struct devices_job *j, struct err *e)
{
    size_t best = MAX_DEVICES;
    struct nn_device *d;
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < j->n; i++) {
        if (!is_candidate(j, i))
            continue;
        rc = nn_device_open(j->list[i].name, 0, &d, e);
        if (rc != ERR_OK)
            break;
        rc = nn_device_measure(d, &j->flops[i], e);
        nn_device_close(d);
        if (rc == ERR_OK && j->list[i].is_cpu)
            rc = nn_cpu_choice_pin(e);
        if (best == MAX_DEVICES || j->flops[i] > j->flops[best])
            best = i;
    }
    if (rc != ERR_OK)
        return rc;
    if (best == MAX_DEVICES)
        return no_device(j, e);
    rc = nn_device_open(j->list[best].name, 0, &d, e);
    if (rc != ERR_OK)
        return rc;
    rc = nn_device_pin(d, j->flops[best], e);
    nn_device_close(d);
    memcpy(j->pinned, j->list[best].name, sizeof j->pinned);
    return rc;
}

/* ---- printing -------------------------------------------------------------------------------------- */

static const struct {
    enum nn_cpu_work work;
    const char *name, *words;
} works[] = {
    {NN_CPU_WORK_F32, "f32", "float32"},
    {NN_CPU_WORK_INT8, "int8", "int8"},
};
enum { N_WORKS = sizeof works / sizeof works[0] };

/* Whose products the CPU uses, and what was measured. */
static void put_products(struct buf *b)
{
    struct nn_cpu_rates r = nn_cpu_choice_rates();
    json_object(b, "products");
    for (int i = 0; i < N_WORKS; i++) {
        json_object(b, works[i].name);
        json_put_bool(b, "own", nn_cpu_own(works[i].work));
        json_put_fixed(b, "own_gflops", r.rate[works[i].work][NN_CPU_OWN], 1);
        json_put_fixed(b, "onednn_gflops", r.rate[works[i].work][NN_CPU_ONEDNN], 1);
        json_end_object(b);
    }
    json_end_object(b);
}

/* What --compute takes on a card. */
static void put_computes(struct buf *b, const struct nn_device_info *d)
{
    json_array(b, "compute");
    json_put_z(b, NULL, "default");
    json_put_z(b, NULL, "int8");
    if (d->has_fp8)
        json_put_z(b, NULL, "fp8");
    json_put_z(b, NULL, "auto");
    json_end_array(b);
}

static void print_products(void)
{
    char why[160];
    for (int i = 0; i < N_WORKS; i++) {
        nn_cpu_choice_describe(works[i].work, why, sizeof why);
        printf("           %s products: %s\n", works[i].words, why);
    }
}

static void print_json(const struct devices_job *j)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    json_object(&b, NULL);
    json_array(&b, "devices");
    for (size_t i = 0; i < j->n; i++) {
        const struct nn_device_info *d = &j->list[i];
        json_object(&b, NULL);
        json_put_z(&b, "name", d->name);
        json_put_z(&b, "description", d->description);
        json_put_z(&b, "kind", d->is_cpu ? "cpu" : "gpu");
        json_put_uint(&b, "total_bytes", d->total_bytes);
        json_put_uint(&b, "free_bytes", d->free_bytes);
        if (j->flops[i] > 0)
            json_put_fixed(&b, "gflops", j->flops[i] * 1e-9, 1);
        if (d->is_cpu)
            put_products(&b);
        if (d->is_card)
            put_computes(&b, d);
        json_end_object(&b);
    }
    json_end_array(&b);
    json_put_z(&b, "pinned", j->pinned[0] ? j->pinned : NULL);
    json_end_object(&b);
    cli_print_json(&b);
}

static void print_text(const struct devices_job *j)
{
    for (size_t i = 0; i < j->n; i++) {
        const struct nn_device_info *d = &j->list[i];
        printf("%-10s %s, %.1f of %.1f GiB free", d->name, d->description,
               (double)d->free_bytes / (1 << 30), (double)d->total_bytes / (1 << 30));
        if (j->flops[i] > 0)
            printf(", %.0f GFLOP/s", j->flops[i] * 1e-9);
        printf("%s\n", strcmp(d->name, j->pinned) == 0 ? " (pinned)" : "");
        if (d->is_cpu)
            print_products();
        if (d->is_card)
            printf("           --compute default, int8%s, auto\n", d->has_fp8 ? ", fp8" : "");
    }
}

static int execute(struct devices_job *j)
{
    struct err e = {0};
    if (j->unpin)
        return unpin(j);
    if (nn_device_list(j->list, MAX_DEVICES, &j->n, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (!j->pin)
        read_pinned(j);
    else if (pin_fastest(j, &e) != ERR_OK)
        return cli_fail_err(&e);
    if (j->json)
        print_json(j);
    else
        print_text(j);
    return CLI_OK;
}

static int parse(struct devices_job *j, const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    int id;
    while ((id = cli_args_next(&a)) != CLI_END) {
        switch (id) {
        case CLI_HELP:
        case CLI_ERROR:
            return id;
        case DEVICES_JSON:
            j->json = true;
            break;
        case DEVICES_PIN:
            j->pin = true;
            break;
        case DEVICES_UNPIN:
            j->unpin = true;
            break;
        case DEVICES_VERBOSE:
            log_set(LOG_DEBUG, NULL, NULL);
            break;
        default:
            if (!j->pin || j->name) {
                cli_usage_error(self, "'%.60s' is not expected here", a.value);
                return CLI_ERROR;
            }
            j->name = a.value;
        }
    }
    if (j->pin && j->unpin) {
        cli_usage_error(self, "--pin and --unpin exclude each other");
        return CLI_ERROR;
    }
    return CLI_END;
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct devices_job *j = mem_alloc(sizeof *j);
    int end = parse(j, self, argc, argv);
    int rc = end == CLI_HELP ? CLI_OK : end == CLI_ERROR ? CLI_USAGE : execute(j);
    mem_free(j);
    return rc;
}

const struct cli_command cli_cmd_devices = {
    .name = "devices",
    .summary = "List what this machine can compute on, and pin a device",
    .usage = "[--pin [NAME] | --unpin] [--json]",
    .examples = "  veetance devices\n"
                "  veetance devices --pin\n"
                "  veetance devices --pin vulkan0\n"
                "  veetance generate --device vulkan0 ...\n",
    .options = options,
    .run = run,
};
