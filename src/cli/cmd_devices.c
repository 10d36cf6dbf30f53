#include <stdio.h>

#include "cli/commands.h"
#include "cli/json_out.h"

enum { DEVICES_JSON = 1, MAX_DEVICES = 64 };

static const struct cli_option options[] = {
    {DEVICES_JSON, 0, "json", NULL, "print JSON"},
    {0},
};

static void print_json(const struct vt_device *d, size_t n)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_add_z(&b, "{\"devices\":[");
    for (size_t i = 0; i < n; i++) {
        buf_printf(&b, "%s{\"name\":", i ? "," : "");
        json_out_str(&b, d[i].name);
        buf_add_z(&b, ",\"description\":");
        json_out_str(&b, d[i].description);
        buf_printf(&b, ",\"kind\":\"%s\",\"total_bytes\":%llu,\"free_bytes\":%llu}",
                   d[i].is_cpu ? "cpu" : "gpu", (unsigned long long)d[i].total_bytes,
                   (unsigned long long)d[i].free_bytes);
    }
    buf_add_z(&b, "]}");
    puts(buf_z(&b));
    buf_deinit(&b);
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    struct vt_device list[MAX_DEVICES];
    struct vt_error err;
    size_t n;
    bool json = false;
    int id;
    while ((id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            return CLI_OK;
        if (id == CLI_POSITIONAL)
            return cli_usage_error(self, "'%.60s' is not expected here", a.value);
        if (id == CLI_ERROR)
            return CLI_USAGE;
        json = true;
    }
    if (vt_devices(list, MAX_DEVICES, &n, &err) != VT_OK)
        return cli_fail(&err, json);
    if (json) {
        print_json(list, n);
        return CLI_OK;
    }
    for (size_t i = 0; i < n; i++)
        printf("%-10s %s, %.1f of %.1f GiB free\n", list[i].name, list[i].description,
               (double)list[i].free_bytes / (1 << 30), (double)list[i].total_bytes / (1 << 30));
    return CLI_OK;
}

const struct cli_command cli_cmd_devices = {
    .name = "devices",
    .summary = "List what this machine can compute on",
    .usage = "[--json]",
    .examples = "  veetance devices\n"
                "  veetance generate --device vulkan0 ...\n",
    .options = options,
    .run = run,
};
