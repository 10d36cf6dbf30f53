/* pin.c - the file pin.json, and whether the libraries it names are still the same.
 *
 * Reading, writing and checking pin.json; which device to pin is decided in device_pin.c. Size and modification
 * time are compared first, as hashing a library of 60 MB costs more than all the rest of a start; the hash is only
 * computed when they differ, so that a reinstalled but identical library stays pinned.
 */
#include "nn/pin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/folder.h"
#include "base/file.h"
#include "base/home.h"
#include "base/json.h"
#include "base/json_write.h"

static const char what[] = "pin.json";

enum err_code nn_pin_path(char *out, size_t size, struct err *e)
{
    return home_path(HOME_CONFIG, "pin.json", out, size, e);
}

/* ---- reading --------------------------------------------------------------------------------------- */

static enum err_code copy_text(struct str s, char *out, size_t size, const char *key, struct err *e)
{
    if (s.n >= size || memchr(s.p, 0, s.n))
        return err_set(e, ERR_FORMAT, "%s: '%s' is no text of at most %zu bytes", what, key,
                       size - 1);
    memcpy(out, s.p, s.n);
    out[s.n] = 0;
    return ERR_OK;
}

static enum err_code read_text(yyjson_val *o, const char *key, char *out, size_t size,
                               struct err *e)
{
    struct str s = {"", 0};
    TRY(json_get_str(o, key, &s, what, e));
    return copy_text(s, out, size, key, e);
}

static enum err_code read_library(yyjson_val *root, const char *key, struct nn_pin_library *out,
                                  struct err *e)
{
    yyjson_val *o = yyjson_obj_get(root, key);
    int64_t bytes = 0;
    if (!o || yyjson_is_null(o))
        return ERR_OK;
    if (!yyjson_is_obj(o))
        return err_set(e, ERR_FORMAT, "%s: '%s' should be an object", what, key);
    enum err_code rc;
    TRY_GOTO(read_text(o, "path", out->path, sizeof out->path, e), done);
    TRY_GOTO(json_get_i64(o, "bytes", 0, INT64_MAX, &bytes, what, e), done);
    TRY_GOTO(json_get_i64(o, "mtime_ns", INT64_MIN, INT64_MAX, &out->mtime_ns, what, e), done);
    TRY_GOTO(read_text(o, "sha256", out->sha256, sizeof out->sha256, e), done);
    if (out->path[0] != '/')
        rc = err_set(e, ERR_FORMAT, "%s: '%s' names no absolute path", what, key);
done:
    out->bytes = (uint64_t)bytes;
    return rc;
}

enum err_code nn_pin_parse(struct str text, struct nn_pin *out, struct err *e)
{
    yyjson_doc *doc;
    int64_t version = 0;
    memset(out, 0, sizeof *out);
    TRY(json_parse(text, what, &doc, e));
    yyjson_val *root = yyjson_doc_get_root(doc);
    enum err_code rc = ERR_OK;
    if (!yyjson_is_obj(root)) {
        rc = err_set(e, ERR_FORMAT, "%s should be an object", what);
        goto done;
    }
    TRY_GOTO(json_get_i64(root, "veetance_pin", 0, INT64_MAX, &version, what, e), done);
    if (version != 1) {
        rc = err_set(e, ERR_FORMAT, "%s is of another version", what);
        goto done;
    }
    TRY_GOTO(read_text(root, "device", out->device, sizeof out->device, e), done);
    TRY_GOTO(json_get_double(root, "gflops", 0, 1e12, &out->gflops, what, e), done);
    TRY_GOTO(read_library(root, "library", &out->library, e), done);
    TRY_GOTO(read_library(root, "cpu_library", &out->cpu, e), done);
    if (!out->device[0] || (!out->library.path[0] && !out->cpu.path[0]))
        rc = err_set(e, ERR_FORMAT, "%s names no device or no library", what);
done:
    yyjson_doc_free(doc);
    return rc;
}

enum err_code nn_pin_read(const char *path, struct nn_pin *out, struct err *e)
{
    struct buf text;
    memset(out, 0, sizeof *out);
    if (!file_exists(path))
        return err_set(e, ERR_NOTFOUND, "nothing is pinned");
    buf_init(&text, NN_PIN_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(file_read(path, NN_PIN_MAX_BYTES, &text, e), done);
    rc = nn_pin_parse(buf_str(&text), out, e);
done:
    buf_deinit(&text);
    return rc;
}

/* ---- writing --------------------------------------------------------------------------------------- */

static void add_library(yyjson_mut_doc *doc, yyjson_mut_val *root, const char *key,
                        const struct nn_pin_library *lib)
{
    if (!lib->path[0])
        return;
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    (void)yyjson_mut_obj_add_str(doc, o, "path", lib->path);
    (void)yyjson_mut_obj_add_uint(doc, o, "bytes", lib->bytes);
    (void)yyjson_mut_obj_add_sint(doc, o, "mtime_ns", lib->mtime_ns);
    (void)yyjson_mut_obj_add_str(doc, o, "sha256", lib->sha256);
    (void)yyjson_mut_obj_add_val(doc, root, key, o);
}

enum err_code nn_pin_write(const char *path, const struct nn_pin *pin, struct err *e)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    (void)yyjson_mut_obj_add_int(doc, root, "veetance_pin", 1);
    (void)yyjson_mut_obj_add_str(doc, root, "device", pin->device);
    if (pin->gflops > 0)
        (void)yyjson_mut_obj_add_real(doc, root, "gflops", pin->gflops);
    add_library(doc, root, "library", &pin->library);
    add_library(doc, root, "cpu_library", &pin->cpu);
    enum err_code rc;
    TRY_GOTO(folder_make_parents(path, 0700, e), done);
    rc = json_write_file(doc, path, e);
done:
    yyjson_mut_doc_free(doc);
    return rc;
}

/* ---- libraries ------------------------------------------------------------------------------------- */

static enum err_code look(const char *path, uint64_t *bytes, int64_t *mtime_ns, struct err *e)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_set_sys(e, ERR_NOTFOUND, errno, "the pinned library '%s'", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_NOTFOUND, "the pinned library '%s' is no file", path);
    *bytes = (uint64_t)st.st_size;
    *mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return ERR_OK;
}

enum err_code nn_pin_library_note(const char *path, struct nn_pin_library *out, struct err *e)
{
    memset(out, 0, sizeof *out);
    if ((size_t)snprintf(out->path, sizeof out->path, "%s", path) >= sizeof out->path)
        return err_set(e, ERR_LIMIT, "the library's path is too long");
    TRY(look(path, &out->bytes, &out->mtime_ns, e));
    return sha256_file(path, out->sha256, e);
}

enum err_code nn_pin_library_check(const struct nn_pin_library *lib, struct err *e)
{
    char hex[SHA256_HEX_SIZE];
    uint64_t bytes;
    int64_t mtime;
    enum err_code rc = look(lib->path, &bytes, &mtime, e);
    if (rc != ERR_OK || (bytes == lib->bytes && mtime == lib->mtime_ns))
        return rc;
    if (bytes == lib->bytes) {
        rc = sha256_file(lib->path, hex, e);
        if (rc != ERR_OK || strcmp(hex, lib->sha256) == 0)
            return rc;
    }
    return err_set(e, ERR_FORMAT, "the pinned library '%s' has changed", lib->path);
}
