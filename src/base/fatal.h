/* fatal.h - the only place below the command line that may end the process. */
#ifndef VT_BASE_FATAL_H
#define VT_BASE_FATAL_H

#include <stddef.h>

/* A small fixed allocation failed: the program cannot continue. One line on stderr, exit code 1. */
void fatal_out_of_memory(size_t wanted_bytes) __attribute__((noreturn));

#endif
