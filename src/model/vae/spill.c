/* spill.c - where maps lie between stages, and moving bands of them in and out.
 *
 * The file has no name, so nothing is left behind by a crash, and its blocks are taken when it is made: a full disk
 * is an error then, and not a signal in the middle of a run. To load and save, all three places are one buffer.
 */
#include "model/vae/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

/* A file that nobody else can open, gone when it is closed. Its blocks are taken now: a full disk is an error
 * here, not a signal at some later write. */
static enum err_code open_file(size_t bytes, int *fd, struct err *e)
{
    const char *dir = getenv("TMPDIR");
    char path[512];
    if (!dir || !*dir)
        dir = "/var/tmp";
    int n = snprintf(path, sizeof path, "%s/veetance-vae-XXXXXX", dir);
    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(e, ERR_IO, "the name of the folder for temporary files is too long");
    *fd = mkostemp(path, O_CLOEXEC);
    if (*fd < 0)
        return err_set_sys(e, ERR_IO, errno, "no temporary file in '%s'", dir);
    (void)unlink(path);
    int bad = posix_fallocate(*fd, 0, (off_t)bytes);
    if (bad == 0)
        return ERR_OK;
    (void)close(*fd);
    return err_set_sys(e, ERR_IO, bad, "no %zu MiB for the VAE in '%s'", bytes >> 20, dir);
}

static enum err_code map_file(struct vae_spill *s, struct err *e)
{
    int fd;
    TRY(open_file(s->bytes, &fd, e));
    void *p = mmap(NULL, s->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (p == MAP_FAILED)
        return err_set_sys(e, ERR_NOMEM, errno, "cannot map %zu MiB for the VAE", s->bytes >> 20);
    s->p = p;
    return ERR_OK;
}

enum err_code vae_spill_open(struct vae_spill *s, struct nn_device *d, enum vae_place place,
                             size_t bytes, struct err *e)
{
    *s = (struct vae_spill){.place = place, .bytes = bytes};
    if (place == VAE_ON_DEVICE)
        return nn_buffer_new(d, NN_MEMORY_COMPUTE, bytes, "the VAE's maps", &s->buffer, e);
    if (nn_device_is_dry(d))
        return ERR_OK;
    if (place == VAE_IN_FILE)
        return map_file(s, e);
    s->p = mem_try_aligned(64, bytes);
    return s->p ? ERR_OK : err_set(e, ERR_NOMEM, "no %zu MiB for the VAE's maps", bytes >> 20);
}

void vae_spill_close(struct vae_spill *s)
{
    nn_buffer_free(s->buffer);
    if (s->p && s->place == VAE_IN_FILE)
        (void)munmap(s->p, s->bytes);
    else
        mem_free(s->p);
    *s = (struct vae_spill){0};
}

unsigned char *vae_spill_memory(const struct vae_spill *s)
{
    unsigned char *host = s->buffer ? nn_buffer_host(s->buffer) : NULL;
    return host ? host : s->p;
}

/* Copies between a graph's tensor and the same bytes of the buffer. */
static enum err_code copy(const struct vae_spill *s, size_t at, const struct nn_graph *g,
                          struct ggml_tensor *t, bool load, struct err *e)
{
    struct ggml_init_params init = {.mem_size = ggml_tensor_overhead(), .no_alloc = true};
    if (!nn_tensor_is_real(g->device, t) || !nn_buffer_is_real(s->buffer))
        return ERR_OK;
    struct ggml_context *ctx = ggml_init(init);
    if (!ctx)
        return err_set(e, ERR_NOMEM, "no memory to copy a map");
    struct ggml_tensor *stored = ggml_new_tensor(ctx, t->type, GGML_MAX_DIMS, t->ne);
    enum err_code rc;
    TRY_GOTO(nn_buffer_place(s->buffer, stored, at, e), done);
    nn_tensor_copy(g->device, load ? stored : t, load ? t : stored);
done:
    ggml_free(ctx);
    return rc;
}

enum err_code vae_spill_load(const struct vae_spill *s, size_t at, struct nn_graph *g,
                             struct ggml_tensor *input, struct err *e)
{
    if (s->place == VAE_ON_DEVICE)
        return copy(s, at, g, input, true, e);
    if (s->p)
        nn_graph_set(g, input, (const float *)(const void *)(s->p + at));
    return ERR_OK;
}

enum err_code vae_spill_save(const struct vae_spill *s, size_t at, const struct nn_graph *g,
                             struct ggml_tensor *output, struct err *e)
{
    if (s->place == VAE_ON_DEVICE)
        return copy(s, at, g, output, false, e);
    if (s->p)
        nn_graph_get(g, output, (float *)(void *)(s->p + at));
    return ERR_OK;
}
