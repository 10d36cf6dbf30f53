/* a1111_interrogate.c - what is in an image: a caption, as a job of the model that describes images. */
#include "base/json_text.h"
#include "server/compat/a1111.h"
#include "server/limits.h"
#include "server/server_internal.h"
#include "store/assets.h"

const struct http_field a1111_interrogate_body[] = {
    {.name = "image", .type = HTTP_STRING, .required = true, .help = "in base64"},
    {.name = "model",
     .type = HTTP_STRING,
     .values = "clip",
     .nullable = true,
     .help = "the name stands for our captioner; tags (deepdanbooru) are refused"},
    {0}};

static enum err_code submit(struct http_request *rq, struct job_record *rec, struct err *e)
{
    const char *id = NULL;
    struct buf text;
    yyjson_doc *doc = NULL;
    enum err_code rc = face_upload(rq, str_from(http_body_str(rq, "image", "")), "image", &id, e);
    if (rc != ERR_OK)
        return rc;
    buf_init(&text, LIMIT_REQUEST);
    json_object(&text, NULL);
    json_put_z(&text, "image", id);
    json_end_object(&text);
    rc = json_parse(buf_str(&text), "the request", &doc, e);
    if (rc == ERR_OK)
        rc = job_submit(rq, "caption", yyjson_doc_get_root(doc), NULL, rec, e);
    yyjson_doc_free(doc);
    buf_deinit(&text);
    return rc;
}

enum err_code a1111_interrogate(struct http_request *rq, struct http_reply *re, struct err *e)
{
    struct job_record rec = {0}, ended = {0};
    yyjson_doc *doc = NULL;
    struct str caption = {0};
    enum err_code rc = ERR_OK;
    if (!http_again(rq) && !face_heavy(rq, re))
        return ERR_OK;
    if (!http_again(rq))
        rc = submit(rq, &rec, e);
    if (rc == ERR_OK)
        rc = job_wait(rq, rec.id, &re->later, &ended, e);
    if (rc == ERR_OK && !re->later)
        rc = json_parse(str_from(ended.result), "the result", &doc, e);
    if (doc)
        rc = json_get_str(yyjson_doc_get_root(doc), "caption", &caption, "the result", e);
    if (rc == ERR_OK && !re->later) {
        json_object(&re->body, NULL);
        json_put_str(&re->body, "caption", caption);
        json_end_object(&re->body);
    }
    yyjson_doc_free(doc);
    job_record_deinit(&ended);
    job_record_deinit(&rec);
    return rc;
}
