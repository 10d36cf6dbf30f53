#define VEC_LANES 8
#define VEC_TABLE vec_base
#define VEC_NAME "base"
#include "nn/cpu/vec_body.h"
