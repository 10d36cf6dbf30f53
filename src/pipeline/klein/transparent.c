/* transparent.c - an image with alpha out of a model that knows none: the subject is made, then edited onto a white
 * and onto a black ground with the same seed, and what differs between the two is where one sees through it.
 *
 * Three images are made for one, and their progress says so. Both grounds come from the same subject, so that it lies
 * in the same place on both. */
#include "image/grounds.h"
#include "pipeline/klein/internal.h"

enum { PARTS = 3 };

static enum err_code on_ground(struct klein *k, const struct klein_request *rq,
                               const struct image *subject, struct str prompt,
                               const struct klein_run *run, struct image *out, struct err *e)
{
    struct klein_request ground = {
        .prompt = prompt,
        .steps = rq->steps,
        .max_tokens = rq->max_tokens,
        .seed = rq->seed,
        .guidance = rq->guidance,
        .fast = rq->fast,
        .images = subject,
        .n_images = 1,
        .as_reference = rq->as_reference,
        .cache_dir = rq->cache_dir,
    };
    if (rq->width && rq->height) { /* may be larger than references are */
        ground.width = subject->w;
        ground.height = subject->h;
    }
    return klein_generate(k, &ground, run, out, e);
}

enum err_code klein_transparent(struct klein *k, const struct klein_request *rq,
                                const struct klein_run *run, struct image *out, struct err *e)
{
    struct image subject = {0}, light = {0}, dark = {0};
    struct image_grounds grounds;
    struct klein_run part = *run;
    part.image = PARTS * run->image;
    part.image_count = PARTS * run->image_count;
    *out = (struct image){0};
    enum err_code rc;
    TRY_GOTO(klein_generate(k, rq, &part, &subject, e), done);
    part.trace = NULL; /* it is that of the subject */
    part.image++;
    TRY_GOTO(
        on_ground(k, rq, &subject, STR_LIT("change the background to white"), &part, &light, e),
        done);
    part.image++;
    TRY_GOTO(on_ground(k, rq, &subject, STR_LIT("change the background to black"), &part, &dark, e),
             done);
    if (nn_device_is_dry(k->on.vae)) {
        rc = image_new(out, light.w, light.h, 4, e);
        goto done;
    }
    TRY_GOTO(image_grounds_find(&light, &dark, &grounds, e), done);
    rc = image_grounds_solve(&light, &dark, &grounds, out, e);
done:
    image_free(&subject);
    image_free(&light);
    image_free(&dark);
    return rc;
}
