#include "server/api/recipe_json.h"

#include "base/json_text.h"
#include "pipeline/recipe.h"
#include "pipeline/result_json.h"
#include "server/api/job_json.h"

const struct http_field recipe_fields[] = {
    {.name = "task",
     .type = HTTP_STRING,
     .required = true,
     .nullable = true,
     .help = "generate, edit or layers; null in what another program made"},
    {.name = "prompt", .type = HTTP_STRING, .required = true},
    {.name = "negative_prompt", .type = HTTP_STRING},
    {.name = "model", .type = HTTP_STRING},
    {.name = "seed", .type = HTTP_INT},
    {.name = "steps", .type = HTTP_INT},
    {.name = "guidance", .type = HTTP_NUMBER},
    {.name = "width", .type = HTTP_INT},
    {.name = "height", .type = HTTP_INT},
    {.name = "max_tokens", .type = HTTP_INT},
    {.name = "compute", .type = HTTP_STRING},
    {.name = "fast", .type = HTTP_INT},
    {.name = "strength", .type = HTTP_NUMBER},
    {.name = "matte", .type = HTTP_STRING},
    {.name = "extend", .type = HTTP_ARRAY, .items = HTTP_INT},
    {.name = "feather", .type = HTTP_INT},
    {.name = "mask_grow", .type = HTTP_INT},
    {.name = "mask_feather", .type = HTTP_INT},
    {.name = "mask_invert", .type = HTTP_BOOL},
    {.name = "crop_to_mask", .type = HTTP_BOOL},
    {.name = "crop_padding", .type = HTTP_INT},
    {.name = "match_colours", .type = HTTP_BOOL},
    {.name = "transparent", .type = HTTP_BOOL},
    {.name = "register", .type = HTTP_BOOL},
    {.name = "layers", .type = HTTP_INT},
    {.name = "resolution", .type = HTTP_INT},
    {.name = "images",
     .type = HTTP_ARRAY,
     .items = HTTP_STRING,
     .help = "names of the files that it was made from"},
    {.name = "loras",
     .type = HTTP_ARRAY,
     .items = HTTP_OBJECT,
     .fields = lora_fields,
     .help = "that it was made with"},
    {.name = "mask", .type = HTTP_STRING, .help = "the file's name, or alpha: the first image's"},
    {0}};

/* Automatic1111 writes its negative prompt behind the prompt, on a line of its own. */
static void put_prompts(const struct recipe *r, struct buf *b)
{
    static const char mark[] = "\nNegative prompt: ";
    struct str all = buf_str(&r->prompt);
    const char *at = r->task[0] ? NULL : memmem(all.p, all.n, mark, sizeof mark - 1);
    size_t n = at ? (size_t)(at - all.p) : all.n;
    json_put_str(b, "prompt", (struct str){all.p, n});
    if (at)
        json_put_str(b, "negative_prompt", str_skip(all, n + sizeof mark - 1));
}

static void put_texts(const struct recipe *r, struct buf *b)
{
    const struct {
        const char *key, *text;
    } texts[] = {
        {"model", r->model}, {"compute", r->compute}, {"matte", r->matte}, {"mask", r->mask}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].text[0])
            json_put_z(b, texts[i].key, texts[i].text);
}

static void put_numbers(const struct recipe *r, struct buf *b)
{
    const struct {
        const char *key;
        int64_t value;
    } numbers[] = {{"seed", r->seed},
                   {"steps", r->steps},
                   {"width", r->width},
                   {"height", r->height},
                   {"max_tokens", r->max_tokens},
                   {"layers", r->layers},
                   {"resolution", r->resolution}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (numbers[i].value >= 0)
            json_put_int(b, numbers[i].key, numbers[i].value);
    if (r->guidance >= 0)
        json_put_number(b, "guidance", r->guidance);
    if (r->strength >= 0)
        json_put_number(b, "strength", r->strength);
    if (r->fast > 0)
        json_put_int(b, "fast", r->fast);
    if (r->feather > 0)
        json_put_int(b, "feather", r->feather);
}

/* Where something was asked for. */
static void put_mask(const struct recipe *r, struct buf *b)
{
    if (r->mask_grow)
        json_put_int(b, "mask_grow", r->mask_grow);
    if (r->mask_feather)
        json_put_int(b, "mask_feather", r->mask_feather);
    const struct {
        const char *key;
        bool on;
    } switches[] = {{"mask_invert", r->mask_invert},
                    {"crop_to_mask", r->crop_to_mask},
                    {"match_colours", r->match_colours},
                    {"register", r->align},
                    {"transparent", r->transparent}};
    for (size_t i = 0; i < sizeof switches / sizeof switches[0]; i++)
        if (switches[i].on)
            json_put_bool(b, switches[i].key, true);
    if (r->crop_to_mask && r->crop_padding >= 0)
        json_put_int(b, "crop_padding", r->crop_padding);
}

static void put_lists(const struct recipe *r, struct buf *b)
{
    if (r->extend[0] || r->extend[1] || r->extend[2] || r->extend[3]) {
        json_array(b, "extend");
        for (int i = 0; i < 4; i++)
            json_put_int(b, NULL, r->extend[i]);
        json_end_array(b);
    }
    struct vt_loras loras;
    lora_tags_request(&r->loras, &loras);
    result_json_loras(b, &loras);
    if (r->image_count == 0)
        return;
    json_array(b, "images");
    for (int i = 0; i < r->image_count; i++)
        json_put_z(b, NULL, r->images[i]);
    json_end_array(b);
}

void recipe_json(struct buf *b, const char *key, struct str text)
{
    struct recipe r;
    if (recipe_read(text, &r, NULL) == ERR_OK) {
        json_object(b, key);
        json_put_z(b, "task", r.task[0] ? r.task : NULL);
        put_prompts(&r, b);
        put_texts(&r, b);
        put_numbers(&r, b);
        put_mask(&r, b);
        put_lists(&r, b);
        json_end_object(b);
    } else {
        json_put_null(b, key);
    }
    recipe_deinit(&r);
}
