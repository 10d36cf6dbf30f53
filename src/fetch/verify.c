#include "fetch/verify.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/sha256.h"

const char *verify_state_name(enum verify_state s)
{
    static const char *const names[] = {[VERIFY_OK] = "ok",
                                        [VERIFY_MISSING] = "missing",
                                        [VERIFY_SIZE] = "size",
                                        [VERIFY_DIFFERS] = "differs",
                                        [VERIFY_UNREADABLE] = "unreadable"};
    return names[s];
}

static enum verify_state look_at(const char *path, const struct record_file *f)
{
    struct stat st;
    char hex[SHA256_HEX_SIZE];
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return VERIFY_MISSING;
    if ((uint64_t)st.st_size != f->size)
        return VERIFY_SIZE;
    if (sha256_file(path, hex, NULL) != ERR_OK)
        return VERIFY_UNREADABLE;
    return strcmp(hex, f->sha256) == 0 ? VERIFY_OK : VERIFY_DIFFERS;
}

enum err_code verify_dir(const char *dir, const struct record *record, const atomic_bool *stop,
                         void (*each)(const struct record_file *f, enum verify_state s, void *user),
                         void *user, size_t *bad, struct err *e)
{
    *bad = 0;
    for (size_t i = 0; i < record->count; i++) {
        char path[FETCH_PATH_BYTES];
        enum err_code rc = file_join(path, sizeof path, dir, record->files[i].path, e);
        if (rc != ERR_OK)
            return rc;
        if (stop && atomic_load(stop))
            return err_set(e, ERR_CANCELLED, "stopped");
        enum verify_state s = look_at(path, &record->files[i]);
        *bad += s != VERIFY_OK;
        each(&record->files[i], s, user);
    }
    return ERR_OK;
}

enum err_code verify_find(const char *name, char out[FETCH_PATH_BYTES], struct err *e)
{
    char root[FETCH_PATH_BYTES];
    if (file_is_dir(name)) {
        int n = snprintf(out, FETCH_PATH_BYTES, "%s", name);
        if (n >= FETCH_PATH_BYTES - 1000)
            return err_set(e, ERR_LIMIT, "the path '%.80s...' is too long", name);
        while (n > 1 && out[n - 1] == '/')
            out[--n] = 0;
        return ERR_OK;
    }
    if (!path_is_plain_name(name))
        return err_set(e, ERR_NOTFOUND, "there is no folder '%s'", name);
    TRY(path_models_root(root, e));
    TRY(file_join(out, FETCH_PATH_BYTES, root, name, e));
    if (!file_is_dir(out))
        return err_set(e, ERR_NOTFOUND, "'%s' is neither a folder nor a model in '%s'", name, root);
    return ERR_OK;
}
