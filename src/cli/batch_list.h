/* batch_list.h - the items of a batch: rows of a file, images and grids, multiplied with each other. */
#ifndef VT_CLI_BATCH_LIST_H
#define VT_CLI_BATCH_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/cli.h"

enum { BATCH_MAX_ITEMS = 10000, BATCH_ARGS_MAX = 64, BATCH_FAULTS_TOLD = 20 };

struct batch_arg {
    const struct cli_option *option; /* NULL: a word without one */
    const char *value;               /* NULL: a switch */
    bool
        adds; /* to what the command line has of this option, in front of it; else it takes its place */
};

struct batch_args {
    struct batch_arg *p;
    size_t n;
};

struct batch_item {
    struct batch_args args;
    int line;           /* of the file of rows; 0: none */
    bool counted;       /* one of several that were one */
    const char *source; /* the image that it is about; NULL: none */
};

/* An option of the grid. */
struct batch_axis {
    const struct cli_option *option;
    const char **values;
    size_t n;
};

struct batch_list {
    const struct cli_command *command;
    struct arena arena;     /* of all that lies in it */
    struct batch_args base; /* what the command line says for all */
    struct batch_item *items;
    size_t n;
    struct batch_axis axes[2];
    int n_axes;
    const char *file; /* of rows, as messages name it; NULL: none */
    int faults;       /* that were told, or would have been */
    char fault[480];  /* the last of them */
};

/* One item without anything of its own, so that what is multiplied has something to begin with. */
void batch_list_init(struct batch_list *l, const struct cli_command *command);
void batch_list_deinit(struct batch_list *l);
/* One more argument. ERR_LIMIT when there are too many. */
ERR_MUST_CHECK enum err_code batch_args_add(struct batch_list *l, struct batch_args *to,
                                            struct batch_arg arg, struct err *e);
/* NULL: the command has none of that name; '_' counts as '-'. */
const struct cli_option *batch_option_find(const struct cli_command *c, struct str name);
/* What the item says of an option, else the command line; NULL: neither. */
const char *batch_value(const struct batch_list *l, const struct batch_item *item,
                        const char *option);

/* An item for each row of the text. Rows that make no sense are told with their lines, all of them, and counted. */
ERR_MUST_CHECK enum err_code batch_list_rows(struct batch_list *l, struct str text, struct err *e);
/* Each item once with every image. */
ERR_MUST_CHECK enum err_code batch_list_images(struct batch_list *l, const char *const *images,
                                               size_t n, struct err *e);
/* Each item once for every value of the options: "seed=1..4,steps=4:8". ERR_ARG says what is wrong with it. */
ERR_MUST_CHECK enum err_code batch_list_grid(struct batch_list *l, const char *grid, struct err *e);
/* An item that asks for several images becomes as many, with the seeds that follow. */
ERR_MUST_CHECK enum err_code batch_list_count(struct batch_list *l, struct err *e);

/* "FILE:LINE", or the image, or which item it is. */
void batch_where(const struct batch_list *l, size_t i, char *out, size_t size);
/* Something is wrong with a row: told, up to BATCH_FAULTS_TOLD, and counted. The same words as before are
 * not said again: they are about the command line. */
void batch_fault(struct batch_list *l, const char *where, const char *text);

#endif
