/* Any bytes as a bundle: the archive reader ends with a sentence or at the end, and a first entry is read as a
 * manifest whose names all stay inside the model's folder. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fetch/paths.h"
#include "fetch/record.h"
#include "fetch/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err_code read_memory(void *user, void *p, size_t n, size_t *got, struct err *e)
{
    struct str *left = user;
    (void)e;
    *got = n < left->n ? n : left->n;
    if (*got > 0)
        memcpy(p, left->p, *got);
    *left = str_skip(*left, *got);
    return ERR_OK;
}

static void read_manifest(struct str text)
{
    struct record r;
    struct err e = {0};
    if (record_parse(text, "fuzz", &r, &e) == ERR_OK) {
        for (size_t i = 0; i < r.count; i++)
            if (path_check(str_from(r.files[i].path), "fuzz", NULL) != ERR_OK)
                abort();
    } else if (e.text[0] == '\0') {
        abort();
    }
    record_deinit(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str left = {(const char *)data, size};
    struct tar_reader r;
    struct tar_entry entry;
    struct err e = {0};
    char piece[4096];
    bool end = false, first = true;
    tar_reader_init(&r, read_memory, &left);
    for (;;) {
        size_t got = 0;
        if (tar_next(&r, &entry, &end, &e) != ERR_OK) {
            if (e.text[0] == '\0')
                abort();
            return 0;
        }
        if (end)
            return 0;
        if (strlen(entry.name) >= sizeof entry.name)
            abort();
        if (tar_read(&r, piece, sizeof piece, &got, &e) != ERR_OK)
            return 0;
        if (first)
            read_manifest((struct str){piece, got});
        first = false;
    }
}
