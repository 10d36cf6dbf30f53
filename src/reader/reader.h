/* reader.h - what strangers made, images and files with layers, is decoded by a process of its own: a hole in a decoder
 * is met where there are no files, no sockets and no other file's pixels, and a crash, an endless loop or too much memory
 * is the failure of one file.
 *
 *     struct reader_options o = {.confined = true};
 *     if ((rc = reader_open(&o, &r, e)) != ERR_OK) ...
 *     struct reader_file f = {.fd = fd, .bytes = n};
 *     rc = reader_image(r, &f, READER_PIXELS, &info, &im, e);
 *     ...
 *     reader_close(r);
 *
 * A process reads one file and ends with it (`veetance reader`, the same program); the next one waits already, so that a
 * file costs no more than the handing over. It gets the file to read only, or bytes in sealed memory, and answers with
 * what it found; pixels come through sealed memory. What it says is checked here (messages.h) against the bounds that
 * it was given, so that a process that somebody took over can at most return a wrong image.
 *
 * Files that one request reads for one result, as the layers of an export, may be read by one process, one after the
 * other (struct reader_series): it sees no more than who asked gets to see anyway.
 *
 * Without a reader (NULL) everything is done in this process, with the same result: for who reads files of its own.
 *
 * Threads: any number may ask at once; each has a process to itself meanwhile. */
#ifndef VT_READER_READER_H
#define VT_READER_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "image/about.h"
#include "image/image.h"
#include "image/load.h"
#include "layers/file.h"

struct reader;

struct reader_options {
    const char *program;          /* NULL: this one */
    const char *const *arguments; /* NULL: "veetance reader" */
    bool confined;                /* it gives up all rights before it looks at a file */
    double
        patience; /* seconds of the processor that a file may take, and a third of all the time; 0: 60 */
};

/* Strings stay the caller's and outlive it. Processes that wait are started beside it. */
ERR_MUST_CHECK enum err_code reader_open(const struct reader_options *o, struct reader **out,
                                         struct err *e);
/* Nobody may be asking any more. Accepts NULL. */
void reader_close(struct reader *r);

/* Files of one request, which one process reads as long as it can; one thread's. A file that took the process over may
 * change what is read of those after it, so nothing is kept of a series but the request's own result.
 *
 *     struct reader_series series = {0};
 *     struct reader_file f = {.fd = fd, .bytes = n, .series = &series};
 *     ...
 *     reader_series_end(&series); */
struct reader_series {
    struct process *process; /* the reader's own, as what follows */
    int files;
};
void reader_series_end(struct reader_series *s);

/* A file, or (fd -1) bytes. */
struct reader_file {
    int fd;         /* stays the caller's; may be open for writing, too: the process only reads */
    uint64_t bytes; /* how many of it */
    struct str memory;
    struct reader_series *series; /* of images and words; NULL: a process of its own */
};

enum reader_wish {
    READER_HEADER, /* what image_probe_memory tells */
    READER_CHECK,  /* all of it is decoded, and only info is wanted */
    READER_PIXELS, /* as image_load_memory */
    READER_DEEP,   /* as image_load_deep */
};

/* info and out as those functions have them; out is not touched unless pixels are wished for. Failures are theirs, too.
 * Besides: ERR_FORMAT when the process crashed, ERR_LIMIT when it was ended for the time or memory that it took. */
ERR_MUST_CHECK enum err_code reader_image(struct reader *r, const struct reader_file *f,
                                          enum reader_wish wish, struct image_info *info,
                                          struct image *out, struct err *e);

/* As layers_measure, and layers_import_memory; but no more pixels are read than the headers speak of. */
ERR_MUST_CHECK enum err_code reader_layers_size(struct reader *r, const struct reader_file *f,
                                                struct layers_size *out, struct err *e);
ERR_MUST_CHECK enum err_code reader_layers(struct reader *r, const struct reader_file *f,
                                           const struct layers_limits *limits,
                                           struct layer_stack *out, struct err *e);

/* What a file says of where its pixels came from, as image_about_read. One that crashes its process or takes too long says
 * nothing. It is an error when the process was killed (ERR_IO), the system's memory ran out (ERR_NOMEM) or none could be
 * started: that tells nothing of the file. *out was initialised. */
ERR_MUST_CHECK enum err_code reader_about(struct reader *r, const struct reader_file *f,
                                          struct image_about *out, struct err *e);

enum { READER_KEY_SIZE = 80, READER_TEXTS_BYTES = 8 << 20, READER_TEXT_COST = 64 };

/* Where the texts of a PNG go, one after the other. */
struct reader_texts {
    void (*see)(struct str key, struct str text, void *user);
    void *user;
};

/* The texts of a PNG as image_png_texts has them, but for keys that are longer than PNG allows, and only the first ones up
 * to READER_TEXTS_BYTES with READER_TEXT_COST for each; of any file the recipe (image_parameters), if there is one, appended
 * to parameters. ERR_FORMAT: no sound PNG, and no JPEG, WebP or PSD. */
ERR_MUST_CHECK enum err_code reader_texts(struct reader *r, const struct reader_file *f,
                                          const struct reader_texts *to, struct buf *parameters,
                                          struct err *e);

/* ---- in the process ---------------------------------------------------------------------------------------- */

/* Answers on PROCESS_SOCKET (child/process.h): a file, or those of a series, or none when the parent goes before it has
 * one. confine gives up everything but computing; files that libraries are made of have been opened by then. */
ERR_MUST_CHECK enum err_code reader_serve(enum err_code (*confine)(struct err *e), struct err *e);

#endif
