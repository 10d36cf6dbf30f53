#include "cli/run.h"

enum vt_status cli_run_open(struct cli_run *run, const struct vt_engine_options *options,
                            struct vt_engine **out, struct vt_error *err)
{
    enum vt_status st = VT_OK;
    *out = run->engine;
    if (!*out)
        st = vt_engine_open(options, out, err);
    if (st != VT_OK)
        return st;
    if (run->keeps_engine)
        run->engine = *out;
    cli_cancel_on_signal(*out);
    return VT_OK;
}

void cli_run_close(struct cli_run *run, struct vt_engine *engine)
{
    cli_cancel_on_signal(NULL);
    if (!run->keeps_engine)
        vt_engine_close(engine);
}
