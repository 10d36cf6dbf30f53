#include "base/json_write.h"

#include <stdlib.h>

#include "base/file.h"
#include "base/json_text.h"

enum { JSON_WRITE_MAX_BYTES = 256 << 20 };

/* Freed with free. */
static enum err_code to_text(const yyjson_mut_doc *doc, yyjson_write_flag how, char **out,
                             size_t *n, struct err *e)
{
    yyjson_write_err why = {0};
    *out = yyjson_mut_write_opts(doc, how, NULL, n, &why);
    if (*out)
        return ERR_OK;
    return err_set(e, why.code == YYJSON_WRITE_ERROR_MEMORY_ALLOCATION ? ERR_NOMEM : ERR_FORMAT,
                   "cannot write JSON: %s", why.msg ? why.msg : "no memory");
}

static enum err_code check_buf(const struct buf *b, size_t n, struct err *e)
{
    return buf_failed(b) ? err_set(e, ERR_NOMEM, "no memory for %zu bytes of JSON", n) : ERR_OK;
}

enum err_code json_write(const yyjson_mut_doc *doc, struct buf *out, struct err *e)
{
    char *text;
    size_t n;
    TRY(to_text(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, &text, &n, e));
    buf_add(out, text, n);
    buf_add_byte(out, '\n');
    free(text);
    return check_buf(out, n, e);
}

enum err_code json_put_doc(struct buf *b, const char *key, const yyjson_mut_doc *doc, struct err *e)
{
    char *text;
    size_t n;
    TRY(to_text(doc, YYJSON_WRITE_NOFLAG, &text, &n, e));
    json_put_raw(b, key, (struct str){text, n});
    free(text);
    return check_buf(b, n, e);
}

enum err_code json_write_file(const yyjson_mut_doc *doc, const char *path, struct err *e)
{
    struct buf text;
    buf_init(&text, JSON_WRITE_MAX_BYTES);
    enum err_code rc;
    TRY_GOTO(json_write(doc, &text, e), done);
    rc = file_write_atomic(path, text.p, text.n, e);
done:
    buf_deinit(&text);
    return rc;
}
