/* adapter.h - a LoRA on a network: its terms beside the matrices that it changes.
 *
 *     model_adapter_new(lora, &network, &a, e);           finds every matrix, or says what does not fit
 *     model_adapter_attach(a, 0.8);                       graphs that are made from now on have the terms
 *     nn_params_engage(model_adapter_params(a), e);       beside the network's own
 *     ... build, run ...
 *     model_adapter_detach(a);
 *
 * The network's weights are not touched, so it does not matter how they are stored or whether they are streamed. Several
 * adapters may be attached at once, in the order in which they add. Strength 0 attaches nothing: the graph is the one
 * without. */
#ifndef VT_MODEL_ADAPTER_H
#define VT_MODEL_ADAPTER_H

#include "nn/params.h"
#include "weights/lora.h"

struct model_adapter;

/* A network's parameters, in as many sets as it has. A matrix may be in several. */
struct model_network {
    enum component_kind kind;
    struct nn_params *const *sets;
    size_t n_sets;
    struct nn_device *device;
    const char *const
        *unread; /* matrices that the network has and does not read: a change of them is none */
    size_t n_unread;
};

/* The file belongs to the adapter, also on failure. The sets must outlive it. */
ERR_MUST_CHECK enum err_code model_adapter_new(struct lora *l, const struct model_network *network,
                                               struct model_adapter **out, struct err *e);
/* Detaches first. Accepts NULL. */
void model_adapter_free(struct model_adapter *a);
void model_adapter_attach(struct model_adapter *a, double strength);
void model_adapter_detach(struct model_adapter *a);
bool model_adapter_attached(const struct model_adapter *a);
struct nn_params *model_adapter_params(struct model_adapter *a);

#endif
