#include "server/plan_json.h"

typedef unsigned long long ull;

static const struct http_field stage_fields[] = {
    {.name = "component", .type = HTTP_STRING, .required = true},
    {.name = "precision", .type = HTTP_STRING, .required = true},
    {.name = "resident_bytes", .type = HTTP_INT, .required = true},
    {.name = "streamed_bytes", .type = HTTP_INT, .required = true},
    {.name = "compute_bytes", .type = HTTP_INT, .required = true},
    {.name = "peak_bytes", .type = HTTP_INT, .required = true},
    {0}};

const struct http_field plan_fields[] = {
    {.name = "verdict",
     .type = HTTP_STRING,
     .values = "resident|streamed|refused",
     .required = true},
    {.name = "budget_bytes", .type = HTTP_INT, .required = true},
    {.name = "peak_bytes", .type = HTTP_INT, .required = true},
    {.name = "stages",
     .type = HTTP_ARRAY,
     .items = HTTP_OBJECT,
     .fields = stage_fields,
     .required = true},
    {.name = "swap_bytes", .type = HTTP_INT, .required = true},
    {.name = "advice", .type = HTTP_ARRAY, .items = HTTP_STRING, .required = true},
    {0}};

void plan_json(struct buf *b, const struct vt_plan *p)
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
        http_json_str(b, p->advice[i]);
    }
    buf_add_z(b, "]}");
}
