/* listen_fds.h - a socket that the service manager opened for us (sd_listen_fds's protocol). */
#ifndef VT_BASE_LISTEN_FDS_H
#define VT_BASE_LISTEN_FDS_H

/* The first descriptor that was handed to this process: a stream socket that listens, now close-on-exec and
 * non-blocking. -1: none was. Answers once: the environment variables are removed. */
int listen_fds_take(void);

#endif
