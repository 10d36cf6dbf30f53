#include "cli/plan_out.h"

#include <stdio.h>

#include "cli/cli.h"
#include "cli/json_out.h"

typedef unsigned long long ull;

static double mib(uint64_t bytes)
{
    return (double)bytes / (1024.0 * 1024.0);
}

void plan_out_json(struct buf *b, const struct vt_plan *p)
{
    buf_printf(b, "{\"verdict\":\"%s\",\"budget_bytes\":%llu,\"peak_bytes\":%llu,\"stages\":[",
               vt_verdict_name(p->verdict), (ull)p->budget_bytes, (ull)p->peak_bytes);
    for (int i = 0; i < p->stage_count; i++) {
        const struct vt_plan_stage *s = &p->stages[i];
        buf_printf(b,
                   "%s{\"component\":\"%s\",\"precision\":\"%s\",\"resident_bytes\":%llu,"
                   "\"streamed_bytes\":%llu,\"compute_bytes\":%llu,\"peak_bytes\":%llu}",
                   i ? "," : "", s->component, s->precision, (ull)s->resident_bytes,
                   (ull)s->streamed_bytes, (ull)s->compute_bytes, (ull)s->peak_bytes);
    }
    buf_printf(b, "],\"swap_bytes\":%llu,\"advice\":[", (ull)p->swap_bytes);
    for (int i = 0; i < p->advice_count; i++) {
        buf_add_z(b, i ? "," : "");
        json_out_str(b, p->advice[i]);
    }
    buf_add_z(b, "]}");
}

static void print_table(const struct vt_plan *p)
{
    printf("%-14s %-10s %12s %12s %12s %12s\n", "component", "precision", "resident MiB",
           "streamed MiB", "compute MiB", "peak MiB");
    for (int i = 0; i < p->stage_count; i++) {
        const struct vt_plan_stage *s = &p->stages[i];
        printf("%-14s %-10s %12.1f %12.1f %12.1f %12.1f\n", s->component, s->precision,
               mib(s->resident_bytes), mib(s->streamed_bytes), mib(s->compute_bytes),
               mib(s->peak_bytes));
    }
    printf("%s: peak %.1f MiB of a budget of %.1f MiB, %.1f MiB of weights to bring\n",
           vt_verdict_name(p->verdict), mib(p->peak_bytes), mib(p->budget_bytes),
           mib(p->swap_bytes));
    for (int i = 0; i < p->advice_count; i++)
        printf("- %s\n", p->advice[i]);
}

int plan_out_print(const struct vt_plan *p, bool json)
{
    if (json) {
        struct buf b;
        buf_init(&b, 1u << 20);
        plan_out_json(&b, p);
        puts(buf_z(&b));
        buf_deinit(&b);
    } else {
        print_table(p);
    }
    return CLI_OK;
}

void plan_out_memory(struct buf *b, const struct vt_stats *s, const char *host)
{
    buf_printf(b,
               ",\"memory\":{\"device\":{\"budget_bytes\":%llu,\"peak_bytes\":%llu,"
               "\"current_bytes\":%llu,\"weight_bytes\":%llu,\"compute_bytes\":%llu},",
               (ull)s->budget_bytes, (ull)s->device_peak_bytes, (ull)s->device_current_bytes,
               (ull)s->device_weight_bytes, (ull)s->compute_bytes);
    buf_printf(b,
               "\"host\":{\"anonymous_bytes\":%llu,\"mapped_bytes\":%llu,\"pinned_bytes\":%llu%s}}",
               (ull)s->anonymous_bytes, (ull)s->file_bytes, (ull)s->pinned_bytes, host ? host : "");
}
