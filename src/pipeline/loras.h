/* loras.h - the LoRAs of a request on an open model: opened, attached, engaged beside the transformer.
 *
 *     loras_use(&k->loras, &rq->loras, &network, e);      before a plan or a run: opens what is new, lets go what is not wanted
 *     loras_engage(&k->loras, device, e);                 before the transformer is engaged
 *     loras_leave(device);                                after its last step
 *     loras_deinit(&k->loras);                            before the transformer is freed
 *
 * What is open stays so for the next request: another strength costs nothing. */
#ifndef VT_PIPELINE_LORAS_H
#define VT_PIPELINE_LORAS_H

#include "base/buf.h"
#include "base/file.h"
#include "model/adapter.h"
#include "veetance.h"

struct loras_slot {
    char *path;
    int64_t bytes, changed_ns; /* of the file when it was opened */
    struct model_adapter *adapter;
    double strength; /* in this request */
    bool wanted;
};

struct loras {
    struct loras_slot slots[VT_MAX_LORAS];
    int n;
};

/* What can be refused without a model. */
ERR_MUST_CHECK enum err_code loras_check(const struct vt_loras *wanted, struct err *e);
ERR_MUST_CHECK enum err_code loras_use(struct loras *s, const struct vt_loras *wanted,
                                       const struct model_network *network, struct err *e);
ERR_MUST_CHECK enum err_code loras_engage(const struct loras *s, struct nn_device *d,
                                          struct err *e);
void loras_leave(struct nn_device *d);
/* Looks for NaN and infinities. */
ERR_MUST_CHECK enum err_code loras_check_finite(const struct loras *s, struct err *e);
void loras_deinit(struct loras *s);

#endif
