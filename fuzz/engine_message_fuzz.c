/* Fuzzes what an engine's process and its parent read of each other: the first byte says which message, its lowest bit
 * whether the reader trusts the sender. Two sealed areas lie beside it as pixels. */
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "pipeline/isolated/messages.h"

static void read_as(unsigned which, struct code *c)
{
    union {
        struct iso_open open;
        struct iso_state state;
        struct iso_progress progress;
        struct iso_image image;
        struct iso_caption caption;
        struct vt_error error;
        struct vt_request request;
        struct vt_layers_request layers_request;
        struct vt_caption_request caption_request;
        struct vt_preview preview;
        struct vt_plan plan;
        struct vt_stats stats;
    } *u = mem_alloc(sizeof *u);
    struct iso_layers *layers = mem_alloc(sizeof *layers);
    switch (which % 12) {
    case 0:
        iso_code_open(c, &u->open);
        break;
    case 1:
        iso_code_error(c, &u->error);
        iso_code_state(c, &u->state);
        break;
    case 2:
        iso_code_progress(c, &u->progress);
        break;
    case 3:
        iso_code_image(c, &u->image);
        break;
    case 4:
        iso_code_caption(c, &u->caption);
        break;
    case 5:
        iso_code_request(c, &u->request);
        break;
    case 6:
        iso_code_layers_request(c, &u->layers_request);
        break;
    case 7:
        iso_code_caption_request(c, &u->caption_request);
        break;
    case 8:
        iso_code_preview(c, &u->preview);
        break;
    case 9:
        iso_code_plan(c, &u->plan);
        break;
    case 10:
        iso_code_stats(c, &u->stats);
        break;
    default:
        iso_code_layers(c, layers);
    }
    mem_free(layers);
    mem_free(u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char pixels[12];
    struct wire_message m = {0};
    struct code c;
    if (size == 0)
        return 0;
    m.copy = mem_try_strndup((const char *)data + 1, size - 1);
    m.body = (struct str){m.copy, size - 1};
    for (int i = 0; i < 2; i++)
        if (shared_put((struct str){pixels, i ? 12 : 3}, &m.fds[m.n_fds], NULL) == ERR_OK)
            m.n_fds++;
    code_from(&c, &m);
    c.strict = data[0] & 1;
    read_as(data[0] >> 1, &c);
    (void)!code_end(&c, NULL);
    code_deinit(&c);
    wire_message_deinit(&m);
    return 0;
}
