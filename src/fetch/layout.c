/* layout.c - veetance.json of a downloaded set, and the list of shards in an index; see layout.h.
 *
 * A veetance.json that somebody changed is not overwritten. It is recognised by its digest: the record keeps that
 * of the one that was written last.
 */
#include "fetch/layout.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "fetch/paths.h"

enum { MAX_INDEX_BYTES = 64 << 20, MAX_SHARDS = 512, MAX_OWN_BYTES = 1 << 20 };

static char *own_text(const struct catalogue_set *set,
                      const struct catalogue_choice *const *choices, size_t *n)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc), *components = NULL;
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "name", set->name);
    size_t i, count;
    yyjson_val *key, *v;
    yyjson_obj_foreach(set->settings, i, count, key, v)
        yyjson_mut_obj_add(root, yyjson_val_mut_copy(doc, key), yyjson_val_mut_copy(doc, v));
    for (size_t c = 0; c < set->component_count; c++) {
        if (!choices[c]->weights)
            continue;
        if (!components)
            components = yyjson_mut_obj_add_obj(doc, root, "components");
        yyjson_mut_obj_add_str(doc, components, set->components[c].name, choices[c]->weights);
        if (choices[c]->vision)
            yyjson_mut_obj_add_str(doc, components, "vision", choices[c]->vision);
    }
    char *text =
        yyjson_mut_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_NEWLINE_AT_END, n);
    yyjson_mut_doc_free(doc);
    return text;
}

/* Somebody's own: there is one, and it is not the one that we wrote last. */
static bool is_foreign(const char *path, const struct record *record)
{
    char hex[SHA256_HEX_SIZE];
    if (!file_exists(path))
        return false;
    return sha256_file(path, hex, NULL) != ERR_OK || strcmp(hex, record->own) != 0;
}

enum err_code layout_write(const char *dir, const struct catalogue_set *set,
                           const struct catalogue_choice *const *choices, struct record *record,
                           bool *kept, struct err *e)
{
    char path[FETCH_PATH_BYTES], hex[SHA256_HEX_SIZE];
    struct sha256 h;
    size_t n = 0;
    enum err_code rc = file_join(path, sizeof path, dir, "veetance.json", e);
    if (rc != ERR_OK)
        return rc;
    *kept = is_foreign(path, record);
    if (*kept)
        return ERR_OK;
    char *text = own_text(set, choices, &n);
    if (!text)
        return err_set(e, ERR_NOMEM, "no memory for '%s'", path);
    sha256_init(&h);
    sha256_add(&h, text, n);
    sha256_hex(&h, hex);
    TRY_GOTO(record_set(record, &record->own, hex, e), done);
    TRY_GOTO(file_write_atomic(path, text, n, e), done);
    rc = record_save(record, dir, e);
done:
    mem_free(text);
    return rc;
}

/* ---- shards --------------------------------------------------------------------------------------------- */

enum err_code layout_shards(const char *path,
                            enum err_code (*add)(const char *name, void *user, struct err *e),
                            void *user, struct err *e)
{
    const char *seen[MAX_SHARDS];
    size_t seen_count = 0, i, n;
    yyjson_doc *doc;
    yyjson_val *key, *v;
    enum err_code rc = json_read_file(path, MAX_INDEX_BYTES, &doc, e);
    if (rc != ERR_OK)
        return rc;
    yyjson_val *map = yyjson_obj_get(yyjson_doc_get_root(doc), "weight_map");
    if (!yyjson_is_obj(map) || yyjson_obj_size(map) == 0)
        rc = err_set(e, ERR_FORMAT, "'%s' names no files (\"weight_map\")", path);
    yyjson_obj_foreach(map, i, n, key, v)
    {
        struct str name = {yyjson_get_str(v), yyjson_get_len(v)};
        bool known = false;
        if (rc != ERR_OK)
            break;
        for (size_t s = 0; s < seen_count && !known; s++)
            known = str_eq_z(name, seen[s]);
        if (known)
            continue;
        if (!name.p || memchr(name.p, '/', name.n) || memchr(name.p, 0, name.n))
            rc = err_set(e, ERR_FORMAT, "'%s' names a file that is not beside it", path);
        else if (seen_count == MAX_SHARDS)
            rc = err_set(e, ERR_LIMIT, "'%s' names more than %d files", path, MAX_SHARDS);
        else if ((rc = path_check(name, path, e)) == ERR_OK)
            rc = add(seen[seen_count++] = name.p, user, e);
    }
    yyjson_doc_free(doc);
    return rc;
}
