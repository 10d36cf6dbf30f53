/* chat.c - the texts around prompts, and prompts to ids: see chat.h.
 *
 * The texts are data of the models: every blank and line break counts, and none may be "corrected". Prompts are
 * checked to be UTF-8 before they are put between them, so that an error names an offset in the prompt. Padding is
 * <|endoftext|> even where a file names another token, because that is what the models were trained with.
 */
#include "text/chat.h"

#include <string.h>

static const char KLEIN_BEFORE[] = "<|im_start|>user\n";
static const char KLEIN_AFTER[] = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";

static const char LAYERED_BEFORE[] =
    "<|im_start|>system\n"
    "Describe the image by detailing the color, shape, size, texture, quantity, text, spatial "
    "relationships of the objects and background:<|im_end|>\n"
    "<|im_start|>user\n";
static const char LAYERED_AFTER[] = "<|im_end|>\n<|im_start|>assistant\n";

static const char CAPTION_ENGLISH[] =
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    "# Image Annotator\nYou are a professional\nimage annotator. Please write an image caption "
    "based on the input image:\n1. Write the caption using natural,\ndescriptive language without "
    "structured formats or rich text.\n2. Enrich caption details by including: \n - Object\n"
    "attributes, such as quantity, color, shape, size, material, state, position, actions, and so "
    "on\n - Vision Relations\nbetween objects, such as spatial relations, functional relations, "
    "possessive relations, attachment relations, action\nrelations, comparative relations, causal "
    "relations, and so on\n - Environmental details, such as weather, lighting,\ncolors, textures, "
    "atmosphere, and so on\n - Identify the text clearly visible in the image, without translation "
    "or\nexplanation, and highlight it in the caption with quotation marks\n3. Maintain "
    "authenticity and accuracy:\n - Avoid\ngeneralizations\n - Describe all visible information in "
    "the image, while do not add information not explicitly shown in\nthe image\n"
    "<|vision_start|><|image_pad|><|vision_end|><|im_end|>\n<|im_start|>assistant\n";

static const char CAPTION_CHINESE[] =
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    "# 图像标注器\n你是一个专业的图像标注器。请基于输入图像，撰写图注:\n1.\n"
    "使用自然、描述性的语言撰写图注，不要使用结构化形式或富文本形式。\n"
    "2. 通过加入以下内容，丰富图注细节：\n"
    " - 对象的属性：如数量、颜色、形状、大小、位置、材质、状态、动作等\n -\n"
    "对象间的视觉关系：如空间关系、功能关系、动作关系、从属关系、比较关系、因果关系等\n"
    " - 环境细节：例如天气、光照、颜色、纹理、气氛等\n"
    " - 文字内容：识别图像中清晰可见的文字，不做翻译和解释，用引号在图注中强调\n3.\n"
    "保持真实性与准确性：\n - 不要使用笼统的描述\n -\n"
    "描述图像中所有可见的信息，但不要加入没有在图像中出现的内容\n"
    "<|vision_start|><|image_pad|><|vision_end|><|im_end|>\n<|im_start|>assistant\n";

/* Room that the fixed parts of any template take. */
enum { TEMPLATE_BYTES = 4096 };

typedef void (*chat_text_fn)(struct str prompt, struct buf *out);

static enum err_code encode_text(const struct tokenizer *t, struct str prompt, chat_text_fn fn,
                                 struct tokens *out, struct err *e)
{
    struct buf text;
    size_t bad;
    if (!str_is_utf8(prompt, &bad)) /* here, so that the offset is one in the prompt */
        return err_set(e, ERR_FORMAT, "the prompt is not UTF-8 at byte %zu", bad);
    buf_init(&text, prompt.n + TEMPLATE_BYTES);
    fn(prompt, &text);
    enum err_code rc = buf_failed(&text)
                           ? err_set(e, ERR_NOMEM, "no memory for a prompt of %zu bytes", prompt.n)
                           : tokenizer_encode(t, buf_str(&text), out, e);
    buf_deinit(&text);
    return rc;
}

void chat_klein_text(struct str prompt, struct buf *out)
{
    buf_add_z(out, KLEIN_BEFORE);
    buf_add_str(out, prompt);
    buf_add_z(out, KLEIN_AFTER);
}

enum err_code klein_encode(const struct tokenizer *t, struct str prompt, size_t max_tokens,
                           int32_t *ids, uint8_t *mask, size_t *used, struct err *e)
{
    struct tokens all = {0};
    /* What the models were made with; some files name another token for training. */
    int32_t pad = tokenizer_token_id(t, "<|endoftext|>");
    if (pad == TOKENIZER_NONE)
        pad = tokenizer_pad_id(t);
    if (pad == TOKENIZER_NONE)
        return err_set(e, ERR_FORMAT, "the tokenizer has no padding token");
    enum err_code rc;
    TRY_GOTO(encode_text(t, prompt, chat_klein_text, &all, e), done);
    *used = all.n < max_tokens ? all.n : max_tokens;
    for (size_t i = 0; i < max_tokens; i++) {
        ids[i] = i < *used ? all.ids[i] : pad;
        mask[i] = i < *used;
    }
done:
    tokens_deinit(&all);
    return rc;
}

void chat_layered_text(struct str prompt, struct buf *out)
{
    buf_add_z(out, LAYERED_BEFORE);
    buf_add_str(out, prompt);
    buf_add_z(out, LAYERED_AFTER);
}

enum err_code layered_encode(const struct tokenizer *t, struct str prompt, size_t max_tokens,
                             struct tokens *out, struct err *e)
{
    size_t before = out->n;
    TRY(encode_text(t, prompt, chat_layered_text, out, e));
    if (out->n - before > CHAT_LAYERED_PREFIX_TOKENS + max_tokens)
        out->n = before + CHAT_LAYERED_PREFIX_TOKENS + max_tokens;
    return ERR_OK;
}

/* Whole characters from the end of text, on one line. */
static void last_words(struct str text, char *out, size_t room)
{
    size_t from = text.n < room ? 0 : text.n - room + 1;
    while (from > 0 && from < text.n && ((unsigned char)text.p[from] & 0xc0) == 0x80)
        from++;
    size_t n = text.n - from;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)text.p[from + i] < ' ' ? ' ' : text.p[from + i];
    out[n] = 0;
}

static enum err_code prompt_cut(const struct tokenizer *t, struct str prompt, chat_text_fn fn,
                                size_t limit, struct prompt_cut *out, struct err *e)
{
    enum { WORDS_TOKENS = 12, WORDS_BYTES = 64 };
    struct tokens all = {0};
    struct buf words;
    enum err_code rc = encode_text(t, prompt, fn, &all, e);
    *out = (struct prompt_cut){.total = all.n, .limit = limit};
    buf_init(&words, 1 << 20);
    if (rc == ERR_OK && all.n > limit) {
        size_t n = limit < WORDS_TOKENS ? limit : WORDS_TOKENS;
        out->cut = all.n - limit;
        rc = tokenizer_decode(t, all.ids + limit - n, n, true, &words, e);
        last_words(buf_str(&words), out->behind, WORDS_BYTES);
    }
    buf_deinit(&words);
    tokens_deinit(&all);
    return rc;
}

enum err_code klein_prompt_cut(const struct tokenizer *t, struct str prompt, size_t max_tokens,
                               struct prompt_cut *out, struct err *e)
{
    return prompt_cut(t, prompt, chat_klein_text, max_tokens, out, e);
}

enum err_code layered_prompt_cut(const struct tokenizer *t, struct str prompt, size_t max_tokens,
                                 struct prompt_cut *out, struct err *e)
{
    return prompt_cut(t, prompt, chat_layered_text, CHAT_LAYERED_PREFIX_TOKENS + max_tokens, out,
                      e);
}

struct str chat_caption_text(enum chat_language language)
{
    return language == CHAT_CHINESE ? STR_LIT(CAPTION_CHINESE) : STR_LIT(CAPTION_ENGLISH);
}

/* One image token becomes n of them. */
static enum err_code widen_image(struct tokens *all, size_t at, size_t n, struct tokens *out,
                                 struct err *e)
{
    for (size_t i = 0; i < all->n; i++)
        for (size_t k = 0; k < (i == at ? n : 1); k++)
            if (!tokens_add(out, all->ids[i]))
                return err_set(e, ERR_NOMEM, "no memory for a question of %zu tokens", all->n + n);
    return ERR_OK;
}

enum err_code caption_encode(const struct tokenizer *t, enum chat_language language, size_t n_image,
                             struct tokens *out, size_t *image_at, struct err *e)
{
    struct tokens all = {0};
    size_t at = 0, before = out->n;
    int32_t image = tokenizer_token_id(t, "<|image_pad|>");
    if (image == TOKENIZER_NONE)
        return err_set(e, ERR_FORMAT, "the tokenizer has no token <|image_pad|>");
    enum err_code rc;
    TRY_GOTO(tokenizer_encode(t, chat_caption_text(language), &all, e), done);
    while (at < all.n && all.ids[at] != image)
        at++;
    if (at == all.n) {
        rc = err_set(e, ERR_FORMAT, "the tokenizer does not recognise <|image_pad|>");
        goto done;
    }
    rc = widen_image(&all, at, n_image, out, e);
done:
    if (rc == ERR_OK)
        *image_at = before + at;
    else
        out->n = before;
    tokens_deinit(&all);
    return rc;
}
