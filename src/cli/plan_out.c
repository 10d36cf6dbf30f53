#include "cli/plan_out.h"

#include <stdio.h>

#include "base/json_text.h"
#include "cli/cli.h"
#include "pipeline/result_json.h"

static double mib(uint64_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0);
}

static void print_table(const struct vt_plan *p)
{
    bool several = p->device_count > 1;
    printf("%-14s %-10s %12s %12s %12s %12s%s\n", "component", "precision", "resident MiB",
           "streamed MiB", "compute MiB", "peak MiB", several ? "  device" : "");
    for (int i = 0; i < p->stage_count; i++) {
        const struct vt_plan_stage *s = &p->stages[i];
        printf("%-14s %-10s %12.1f %12.1f %12.1f %12.1f%s%s\n", s->component, s->precision,
               mib(s->resident_bytes), mib(s->streamed_bytes), mib(s->compute_bytes),
               mib(s->peak_bytes), several ? "  " : "", several ? s->device : "");
    }
    printf("%s: peak %.1f MiB of a budget of %.1f MiB", vt_verdict_name(p->verdict),
           mib(p->peak_bytes), mib(p->budget_bytes));
    for (int i = 1; i < p->device_count; i++)
        printf(", on %s %.1f MiB of %.1f MiB", p->devices[i].name, mib(p->devices[i].peak),
               mib(p->devices[i].budget));
    printf(", %.1f MiB of weights to bring\n", mib(p->swap_bytes));
    for (int i = 0; i < p->stage_count; i++) {
        const struct vt_plan_stage *s = &p->stages[i];
        if (s->widened_bytes)
            printf("widened: %s (%s) to %s, +%.1f MiB\n", s->widened_from, s->component,
                   s->widened_to, mib(s->widened_bytes));
    }
    for (int i = 0; i < p->advice_count; i++)
        printf("- %s\n", p->advice[i]);
}

int plan_out_print(const struct vt_plan *p, bool json)
{
    if (json) {
        struct buf b;
        buf_init(&b, 1u << 20);
        result_json_plan(&b, p);
        cli_print_json(&b);
    } else {
        print_table(p);
    }
    return p->verdict == VT_REFUSED ? CLI_FAILED : CLI_OK;
}
