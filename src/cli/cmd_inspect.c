/* cmd_inspect.c - `veetance inspect`: what a file or folder is, whether an image, a checkpoint or a model.
 *
 * Which of them is decided by what is there and not by its name: bytes that begin as an image or a PSD are one, a folder
 * with veetance.json alone is a model that was put together, everything else is asked whether it is a checkpoint. A
 * pipe cannot be mapped, so only images come through one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_text.h"
#include "base/mem.h"

#include "cli/cli.h"
#include "cli/image_in.h"
#include "cli/model_arg.h"
#include "image/about.h"
#include "image/load.h"
#include "layers/file.h"
#include "pipeline/model_dir.h"
#include "pipeline/recipe.h"
#include "pipeline/result_json.h"
#include "weights/inspect.h"

enum { INSPECT_JSON = 1, INSPECT_ALL, MAX_STREAM = 512 << 20 };

static const struct cli_option options[] = {
    {INSPECT_JSON, 0, "json", NULL, "print JSON, with every tensor"},
    {INSPECT_ALL, 'a', "all", NULL, "list every tensor, not the first few"},
    {0},
};

/* A model that veetance.json puts together: its parts, wherever they lie. */
static enum err_code inspect_parts(const char *path, bool json, size_t most, struct buf *out,
                                   struct err *e)
{
    struct model_dir *dir = mem_alloc(sizeof *dir);
    enum err_code rc;
    TRY_GOTO(model_dir_open(path, dir, e), done);
    const struct {
        const char *name, *path;
    } parts[] = {{"transformer", dir->transformer.weights},
                 {"text_encoder", dir->text_encoder.weights},
                 {"vae", dir->vae.weights},
                 {"vision", dir->vision.weights}};
    if (json) {
        json_object(out, NULL);
        json_put_z(out, "path", path);
        json_put_z(out, "format", "veetance");
        json_put_z(out, "kind", "pipeline");
        json_put_z(out, "name", dir->name);
        json_array(out, "components");
    } else {
        buf_printf(out, "%s\n  %s\n", path, dir->name);
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!parts[i].path[0])
            continue;
        if (!json)
            buf_printf(out, "\n%s\n", parts[i].name);
        TRY_GOTO(inspect_path(parts[i].path, json, most, out, e), done);
    }
done:
    if (json) {
        json_end_array(out);
        json_end_object(out);
    }
    mem_free(dir);
    return rc;
}

static bool has(const char *dir, const char *name)
{
    char path[MODEL_PATH_BYTES];
    return file_join(path, sizeof path, dir, name, NULL) == ERR_OK && file_exists(path);
}

/* ---- images ------------------------------------------------------------------------------------------- */

/* What an edit made of its mask, and of its result. */
static void plain_edit(const struct recipe *r, struct buf *out)
{
    if (r->mask_invert)
        buf_add_z(out, "  mask edge   turned round\n");
    if (r->mask_grow)
        buf_printf(out, "  mask edge   %s by %d pixels\n", r->mask_grow > 0 ? "grown" : "shrunk",
                   abs(r->mask_grow));
    if (r->mask_feather)
        buf_printf(out, "  mask edge   faded over %d pixels at both sides\n", r->mask_feather);
    if (r->crop_to_mask)
        buf_printf(out, "  cropped     to the mask and %d pixels around it\n",
                   r->crop_padding >= 0 ? r->crop_padding : 0);
    if (r->match_colours)
        buf_add_z(out, "  undone      a tint\n");
    if (r->align)
        buf_add_z(out, "  undone      a shift\n");
    if (r->transparent)
        buf_add_z(out, "  alpha       from two grounds\n");
}

static void plain_recipe(const struct recipe *r, struct buf *out)
{
    const struct {
        const char *name, *text;
    } texts[] = {{"task", r->task},
                 {"model", r->model},
                 {"compute", r->compute},
                 {"mask", r->mask},
                 {"matte", r->matte}};
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"seed", (double)r->seed},
                   {"steps", r->steps},
                   {"guidance", r->guidance},
                   {"max tokens", r->max_tokens},
                   {"strength", r->strength}};
    buf_printf(out, "  prompt      %s\n", buf_z(&r->prompt));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].text[0])
            buf_printf(out, "  %-11s %s\n", texts[i].name, texts[i].text);
    for (int i = 0; i < r->image_count; i++)
        buf_printf(out, "  image %-5d %s\n", i + 1, r->images[i]);
    for (int i = 0; i < r->loras.n; i++)
        buf_printf(out, "  lora        %s, strength %g\n", r->loras.of[i].name,
                   r->loras.of[i].strength);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (numbers[i].value >= 0)
            buf_printf(out, "  %-11s %.15g\n", numbers[i].name, numbers[i].value);
    if (r->fast)
        buf_printf(out, "  fast        %d\n", r->fast);
    plain_edit(r, out);
}

static void json_recipe(const struct recipe *r, struct buf *b)
{
    struct vt_loras loras;
    json_object(b, "recipe");
    json_put_z(b, "task", r->task);
    json_put_z(b, "prompt", buf_z(&r->prompt));
    json_put_z(b, "model", r->model);
    json_put_int(b, "seed", r->seed);
    json_put_int(b, "steps", r->steps);
    json_put_number(b, "guidance", r->guidance);
    json_put_int(b, "max_tokens", r->max_tokens);
    json_array(b, "images");
    for (int i = 0; i < r->image_count; i++)
        json_put_z(b, NULL, r->images[i]);
    json_end_array(b);
    lora_tags_request(&r->loras, &loras);
    result_json_loras(b, &loras);
    json_end_object(b);
}

/* What the file says of itself. */
static void tell_about(struct str bytes, bool json, struct buf *out)
{
    struct image_about about;
    struct recipe r;
    image_about_init(&about);
    image_about_read(bytes, &about);
    const char *term = image_source_term(about.source);
    bool known = recipe_read(buf_str(&about.recipe), &r, NULL) == ERR_OK;
    if (json)
        json_put_z(out, "digital_source_type", term);
    else if (term)
        buf_printf(out, "  source      %s\n", term);
    if (json && known)
        json_recipe(&r, out);
    else if (json)
        json_put_null(out, "recipe");
    else if (known)
        plain_recipe(&r, out);
    else
        buf_add_z(out, "  no recipe\n");
    recipe_deinit(&r);
    image_about_deinit(&about);
}

static enum err_code inspect_image(const char *path, struct str bytes, bool json, struct buf *out,
                                   struct err *e)
{
    struct image_info info;
    enum err_code rc = image_probe_memory(bytes, NULL, &info, e);
    if (rc != ERR_OK)
        return err_note(e, "'%s'", path);
    if (json) {
        json_object(out, NULL);
        json_put_z(out, "path", path);
        json_put_z(out, "kind", "image");
        json_put_z(out, "format", image_format_name(info.format));
        json_put_int(out, "width", info.w);
        json_put_int(out, "height", info.h);
        json_put_int(out, "channels", info.channels);
        json_put_int(out, "bit_depth", info.bit_depth);
    } else {
        buf_printf(out, "%s\n  image       %s, %d x %d, %d channel%s of %d bit\n", path,
                   image_format_name(info.format), info.w, info.h, info.channels,
                   info.channels == 1 ? "" : "s", info.bit_depth);
    }
    tell_about(bytes, json, out);
    if (json)
        json_end_object(out);
    return ERR_OK;
}

static bool is_psd(struct str bytes)
{
    return str_starts(bytes, STR_LIT("8BPS"));
}

/* Its layers as they are read elsewhere, too. */
static enum err_code inspect_psd(const char *path, struct str bytes, bool json, struct buf *out,
                                 struct err *e)
{
    struct layer_stack s;
    enum err_code rc = layers_import_memory(bytes, NULL, &s, e);
    if (rc != ERR_OK)
        return err_note(e, "'%s'", path);
    if (json) {
        json_object(out, NULL);
        json_put_z(out, "path", path);
        json_put_z(out, "kind", "layers");
        json_put_z(out, "format", layers_format_name(LAYERS_PSD));
        json_put_int(out, "width", s.w);
        json_put_int(out, "height", s.h);
        json_put_uint(out, "layers", s.n);
    } else {
        buf_printf(out, "%s\n  layers      %s, %d x %d, %zu layer%s\n", path,
                   layers_format_name(LAYERS_PSD), s.w, s.h, s.n, s.n == 1 ? "" : "s");
    }
    tell_about(bytes, json, out);
    if (json)
        json_end_object(out);
    layer_stack_deinit(&s);
    return ERR_OK;
}

static bool begins_as_picture(struct str bytes)
{
    return is_psd(bytes) || image_sniff(bytes) != IMAGE_FORMAT_UNKNOWN;
}

/* Bytes that begin as an image or a PSD. */
static enum err_code inspect_picture(const char *path, struct str bytes, bool json, struct buf *out,
                                     struct err *e)
{
    return is_psd(bytes) ? inspect_psd(path, bytes, json, out, e)
                         : inspect_image(path, bytes, json, out, e);
}

/* Does the file begin so? */
static bool seems_picture(const char *path, struct file_map *m)
{
    *m = (struct file_map){0};
    if (file_is_dir(path) || file_map(path, m, NULL) != ERR_OK)
        return false;
    if (begins_as_picture((struct str){(const char *)m->p, m->n}))
        return true;
    file_unmap(m);
    return false;
}

/* Checkpoints are mapped, which a pipe cannot be. */
static enum err_code inspect_stream(const char *path, bool json, struct buf *out, struct err *e)
{
    struct buf bytes;
    const char *name = cli_input_name(path);
    TRY(cli_read_input(path, MAX_STREAM, &bytes, e));
    enum err_code rc =
        !begins_as_picture(buf_str(&bytes))
            ? err_set(e, ERR_FORMAT, "'%s' is no image; checkpoints are read from files alone",
                      name)
            : inspect_picture(name, buf_str(&bytes), json, out, e);
    buf_deinit(&bytes);
    return rc;
}

static enum err_code inspect(const char *named, bool json, size_t most, struct buf *out,
                             struct err *e)
{
    struct cli_model m;
    struct file_map bytes;
    if (cli_input_is_stream(named))
        return inspect_stream(named, json, out, e);
    if (seems_picture(named, &bytes)) {
        enum err_code is =
            inspect_picture(named, (struct str){(const char *)bytes.p, bytes.n}, json, out, e);
        file_unmap(&bytes);
        return is;
    }
    TRY(cli_model_or_path(named, &m, e));
    if (m.note[0])
        cli_say("note: %s", m.note);
    if (has(m.path, "veetance.json") && !has(m.path, "model_index.json"))
        return inspect_parts(m.path, json, most, out, e);
    return inspect_path(m.path, json, most, out, e);
}

static int run(const struct cli_command *self, int argc, char **argv)
{
    struct cli_args a = cli_args_begin(self, argc, argv);
    const char *path = NULL;
    bool json = false, all = false;
    int id;
    while ((id = cli_args_next(&a)) != CLI_END) {
        if (id == CLI_HELP)
            return CLI_OK;
        if (id == CLI_ERROR)
            return CLI_USAGE;
        if (id == INSPECT_JSON)
            json = true;
        else if (id == INSPECT_ALL)
            all = true;
        else if (path)
            return cli_usage_error(self, "one path at a time");
        else
            path = a.value;
    }
    if (!path || !*path)
        return cli_usage_error(self, "name a file or folder, or a model");
    struct buf out;
    struct err e = {0};
    buf_init(&out, 256u << 20);
    int rc = CLI_OK;
    if (inspect(path, json, all ? 0 : 12, &out, &e) == ERR_OK) {
        fputs(buf_z(&out), stdout);
        if (out.n && out.p[out.n - 1] != '\n')
            putchar('\n');
    } else {
        rc = cli_fail_err(&e);
    }
    buf_deinit(&out);
    return rc;
}

const struct cli_command cli_cmd_inspect = {
    .name = "inspect",
    .summary = "Say what a checkpoint, a model, an image or a PSD is",
    .usage = "FILE|FOLDER|MODEL [--json]",
    .examples = "  veetance inspect flux-2-klein-4b-fp8.safetensors\n"
                "  veetance inspect ~/models/FLUX.2-klein-4B --json\n"
                "  veetance inspect micro-klein\n"
                "  veetance inspect star.png\n",
    .options = options,
    .run = run,
};
