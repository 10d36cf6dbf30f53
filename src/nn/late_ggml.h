/* late_ggml.h - the library ggml, which is opened with the first device. Only for this folder, and for who
 * must open it before giving up the right to open files. */
#ifndef VT_NN_LATE_GGML_H
#define VT_NN_LATE_GGML_H

#include "base/late.h"

extern struct late_library nn_ggml;

#endif
