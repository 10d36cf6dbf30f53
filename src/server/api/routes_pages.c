/* routes_pages.c - the editor, the document of the API, and a page that shows it. The files are those of web/dist, taken in
 * as they are. The pages ask nobody but this server. */
#include <stdio.h>

#include "base/embed.h"
#include "server/api/openapi.h"
#include "server/routes.h"

#define PAGE_FILES(FILE)                                                                           \
    FILE(index_html, "index.html")                                                                 \
    FILE(app_js, "app.js")                                                                         \
    FILE(app_css, "app.css")                                                                       \
    FILE(icon_svg, "icon.svg")                                                                     \
    FILE(docs_html, "docs.html")                                                                   \
    FILE(docs_css, "docs.css")                                                                     \
    FILE(docs_js, "docs.js")

#define FILE(id, name) EMBED_FILE(page_##id, VT_WEB_DIR "/" name)
PAGE_FILES(FILE)
#undef FILE

static void set_etag(struct http_reply *re)
{
    (void)snprintf(re->etag, sizeof re->etag, "%016llx",
                   (unsigned long long)str_hash(buf_str(&re->body)));
    re->cache = "no-cache";
}

static enum err_code run_document(struct http_request *rq, struct http_reply *re, struct err *e)
{
    (void)rq;
    (void)e;
    openapi_write(&re->body);
    set_etag(re);
    return ERR_OK;
}

#define FILE(id, name)                                                                             \
    static enum err_code run_##id(struct http_request *rq, struct http_reply *re, struct err *e)   \
    {                                                                                              \
        (void)rq;                                                                                  \
        (void)e;                                                                                   \
        buf_add(&re->body, page_##id, (size_t)(page_##id##_end - page_##id));                      \
        set_etag(re);                                                                              \
        return ERR_OK;                                                                             \
    }
PAGE_FILES(FILE)
#undef FILE

#define HTML .type = "text/html; charset=utf-8"
#define CSS .type = "text/css; charset=utf-8"
#define SCRIPT .type = "text/javascript; charset=utf-8"
#define KNOWN .flags = HTTP_ETAG
/* The editor holds nothing of anyone's, and asks for the token itself. */
#define OPEN .flags = HTTP_ETAG | HTTP_OPEN

const struct http_route routes_pages[] = {
    {HTTP_GET, "/", "editor", "The editor", "pages", run_index_html, HTML, OPEN},
    {HTTP_GET, "/app.js", "editorScript", "Its script", "pages", run_app_js, SCRIPT, OPEN},
    {HTTP_GET, "/app.css", "editorStyle", "Its style", "pages", run_app_css, CSS, OPEN},
    {HTTP_GET, "/icon.svg", "icon", "Its icon", "pages", run_icon_svg, .type = "image/svg+xml",
     OPEN},
    {HTTP_GET, "/openapi.json", "document", "This document", "pages", run_document,
     .type = "application/json"},
    {HTTP_GET, "/docs", "docs", "This document for people", "pages", run_docs_html, HTML, KNOWN},
    {HTTP_GET, "/docs.css", "docsStyle", "Its style", "pages", run_docs_css, CSS, KNOWN},
    {HTTP_GET, "/docs.js", "docsScript", "Its script", "pages", run_docs_js, SCRIPT, KNOWN},
    {0}};
