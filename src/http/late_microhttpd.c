/* late_microhttpd.c - the functions of libmicrohttpd that we call; it is opened when a server starts (base/late.h),
 * and GnuTLS with it. */
#include "http/internal.h"

#define MICROHTTPD_FUNCTIONS(X)                                                                    \
    X(MHD_add_response_header)                                                                     \
    X(MHD_create_post_processor)                                                                   \
    X(MHD_create_response_from_buffer)                                                             \
    X(MHD_create_response_from_buffer_with_free_callback)                                          \
    X(MHD_create_response_from_callback)                                                           \
    X(MHD_create_response_from_fd_at_offset64)                                                     \
    X(MHD_destroy_post_processor)                                                                  \
    X(MHD_destroy_response)                                                                        \
    X(MHD_get_connection_info)                                                                     \
    X(MHD_get_connection_values)                                                                   \
    X(MHD_lookup_connection_value)                                                                 \
    X(MHD_post_process)                                                                            \
    X(MHD_queue_response)                                                                          \
    X(MHD_resume_connection)                                                                       \
    X(MHD_start_daemon)                                                                            \
    X(MHD_stop_daemon)                                                                             \
    X(MHD_suspend_connection)

LATE_LIBRARY(http_microhttpd, "answering over HTTP", MICROHTTPD_FUNCTIONS)
