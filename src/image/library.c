#include "image/library.h"

#include <dlfcn.h>
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static enum err_code fill(struct library *l, void *handle, struct err *e)
{
    for (size_t i = 0; i < l->n_entries; i++) {
        *l->entries[i].to = dlsym(handle, l->entries[i].name);
        if (!*l->entries[i].to)
            return err_set(e, ERR_NOTFOUND, "%s has no %s, which %s needs", l->file,
                           l->entries[i].name, l->task);
    }
    return ERR_OK;
}

enum err_code library_open(struct library *l, struct err *e)
{
    enum err_code rc = ERR_OK;
    (void)pthread_mutex_lock(&lock);
    if (!l->handle) {
        void *handle = dlopen(l->file, RTLD_NOW | RTLD_LOCAL);
        rc = handle ? fill(l, handle, e)
                    : err_set(e, ERR_NOTFOUND, "%s needs %s, which is not installed (package %s)",
                              l->task, l->file, l->package);
        if (rc == ERR_OK)
            l->handle = handle;
        else if (handle)
            (void)dlclose(handle);
    }
    (void)pthread_mutex_unlock(&lock);
    return rc;
}
