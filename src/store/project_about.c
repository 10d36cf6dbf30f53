/* project_about.c - what a project's files say of where their pixels came from: what the files of its images say, put
 * together (image/about.h). */
#include "reader/reader.h"
#include "store/assets.h"
#include "store/projects.h"

enum err_code project_about(struct store *s, const struct project *p, struct image_about *out,
                            struct err *e)
{
    struct reader_series series = {0};
    struct image_about one;
    enum err_code rc = project_check(p, e);
    size_t joined = 0;
    image_about_clear(out);
    image_about_init(&one);
    for (size_t i = 0; rc == ERR_OK && i < p->n; i++) {
        const struct project_layer *l = &p->layers[i];
        if (l->kind != PROJECT_IMAGE || !project_is_seen(p, l))
            continue;
        rc = asset_about(s, l->asset, &series, &one, e);
        image_about_join(out, joined++, &one);
    }
    reader_series_end(&series);
    image_about_deinit(&one);
    return rc;
}
