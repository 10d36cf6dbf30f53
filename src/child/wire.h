/* wire.h - messages between two processes over a socket pair, with descriptors beside them.
 *
 *     int pair[2];
 *     if ((rc = wire_pair(pair, e)) != ERR_OK) ...
 *     rc = wire_send(pair[0], &(struct wire_out){.type = 7, .body = buf_str(&b), .fds = fds, .n_fds = 2}, e);
 *     ...
 *     rc = wire_receive(pair[1], &m, e);   // m.body, m.fds
 *     wire_message_deinit(&m);
 *
 * A message is one packet (SOCK_SEQPACKET): there are no halves of one, and its descriptors came with it. The packet is
 * a head (type, size of the body, where the body is) and the body; one that is too large for a packet lies in shared
 * memory (child/shared.h), whose descriptor goes first. The receiver trusts nothing: a packet that is cut, whose head
 * lies, or that has more descriptors than it may is ERR_FORMAT, and what came with it is closed. */
#ifndef VT_CHILD_WIRE_H
#define VT_CHILD_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum {
    WIRE_PACKET_BYTES = 32 << 10, /* head and body; what is larger goes through shared memory */
    WIRE_MAX_BYTES = 32 << 20,    /* of a body */
    WIRE_MAX_FDS = 64,            /* of a message, beside that of its body */
};

struct wire_out {
    uint32_t type;
    struct str body;
    const int *fds; /* stay the caller's */
    int n_fds;
    bool wait; /* for room in the socket; else ERR_BUSY when there is none */
};

struct wire_message {
    uint32_t type;
    struct str body; /* borrowed from below; a NUL lies behind it */
    int fds[WIRE_MAX_FDS];
    int n_fds;
    char *copy;
};

/* Both are closed when a program is started. */
ERR_MUST_CHECK enum err_code wire_pair(int out[2], struct err *e);
ERR_MUST_CHECK enum err_code wire_send(int socket, const struct wire_out *m, struct err *e);
/* Waits for a message. ERR_NOTFOUND: the other end is gone. On failure *out holds nothing. */
ERR_MUST_CHECK enum err_code wire_receive(int socket, struct wire_message *out, struct err *e);
/* Takes a descriptor out of the message; it is the caller's. -1 when there is none at i, or it was taken. */
int wire_take_fd(struct wire_message *m, int i);
/* Closes what was not taken. Accepts a zeroed one. */
void wire_message_deinit(struct wire_message *m);

#endif
