/* settings.h - what a person wants by default: settings.json in the configuration folder, and VEETANCE_* variables.
 * A flag goes before a variable, that before the file, that before what is built in. docs/settings.md. */
#ifndef VT_CLI_SETTINGS_H
#define VT_CLI_SETTINGS_H

#include "base/err.h"

enum cli_setting {
    SETTING_MODEL,        /* of generate and edit */
    SETTING_LAYERS_MODEL, /* of layers and caption */
    SETTING_DEVICE,
    SETTING_BUDGET,
    SETTING_OUTPUT_FOLDER, /* of images whose file is not named */
    SETTING_NAME,          /* their names */
    SETTINGS
};

enum { SETTING_BYTES = 512, SETTINGS_PATH_BYTES = 4096 };

enum setting_source { SETTING_BUILT_IN, SETTING_FILE, SETTING_VARIABLE };

struct cli_settings {
    struct {
        char text[SETTING_BYTES]; /* "": none */
        enum setting_source source;
    } of[SETTINGS];
    char path[SETTINGS_PATH_BYTES]; /* of the file, there or not; "" without a home */
    char unknown[200]; /* a sentence about keys of the file that are no setting; "" mostly */
};

struct cli_setting_row {
    const char *key, *variable, *built_in;
    enum err_code (*check)(const char *value, struct err *e); /* NULL: any text */
};

extern const struct cli_setting_row cli_setting_rows[SETTINGS];

/* ERR_FORMAT for a file that is no settings file, or a value that cannot be one; says which, and from where. */
ERR_MUST_CHECK enum err_code cli_settings_load(struct cli_settings *s, struct err *e);
/* NULL when nothing is set. Borrowed from s. */
const char *cli_setting(const struct cli_settings *s, enum cli_setting which);
/* SETTINGS when there is no such key. '-' counts as '_'. */
enum cli_setting cli_setting_from_key(const char *key);
/* Changes the file, and nothing else in it. value NULL takes the key out. */
ERR_MUST_CHECK enum err_code cli_settings_change(enum cli_setting which, const char *value,
                                                 struct err *e);

#endif
