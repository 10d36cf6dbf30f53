/* Projects as JSON. Whatever is read is written and read again: the same project must come back, and what a
 * patch refuses must leave it as it was. */
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "store/project_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_same(const struct project *p, const struct project *q)
{
    if (p->n != q->n || p->w != q->w || p->h != q->h || strcmp(p->name, q->name) != 0 ||
        strcmp(p->selection, q->selection) != 0)
        __builtin_trap();
    for (size_t i = 0; i < p->n; i++) {
        const struct project_layer *a = &p->layers[i], *b = &q->layers[i];
        if (strcmp(a->id, b->id) != 0 || strcmp(a->asset, b->asset) != 0 || a->x != b->x ||
            a->rotation != b->rotation || a->scale_x != b->scale_x || a->opacity != b->opacity ||
            a->blend != b->blend || a->visible != b->visible || strcmp(a->mask, b->mask) != 0 ||
            strcmp(a->name, b->name) != 0 || a->kind != b->kind ||
            strcmp(a->parent, b->parent) != 0 || strcmp(a->warning, b->warning) != 0)
            __builtin_trap();
    }
}

/* A client's document as a patch of a small project. */
static void patch(struct str text)
{
    yyjson_doc *doc = NULL;
    struct project p;
    project_init(&p, 5, 7);
    if (json_parse(text, "patch", &doc, NULL) == ERR_OK &&
        project_json_patch(&p, yyjson_doc_get_root(doc), NULL) != ERR_OK &&
        (p.w != 5 || p.h != 7 || p.n != 0))
        __builtin_trap();
    yyjson_doc_free(doc);
    project_deinit(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size};
    struct project p, again;
    struct buf b;
    if (size > 1 << 20)
        return 0;
    patch(text);
    if (project_json_parse(text, &p, NULL) != ERR_OK)
        return 0;
    buf_init(&b, 64u << 20);
    if (project_json_write(&p, &b, NULL) != ERR_OK ||
        project_json_parse(buf_str(&b), &again, NULL) != ERR_OK)
        __builtin_trap();
    expect_same(&p, &again);
    buf_deinit(&b);
    project_deinit(&again);
    project_deinit(&p);
    return 0;
}
