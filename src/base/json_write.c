#include "base/json_write.h"

#include <stdlib.h>

#include "base/file.h"

enum { JSON_WRITE_MAX_BYTES = 256 << 20 };

enum err_code json_write(const yyjson_mut_doc *doc, struct buf *out, struct err *e)
{
    yyjson_write_err why = {0};
    size_t n = 0;
    char *text = yyjson_mut_write_opts(doc, YYJSON_WRITE_PRETTY_TWO_SPACES, NULL, &n, &why);
    if (!text)
        return err_set(e, ERR_FORMAT, "cannot write JSON: %s", why.msg ? why.msg : "no memory");
    buf_add(out, text, n);
    buf_add_byte(out, '\n');
    free(text);
    return buf_failed(out) ? err_set(e, ERR_NOMEM, "no memory for %zu bytes of JSON", n) : ERR_OK;
}

enum err_code json_write_file(const yyjson_mut_doc *doc, const char *path, struct err *e)
{
    struct buf text;
    buf_init(&text, JSON_WRITE_MAX_BYTES);
    enum err_code rc = json_write(doc, &text, e);
    if (rc == ERR_OK)
        rc = file_write_atomic(path, text.p, text.n, e);
    buf_deinit(&text);
    return rc;
}
