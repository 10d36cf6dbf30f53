/* remote.h - the --rpc option: a worker on another machine in place of a device of this one. */
#ifndef VT_CLI_REMOTE_H
#define VT_CLI_REMOTE_H

/* What vt_engine_options.device takes for the worker at HOST:PORT. From now on a worker that vanishes ends the
 * process with one sentence: ggml's client has no other way. The text lives as long as the process. */
const char *cli_remote_device(const char *address);

#endif
