/* models_advise.h - which of the models that are there suit this machine, by their plans. */
#ifndef VT_CLI_MODELS_ADVISE_H
#define VT_CLI_MODELS_ADVISE_H

#include "library/models.h"

/* A line a model that is ready, the best for each task first; budget as vt_engine_options has it. Returns an exit
 * status. */
int models_advise(struct models *m, const char *budget, bool json);

#endif
