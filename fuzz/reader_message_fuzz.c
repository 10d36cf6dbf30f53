/* Fuzzes what is read of a reader's process, which a stranger's file may have taken over: the first byte says what was
 * wished for, the rest is its message. Two sealed areas lie beside it as pixels. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "reader/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char pixels[16];
    struct wire_message m = {.type = READER_ANSWER};
    struct image_info info;
    struct image im = {0};
    bool is_nonsense = false;
    if (size == 0)
        return 0;
    m.copy = mem_try_strndup((const char *)data + 1, size - 1);
    m.body = (struct str){m.copy, size - 1};
    for (int i = 0; i < (data[0] >> 2 & 3) && i < 2; i++)
        if (shared_put((struct str){pixels, i ? 16 : 4}, &m.fds[m.n_fds], NULL) == ERR_OK)
            m.n_fds++;
    enum reader_wish wish = (enum reader_wish)(data[0] & 3);
    enum err_code rc = reader_take_answer(&m, wish, &info, &im, &is_nonsense, NULL);
    if (rc == ERR_OK && (is_nonsense || info.w < 1 || info.h < 1))
        __builtin_trap();
    if (im.p && (rc != ERR_OK || im.w != info.w || im.h != info.h))
        __builtin_trap();
    image_free(&im);
    wire_message_deinit(&m);
    return 0;
}
