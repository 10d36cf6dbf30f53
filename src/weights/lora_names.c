/* lora_names.c - a tensor's name in a LoRA file taken apart: prefix, module, part.
 *
 * Who writes which prefix and which part is in docs/lora.md; any of the prefixes may come with any of the parts, and with
 * modules of any naming. kohya's trainers write '_' for the dots of a module, so all modules are compared in that form. */
#include <stdio.h>

#include "weights/lora_impl.h"

static const struct {
    const char *ending;
    enum lora_part part;
} endings[] = {
    {".lora_A.weight", PART_DOWN},    {".lora_B.weight", PART_UP},
    {".lora_down.weight", PART_DOWN}, {".lora_up.weight", PART_UP},
    {".lora.down.weight", PART_DOWN}, {".lora.up.weight", PART_UP},
    {".lora_A", PART_DOWN},           {".lora_B", PART_UP},
    {".alpha", PART_ALPHA},           {".hada_w1_a", PART_HADA_1A},
    {".hada_w1_b", PART_HADA_1B},     {".hada_w2_a", PART_HADA_2A},
    {".hada_w2_b", PART_HADA_2B},     {".lokr_w1", PART_LOKR_1},
    {".lokr_w1_a", PART_LOKR_1A},     {".lokr_w1_b", PART_LOKR_1B},
    {".lokr_w2", PART_LOKR_2},        {".lokr_w2_a", PART_LOKR_2A},
    {".lokr_w2_b", PART_LOKR_2B},
};

/* Parts of forms that are not known, by what their names contain. */
static const struct {
    const char *word, *form;
} strange[] = {
    {".dora_scale", "DoRA"},
    {".lora_magnitude_vector", "DoRA"},
    {".oft_", "OFT"},
    {".boft_", "BOFT"},
    {".vera_", "VeRA"},
    {".lora_mid", "a convolution's LoRA"},
    {".hada_t", "a convolution's LoHa"},
    {".lokr_t", "a convolution's LoKr"},
    {".on_input", "IA3"},
    {".a1.weight", "GLoRA"},
    {".diff", "a whole difference"},
    {".set_weight", "a replaced weight"},
    {".reshape_weight", "a weight of another shape"},
    {"_norm", "a norm's difference"},
    {".bias", "a bias"},
};

/* Longest first where one begins with another. */
static const char *const prefixes[] = {
    "base_model.model.transformer.",
    "base_model.model.",
    "model.diffusion_model.",
    "diffusion_model.",
    "transformer.",
    "unet.",
    "lora_unet_",
    "lora_transformer_",
    "lycoris_",
};

const char *lora_part_name(enum lora_part p)
{
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (endings[i].part == p)
            return endings[i].ending + 1;
    return "?";
}

/* Behind lora_A and lora_B peft may write the adapter's name: "x.lora_A.default.weight" -> "x". */
static bool take_named(struct str name, struct lora_name *out)
{
    static const struct str end = {".weight", 7};
    if (!str_ends(name, end))
        return false;
    size_t dot = name.n - end.n;
    while (dot > 0 && name.p[dot - 1] != '.')
        dot--;
    struct str rest = {name.p, dot ? dot - 1 : 0};
    bool up = str_ends(rest, STR_LIT(".lora_B"));
    if (!up && !str_ends(rest, STR_LIT(".lora_A")))
        return false;
    out->part = up ? PART_UP : PART_DOWN;
    out->module = (struct str){rest.p, rest.n - strlen(".lora_A")};
    return true;
}

static bool take_part(struct str name, struct lora_name *out)
{
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        struct str end = str_from(endings[i].ending);
        if (!str_ends(name, end))
            continue;
        out->part = endings[i].part;
        out->module = (struct str){name.p, name.n - end.n};
        return true;
    }
    return take_named(name, out);
}

bool lora_flatten(struct str name, char out[NAMING_MAX_BYTES])
{
    if (name.n >= NAMING_MAX_BYTES)
        return false;
    for (size_t i = 0; i < name.n; i++)
        out[i] = name.p[i] == '.' ? '_' : name.p[i];
    out[name.n] = '\0';
    return true;
}

static struct str without_prefix(struct str module)
{
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (str_starts(module, str_from(prefixes[i])))
            return str_skip(module, strlen(prefixes[i]));
    return module;
}

enum err_code lora_name_read(const char *tensor, struct lora_name *out, struct err *e)
{
    if (take_part(str_from(tensor), out) && out->module.n > 0 &&
        lora_flatten(without_prefix(out->module), out->flat))
        return ERR_OK;
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++)
        if (strstr(tensor, strange[i].word))
            return err_set(e, ERR_FORMAT, "tensor '%.200s' is part of %s, which is not supported",
                           tensor, strange[i].form);
    return err_set(e, ERR_FORMAT, "tensor '%.200s' is no part of a LoRA, a LoHa or a LoKr", tensor);
}
