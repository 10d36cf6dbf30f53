/* late.h - shared libraries that are opened when something first needs them, so that they cost nothing at start.
 *
 * A room lists the functions of a library that it calls, in one file of its own, and goes on calling them by their
 * names; the program is not linked with the library.
 *
 *     #define ZIP_FUNCTIONS(X) X(zip_close) X(zip_fread) ...
 *     LATE_LIBRARY(layers_zip, "reading ZIP archives", ZIP_FUNCTIONS)
 *
 * Each name becomes a jump through a pointer. The pointer first leads to code that opens the library, finds all the
 * functions and then goes on to the one that was called, with its arguments as they were. Who can tell a failure calls
 * late_open before: a library that is missing is an error then, as it is the end of the process when a function of it
 * is called without.
 *
 * CMakeLists.txt (vt_late) says which library a file stands for. Processors that no stub is written for are linked
 * with it as usual. A function that is not in the list is an undefined reference; data of a library cannot be listed. */
#ifndef VT_BASE_LATE_H
#define VT_BASE_LATE_H

#include <stddef.h>

#include "base/err.h"

struct late_entry {
    const char *name;
    void **to; /* what the stub jumps through */
};

struct late_library {
    const char *file;    /* "libzip.so.4" */
    const char *package; /* that has it, in Debian */
    const char *task;    /* "reading ZIP archives" */
    const struct late_entry *entries;
    size_t n_entries;
    void *handle; /* of dlopen; NULL until it is open, and then for good */
};

/* Opens it, unless it is open. Any thread. ERR_NOTFOUND when the library, or a function of it, is not there. */
ERR_MUST_CHECK enum err_code late_open(struct late_library *l, struct err *e);

/* All that the program may open: which files it would load beside those that it is linked with. */
void late_each(void (*fn)(const struct late_library *l, void *user), void *user);

/* Their list is a section, which the linker puts together. */
#define LATE_ROW(ID)                                                                               \
    static struct late_library *const late_row __attribute__((used, section("late_libraries"))) =  \
        &ID;

#if defined(__x86_64__)

/* NAME jumps to where late_to_NAME says: at first to the lines below it, which call late_first_call (late.c). */
#define LATE_STUB(NAME)                                                                            \
    __asm__(".pushsection .text\n"                                                                 \
            ".globl " #NAME "\n"                                                                   \
            ".hidden " #NAME "\n"                                                                  \
            ".type " #NAME ", @function\n" #NAME ":\n"                                             \
            "    jmp *late_to_" #NAME "(%rip)\n"                                                   \
            "late_first_" #NAME ":\n"                                                              \
            "    lea late_to_" #NAME "(%rip), %r10\n"                                              \
            "    lea late_this(%rip), %r11\n"                                                      \
            "    jmp late_first_call\n"                                                            \
            ".size " #NAME ", . - " #NAME "\n"                                                     \
            ".popsection\n"                                                                        \
            ".pushsection .data\n"                                                                 \
            ".balign 8\n"                                                                          \
            "late_to_" #NAME ": .quad late_first_" #NAME "\n"                                      \
            ".popsection\n");
#define LATE_SLOT(NAME) extern void *late_to_##NAME;
#define LATE_ENTRY(NAME) {#NAME, &late_to_##NAME},

/* Defines `struct late_library ID` and the functions. One a file, whose LATE_FILE and LATE_PACKAGE the build gives. */
#define LATE_LIBRARY(ID, TASK, FUNCTIONS)                                                          \
    FUNCTIONS(LATE_SLOT)                                                                           \
    static const struct late_entry late_entries[] = {FUNCTIONS(LATE_ENTRY)};                       \
    struct late_library ID = {.file = LATE_FILE,                                                   \
                              .package = LATE_PACKAGE,                                             \
                              .task = (TASK),                                                      \
                              .entries = late_entries,                                             \
                              .n_entries = sizeof late_entries / sizeof late_entries[0]};          \
    LATE_ROW(ID)                                                                                   \
    __asm__(".set late_this, " #ID);                                                               \
    FUNCTIONS(LATE_STUB)

#else

#define LATE_LIBRARY(ID, TASK, FUNCTIONS)                                                          \
    struct late_library ID = {.file = LATE_FILE, .package = LATE_PACKAGE, .task = (TASK)};

#endif

#endif
