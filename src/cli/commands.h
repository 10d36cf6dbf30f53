/* commands.h - the table entry of every subcommand; one file each. */
#ifndef VT_CLI_COMMANDS_H
#define VT_CLI_COMMANDS_H

#include "cli/cli.h"

extern const struct cli_command cli_cmd_generate, cli_cmd_edit, cli_cmd_inspect, cli_cmd_devices,
    cli_cmd_bench, cli_cmd_sheet, cli_cmd_caption, cli_cmd_layers, cli_cmd_plan, cli_cmd_convert;
extern const struct cli_command cli_cmd_models, cli_cmd_doctor;
extern const struct cli_command cli_cmd_serve;
extern const struct cli_command cli_cmd_store;
extern const struct cli_command cli_cmd_worker;
extern const struct cli_command cli_cmd_settings;

#endif
