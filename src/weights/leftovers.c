/* leftovers.c - finds stored tensors that no network of the kind has, and those that make its values doubtful. */
#include "weights/component_impl.h"
#include "weights/convert_names.h"
#include "weights/quantised.h"

/* Endings of tensors that no forward pass reads. */
static const char *const harmless_ends[] = {
    ".num_batches_tracked",
    "rotary_emb.inv_freq",
    "rope_freqs.weight",
    ".position_ids",
};

static bool is_harmless(const struct component *c, const char *name)
{
    struct str s = str_from(name);
    for (size_t i = 0; i < sizeof harmless_ends / sizeof harmless_ends[0]; i++)
        if (str_ends(s, str_from(harmless_ends[i])))
            return true;
    return quantised_describes(c->cp, name);
}

static bool is_known(const struct component *c, const char *name)
{
    char canonical[NAMING_MAX_BYTES];
    for (size_t i = 0; i < c->naming->n_rules; i++)
        if (convert_name_invert(&c->naming->rules[i], &c->numbers, name, canonical,
                                sizeof canonical) &&
            schema_knows(c->naming->kind, canonical))
            return true;
    return false;
}

size_t component_leftovers(const struct component *c, const char **names, size_t max)
{
    size_t n = 0, skip = strlen(c->prefix);
    for (size_t i = 0; i < checkpoint_count(c->cp); i++) {
        const char *name = checkpoint_at(c->cp, i)->name;
        /* What lies outside the prefix is another network in the same file. */
        if (strncmp(name, c->prefix, skip) != 0 || is_known(c, name + skip) || is_harmless(c, name))
            continue;
        if (n < max)
            names[n] = name;
        n++;
    }
    return n;
}

/* Words in the names of tensors that other programs' quantised forms need for their values. */
static const char *const quantising_words[] = {
    "scale", "zero", "quant", "absmax", "codebook", "qweight", "packed", "g_idx", "qmap",
};

static enum err_code refuse_leftover(const struct component *c, const char *name, struct err *e)
{
    for (size_t i = 0; i < sizeof quantising_words / sizeof quantising_words[0]; i++)
        if (strstr(name, quantising_words[i]))
            return err_set(e, ERR_FORMAT,
                           "'%s': it is not known what the tensor '%s' does to the weights; "
                           "files with the usual scales (weight_scale), bf16 ones and GGUF work",
                           checkpoint_path(c->cp), name);
    return ERR_OK;
}

/* Every tensor of the network must be in a form whose values can be told. */
static enum err_code check_forms(const struct component *c, struct err *e)
{
    size_t skip = strlen(c->prefix);
    enum err_code rc = ERR_OK;
    for (size_t i = 0; i < checkpoint_count(c->cp) && rc == ERR_OK; i++) {
        const struct weights_tensor *t = checkpoint_at(c->cp, i);
        struct quantised q;
        if (strncmp(t->name, c->prefix, skip) != 0 || !is_known(c, t->name + skip) ||
            is_harmless(c, t->name))
            continue;
        rc = quantised_read(c->cp, c->markers, c->prefix, t, &q, e);
    }
    return rc == ERR_OK ? rc : err_note(e, "'%s'", checkpoint_path(c->cp));
}

enum err_code component_check(const struct component *c, struct err *e)
{
    enum { MOST = 256 };
    const char *names[MOST];
    enum err_code rc = component_refuse_impostor(c, e);
    if (rc == ERR_OK)
        rc = check_forms(c, e);
    size_t n = rc == ERR_OK ? component_leftovers(c, names, MOST) : 0;
    for (size_t i = 0; i < n && i < MOST && rc == ERR_OK; i++)
        rc = refuse_leftover(c, names[i], e);
    return rc;
}
