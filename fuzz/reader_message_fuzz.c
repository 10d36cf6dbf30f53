/* Fuzzes what is read of a reader's process, which a stranger's file may have taken over: the first byte says what was
 * wished for, then come messages: their type, how many sealed areas lie beside them as pixels, the size in two bytes,
 * and the body. */
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "reader/messages.h"

static void check(const struct reader_taking *t)
{
    if (!t->is_done || t->rc != ERR_OK)
        return;
    if (reader_wants_image(t->wish) && (t->info->w < 1 || t->info->h < 1))
        __builtin_trap();
    if (reader_wants_pixels(t->wish) && (t->out->w != t->info->w || t->out->h != t->info->h))
        __builtin_trap();
    if (reader_wants_words(t->wish) && (!t->has_said || t->text_bytes > READER_TEXTS_BYTES))
        __builtin_trap();
    if (t->wish == READER_LAYERS &&
        (t->stack->n != t->n || layer_stack_check_groups(t->stack, NULL) != ERR_OK))
        __builtin_trap();
}

/* False: it makes no sense. */
static bool take(const uint8_t *body, size_t n, unsigned type, unsigned areas,
                 struct reader_taking *t)
{
    static const char pixels[16];
    struct wire_message m = {.type = type};
    m.copy = mem_try_strndup((const char *)body, n);
    m.body = (struct str){m.copy, n};
    for (unsigned i = 0; i < areas % 3; i++)
        if (shared_put((struct str){pixels, i ? 4 : 16}, &m.fds[m.n_fds], NULL) == ERR_OK)
            m.n_fds++;
    bool good = reader_take(&m, t, NULL) == ERR_OK;
    wire_message_deinit(&m);
    return good;
}

static void see(struct str key, struct str text, void *user)
{
    (void)user;
    if (key.n >= READER_KEY_SIZE || text.n >= READER_TEXTS_BYTES)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_info info = {0};
    struct image im = {0};
    struct layer_stack stack;
    struct image_about about;
    const struct reader_texts texts = {.see = see};
    struct reader_taking t = {.info = &info,
                              .out = &im,
                              .stack = &stack,
                              .about = &about,
                              .texts = &texts,
                              .limits = layers_limits_defaults()};
    if (size == 0)
        return 0;
    layer_stack_init(&stack, 0, 0);
    image_about_init(&about);
    t.wish = data[0] % (READER_TEXTS + 1);
    data++;
    size--;
    while (size >= 4 && !t.is_done) {
        size_t n = data[2] | (size_t)data[3] << 8;
        n = n < size - 4 ? n : size - 4;
        if (!take(data + 4, n, data[0], data[1], &t))
            break;
        data += 4 + n;
        size -= 4 + n;
    }
    check(&t);
    image_free(&im);
    layer_stack_deinit(&stack);
    image_about_deinit(&about);
    return 0;
}
