/* late_jpeg.c - the functions of libjpeg that we call; it is opened with the first JPEG (base/late.h). */
#include "image/late_jpeg.h"

#define JPEG_FUNCTIONS(X)                                                                          \
    X(jpeg_CreateCompress)                                                                         \
    X(jpeg_CreateDecompress)                                                                       \
    X(jpeg_destroy_compress)                                                                       \
    X(jpeg_destroy_decompress)                                                                     \
    X(jpeg_finish_compress)                                                                        \
    X(jpeg_finish_decompress)                                                                      \
    X(jpeg_read_header)                                                                            \
    X(jpeg_read_icc_profile)                                                                       \
    X(jpeg_read_scanlines)                                                                         \
    X(jpeg_resync_to_restart)                                                                      \
    X(jpeg_save_markers)                                                                           \
    X(jpeg_set_defaults)                                                                           \
    X(jpeg_set_quality)                                                                            \
    X(jpeg_start_compress)                                                                         \
    X(jpeg_start_decompress)                                                                       \
    X(jpeg_std_error)                                                                              \
    X(jpeg_write_marker)                                                                           \
    X(jpeg_write_scanlines)

LATE_LIBRARY(image_jpeg, "reading and writing JPEG", JPEG_FUNCTIONS)
