/* support.h - a store in a folder of its own, and small images to put in. */
#ifndef VT_TESTS_STORE_SUPPORT_H
#define VT_TESTS_STORE_SUPPORT_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "image/png_save.h"
#include "store/assets.h"
#include "store/files.h"
#include "store/store.h"

/* Every test program has one folder under TMPDIR, gone when the test ends. */
struct place {
    char dir[256];
};

static inline enum err_code place_remove(const char *dir);

static inline enum err_code place_drop_one(const char *name, void *user, struct err *e)
{
    char path[1024];
    struct stat st;
    (void)e;
    (void)snprintf(path, sizeof path, "%s/%s", (const char *)user, name);
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return place_remove(path);
    (void)unlink(path);
    return ERR_OK;
}

static inline enum err_code place_remove(const char *dir)
{
    char copy[1024];
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ERR_OK;
    (void)snprintf(copy, sizeof copy, "%s", dir);
    enum err_code rc = files_walk(fd, false, place_drop_one, copy, NULL);
    close(fd);
    (void)rmdir(dir);
    return rc;
}

static inline int place_setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    const char *tmp = getenv("TMPDIR");
    assert_non_null(p);
    (void)snprintf(p->dir, sizeof p->dir, "%s/veetance-store-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    assert_non_null(mkdtemp(p->dir));
    *state = p;
    return 0;
}

static inline int place_teardown(void **state)
{
    struct place *p = *state;
    (void)place_remove(p->dir);
    free(p);
    return 0;
}

static inline struct store *open_store(const char *dir)
{
    struct store *s;
    struct err e = {0};
    struct store_options o = {.dir = dir};
    if (store_open(&o, &s, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return s;
}

/* w x h pixels whose bytes depend on seed: other seeds, other ids. */
static inline void make_png(int w, int h, unsigned seed, struct buf *out)
{
    struct image im;
    assert_int_equal(image_new(&im, w, h, 4, NULL), ERR_OK);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            unsigned char *p = image_row(&im, y) + 4 * (size_t)x;
            p[0] = (unsigned char)(seed + (unsigned)x * 5u);
            p[1] = (unsigned char)(seed >> 8u);
            p[2] = (unsigned char)(y * 7);
            p[3] = (unsigned char)(x == 0 ? 0 : 255);
        }
    buf_init(out, 1 << 24);
    assert_int_equal(image_png_write(&im, NULL, 0, out, NULL), ERR_OK);
    image_free(&im);
}

static inline struct asset put_png(struct store *s, int w, int h, unsigned seed)
{
    struct buf b;
    struct asset a;
    struct err e = {0};
    make_png(w, h, seed, &b);
    if (asset_put(s, buf_str(&b), NULL, &a, &e) != ERR_OK)
        fail_msg("%s", e.text);
    buf_deinit(&b);
    return a;
}

/* A solid RGBA image as an asset. */
static inline struct asset put_solid(struct store *s, int w, int h, const unsigned char rgba[4])
{
    struct image im;
    struct asset a;
    assert_int_equal(image_new(&im, w, h, 4, NULL), ERR_OK);
    image_fill(&im, rgba);
    assert_int_equal(asset_put_image(s, &im, NULL, &a, NULL), ERR_OK);
    image_free(&im);
    return a;
}

static inline void quiet_log(enum log_level level, const char *line, void *user)
{
    (void)level;
    (void)line;
    (void)user;
}

#endif
