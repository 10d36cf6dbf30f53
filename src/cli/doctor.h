/* doctor.h - what `veetance doctor` looks at. Every finding is a line for people and an entry for scripts. */
#ifndef VT_CLI_DOCTOR_H
#define VT_CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum doctor_state {
    DOCTOR_OK,
    DOCTOR_NOTE, /* works, and could be better */
    DOCTOR_BAD,  /* does not work */
};

enum { DOCTOR_MAX = 256 };

struct doctor_finding {
    enum doctor_state state;
    const char *area; /* "processor", "devices", ...: static */
    char text[512];
    char next[256]; /* what to do; "" when there is nothing to */
};

struct doctor {
    struct doctor_finding found[DOCTOR_MAX];
    size_t n;
    struct buf details; /* members of the JSON answer */
};

/* Adds a finding; next may be NULL. */
void doctor_add(struct doctor *d, enum doctor_state state, const char *area, const char *next,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* doctor_machine.c */
void doctor_processor(struct doctor *d);
void doctor_limits(struct doctor *d);
void doctor_disk(struct doctor *d);
/* doctor_devices.c */
void doctor_devices(struct doctor *d);
void doctor_pin(struct doctor *d);
void doctor_models(struct doctor *d);
/* doctor_air_gap.c: after the network was given up. */
void doctor_air_gap(struct doctor *d);

/* doctor_air_gap.c: calls fn with each library that this program's own file names as needed. False when the file
 * cannot be read. */
bool elf_needed(void (*fn)(const char *library, void *user), void *user);

#endif
