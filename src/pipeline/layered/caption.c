/* caption.c - no prompt: the vision model of the same folder says what is in the image. */
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pipeline/caption/caption.h"
#include "pipeline/layered/internal.h"

static void trace_ids(struct trace *t, const char *name, const struct tokens *ids)
{
    int64_t *wide = t ? mem_try_array(ids->n, sizeof *wide) : NULL;
    if (!wide)
        return;
    for (size_t i = 0; i < ids->n; i++)
        wide[i] = ids->ids[i];
    trace_add_i64(t, name, wide, (int64_t[]){1, (int64_t)ids->n}, 2);
    mem_free(wide);
}

static enum err_code describe(struct layered *l, const struct image *image,
                              enum chat_language language, const struct layered_run *run, int parts,
                              struct buf *out, struct err *e)
{
    struct caption_result r;
    struct report_caption report;
    struct caption_request rq = {
        .language = language,
        .max_new_tokens = CAPTION_MAX_NEW_TOKENS,
        .cancel = run->cancel,
        .user = &report,
        .token = report_caption_token,
    };
    report_caption_begin(&report, run->callbacks, parts, CAPTION_MAX_NEW_TOKENS, l->on.text);
    enum err_code rc = caption_run(l->captioner, image, &rq, &r, e);
    report_graphs_end(l->on.text);
    if (rc != ERR_OK)
        return rc;
    trace_ids(run->trace, "caption_input_ids", &r.prompt);
    trace_ids(run->trace, "caption_new_ids", &r.generated);
    if (!r.complete)
        report_note(run->callbacks, "the caption was cut after %d tokens", CAPTION_MAX_NEW_TOKENS);
    rc = caption_check(&r, e);
    if (rc == ERR_OK) {
        *out = r.text;
        r.text = (struct buf){0};
    } else {
        rc = err_note(e, "there is no prompt, and no caption to take its place");
    }
    caption_result_deinit(&r);
    return rc;
}

static enum err_code open_captioner(struct layered *l, struct err *e)
{
    if (l->captioner)
        return ERR_OK;
    struct caption_files *files = mem_try_alloc(sizeof *files);
    if (!files)
        return err_set(e, ERR_NOMEM, "no memory for a captioner");
    caption_files_of(l->dir, files);
    enum err_code rc = caption_open(files, l->on.text, &l->captioner, e);
    mem_free(files);
    if (rc == ERR_NOTFOUND)
        rc = err_note(e, "an image without a prompt needs a caption (give one with -p to do "
                         "without)");
    return rc;
}

enum err_code layered_caption(struct layered *l, const struct image *image,
                              enum chat_language language, const struct layered_run *run, int parts,
                              struct buf *out, struct err *e)
{
    int64_t start = clock_ns();
    enum err_code rc;
    TRY_GOTO(open_captioner(l, e), done);
    rc = describe(l, image, language, run, parts, out, e);
done:
    run->stats->text_seconds += (double)(clock_ns() - start) * 1e-9;
    return rc;
}
