/* tokenizer_files.c - a tokenizer's folder: which files are there, and what each adds.
 *
 *     tokenizer.json            everything; else
 *     vocab.json + merges.txt   words and merges; splitting and NFC are those of the Qwen tokenizers
 *     tokenizer_config.json     pad_token, eos_token, added_tokens_decoder
 *     added_tokens.json         added tokens, when neither of the above names any
 *     special_tokens_map.json   which of those are special; pad_token and eos_token if still unknown
 */
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "text/tokenizer_impl.h"

enum { PATH_BYTES = 4096, MAX_SMALL_FILE = 8 << 20 };

struct folder {
    struct json_owned main; /* tokenizer.json or vocab.json */
    struct json_owned config, added, special;
    struct buf merges;
};

static void folder_deinit(struct folder *f)
{
    json_owned_deinit(&f->main);
    json_owned_deinit(&f->config);
    json_owned_deinit(&f->added);
    json_owned_deinit(&f->special);
    buf_deinit(&f->merges);
}

static enum err_code read_owned(const char *path, size_t max_bytes, struct json_owned *j,
                                struct err *e)
{
    struct buf text;
    TRY(file_read(path, max_bytes, &text, e));
    return json_owned_parse(j, &text, path, e);
}

/* A file that need not be there; *root stays NULL then. */
static enum err_code read_beside(const char *dir, const char *name, struct json_owned *j,
                                 yyjson_val **root, struct err *e)
{
    char path[PATH_BYTES];
    TRY(file_join(path, sizeof path, dir, name, e));
    if (!file_exists(path))
        return ERR_OK;
    TRY(read_owned(path, MAX_SMALL_FILE, j, e));
    *root = yyjson_doc_get_root(j->doc);
    return ERR_OK;
}

static enum err_code read_words_and_merges(const char *dir, struct folder *f,
                                           struct tokenizer_source *src, struct tokenizer **out,
                                           struct err *e)
{
    char vocab[PATH_BYTES], merges[PATH_BYTES];
    struct tokenizer *t = NULL;
    TRY(file_join(vocab, sizeof vocab, dir, "vocab.json", e));
    TRY(file_join(merges, sizeof merges, dir, "merges.txt", e));
    if (!file_exists(vocab))
        return err_set(e, ERR_NOTFOUND, "'%s' has neither tokenizer.json nor vocab.json", dir);
    TRY(read_owned(vocab, TOKENIZER_MAX_FILE_BYTES, &f->main, e));
    TRY(file_read(merges, TOKENIZER_MAX_FILE_BYTES, &f->merges, e));
    if (!(src->config && yyjson_obj_get(src->config, "added_tokens_decoder")))
        TRY(read_beside(dir, "added_tokens.json", &f->added, &src->added_map, e));
    src->vocab = yyjson_doc_get_root(f->main.doc);
    src->merge_lines = buf_str(&f->merges);
    src->nfc = true;
    enum err_code rc;
    TRY_GOTO(tokenizer_from_source(src, &t, e), done);
    TRY_GOTO(tokenizer_add_split(t, presplit_qwen(), e), done);
    rc = tokenizer_finish(t, e);
done:
    if (rc != ERR_OK) {
        tokenizer_free(t);
        return err_note(e, "%s", dir);
    }
    *out = t;
    return ERR_OK;
}

static enum err_code read_folder(const char *dir, struct folder *f, struct tokenizer **out,
                                 struct err *e)
{
    char path[PATH_BYTES];
    struct tokenizer_source src = {.what = path};
    TRY(file_join(path, sizeof path, dir, "tokenizer.json", e));
    TRY(read_beside(dir, "tokenizer_config.json", &f->config, &src.config, e));
    TRY(read_beside(dir, "special_tokens_map.json", &f->special, &src.special_map, e));
    if (!file_exists(path))
        return read_words_and_merges(dir, f, &src, out, e);
    TRY(read_owned(path, TOKENIZER_MAX_FILE_BYTES, &f->main, e));
    return tokenizer_read_json(yyjson_doc_get_root(f->main.doc), &src, out, e);
}

enum err_code tokenizer_open(const char *path, struct tokenizer **out, struct err *e)
{
    struct folder f = {0};
    enum err_code rc;
    *out = NULL;
    if (file_is_dir(path)) {
        rc = read_folder(path, &f, out, e);
    } else {
        struct tokenizer_source src = {.what = path};
        rc = read_owned(path, TOKENIZER_MAX_FILE_BYTES, &f.main, e);
        if (rc == ERR_OK)
            rc = tokenizer_read_json(yyjson_doc_get_root(f.main.doc), &src, out, e);
    }
    folder_deinit(&f);
    return rc;
}
