#include "pipeline/params_table.h"

#define ROW_OF(STRUCT, MEMBER, TYPE, LO, HI, VALUES, FALLBACK, HELP)                               \
    {#MEMBER, PARAM_##TYPE, LO, HI, VALUES, FALLBACK, HELP, offsetof(struct STRUCT, MEMBER)},
#define IMAGE_ROW(...) ROW_OF(vt_request, __VA_ARGS__)
#define LAYERS_ROW(...) ROW_OF(vt_layers_request, __VA_ARGS__)
#define CAPTION_ROW(...) ROW_OF(vt_caption_request, __VA_ARGS__)

const struct param params_generate[] = {PARAMS_IMAGE(IMAGE_ROW){0}};
const struct param params_edit[] = {
    PARAMS_IMAGE(IMAGE_ROW) PARAMS_EDIT(IMAGE_ROW){.name = PARAM_EDIT_REGISTER,
                                                   .type = PARAM_SWITCH,
                                                   .fallback = "false",
                                                   .help = PARAM_HELP_EDIT_REGISTER,
                                                   .offset = offsetof(struct vt_request, align)},
    {0}};
const struct param params_layers[] = {{.name = PARAM_LAYERS_CFG,
                                       .type = PARAM_NUMBER,
                                       .hi = 100,
                                       .help = PARAM_HELP_LAYERS_CFG,
                                       .offset = offsetof(struct vt_layers_request, guidance)},
                                      PARAMS_LAYERS(LAYERS_ROW){0}};
const struct param params_caption[] = {PARAMS_CAPTION(CAPTION_ROW){0}};
