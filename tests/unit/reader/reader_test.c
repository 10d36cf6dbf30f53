/* reader_test.c - files read by a process of its own: as here to the bit, and every way in which it can fail.
 *
 * The processes are this program again, with a word that says what they do where a real one gives its rights up;
 * with VT_TEST_READER, the sound ones are that program, confined. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "child/process.h"
#include "image/png_save.h"
#include "reader/messages.h"

/* ---- in the process ---------------------------------------------------------------------------------------- */

static enum err_code nothing(struct err *e)
{
    (void)e;
    return ERR_OK;
}

static enum err_code crash(struct err *e)
{
    (void)e;
    (void)signal(SIGSEGV, SIG_DFL); /* a sanitizer has its own way */
    (void)raise(SIGSEGV);
    return ERR_OK;
}

static enum err_code loop(struct err *e)
{
    (void)e;
    for (volatile unsigned n = 0;; n++) {
    }
    return ERR_OK;
}

static enum err_code stop(struct err *e)
{
    (void)e;
    (void)raise(SIGSTOP);
    return ERR_OK;
}

static enum err_code quit(struct err *e)
{
    (void)e;
    _exit(7);
}

/* All that it gets. */
static enum err_code eat(struct err *e)
{
    enum { PIECE = 64 << 20, PIECES = 64 };
    (void)e;
    for (int i = 0; i < PIECES; i++) {
        volatile char *p = malloc(PIECE);
        if (!p)
            _exit(9); /* as far as it was allowed */
        p[0] = 1;
    }
    return ERR_OK;
}

/* Answers without having looked. */
static void lie(const char *how)
{
    static const unsigned char pixels[4 * 4 * 4];
    struct wire_message m;
    struct code c;
    struct reader_answer a = {
        .info = {.format = IMAGE_FORMAT_PNG,
                 .w = 4,
                 .h = 4,
                 .channels = 4,
                 .bit_depth = 8,
                 .orientation = 1,
                 .frames = 1},
        .pixels = {.width = 4, .height = 4, .channels = 4, .bits = 8, .pixels = pixels}};
    uint32_t type = READER_ANSWER;
    if (wire_receive(PROCESS_SOCKET, &m, NULL) != ERR_OK)
        return;
    if (strcmp(how, "lie-large") == 0)
        a.info.w = a.info.h = 900000;
    if (strcmp(how, "lie-sides") == 0)
        a.info.w = 5;
    if (strcmp(how, "lie-depth") == 0)
        a.pixels.bits = 0;
    if (strcmp(how, "lie-format") == 0)
        a.info.format = IMAGE_FORMAT_UNKNOWN;
    if (strcmp(how, "lie-none") == 0)
        a.pixels = (struct vt_image){0};
    if (strcmp(how, "lie-failure") == 0)
        a.rc = ERR_FORMAT;
    if (strcmp(how, "lie-type") == 0)
        type = 99;
    code_to(&c);
    reader_code_answer(&c, &a);
    if (strcmp(how, "lie-short") == 0)
        c.out.n /= 2;
    (void)!wire_send(
        PROCESS_SOCKET,
        &(struct wire_out){.type = type, .body = buf_str(&c.out), .fds = c.fds, .n_fds = c.n_fds},
        NULL);
    code_deinit(&c);
    wire_message_deinit(&m);
}

/* Of a file with layers: two groups and a layer, one thing of which is wrong. */
static void say(uint32_t type, struct code *c)
{
    (void)!wire_send(PROCESS_SOCKET,
                     &(struct wire_out){
                         .type = type, .body = buf_str(&c->out), .fds = c->fds, .n_fds = c->n_fds},
                     NULL);
    code_deinit(c);
}

static void lie_of_layers(const char *how)
{
    static const unsigned char pixels[4 * 4 * 4];
    struct layer_group groups[2] = {{.id = "a", .opacity = 1, .parent = 0},
                                    {.id = "b", .opacity = 1, .parent = 1}};
    struct layer_stack s = {.w = 4, .h = 4, .n_groups = 2, .groups = groups};
    struct layer l = {.id = "l", .opacity = 1, .group = 2};
    struct vt_image im = {.width = 4, .height = 4, .channels = 4, .bits = 8, .pixels = pixels};
    struct reader_answer a = {.info = {.orientation = 1}};
    struct layers_size size = {16, 16, 16};
    struct wire_message m;
    struct code c;
    size_t n = 1;
    if (wire_receive(PROCESS_SOCKET, &m, NULL) != ERR_OK)
        return;
    if (strcmp(how, "layers-round") == 0)
        groups[0].parent = 2;
    if (strcmp(how, "layers-parent") == 0)
        groups[1].parent = 7;
    if (strcmp(how, "layers-group") == 0)
        l.group = 3;
    if (strcmp(how, "layers-many") == 0)
        n = 1000000;
    if (strcmp(how, "layers-few") == 0)
        n = 2;
    if (strcmp(how, "layers-name") == 0)
        (void)snprintf(l.name, sizeof l.name, "\n");
    if (strcmp(how, "layers-mode") == 0)
        im.channels = 3;
    if (strcmp(how, "layers-opacity") == 0)
        l.opacity = 2;
    if (strcmp(how, "layers-pixels") == 0)
        size.all = s.w = s.h = 1;
    if (strcmp(how, "layers-canvas") == 0)
        s.w = s.h = 900000;
    if (strcmp(how, "layers-unmeasured") != 0) {
        code_to(&c);
        reader_code_size(&c, &size);
        say(READER_SIZE, &c);
    }
    code_to(&c);
    reader_code_stack(&c, &s, &n);
    say(READER_STACK, &c);
    for (int i = 0; i < (strcmp(how, "layers-twice") == 0 ? 2 : 1); i++) {
        code_to(&c);
        reader_code_layer(&c, &l, &im);
        say(READER_LAYER, &c);
    }
    code_to(&c);
    reader_code_answer(&c, &a);
    say(READER_ANSWER, &c);
    wire_message_deinit(&m);
}

/* Of what a file says. */
static void lie_of_words(const char *how)
{
    char key[READER_KEY_SIZE] = "key";
    struct reader_answer a = {.info = {.orientation = 1}};
    struct image_about about;
    struct wire_message m;
    struct code c;
    struct buf long_text;
    if (wire_receive(PROCESS_SOCKET, &m, NULL) != ERR_OK)
        return;
    image_about_init(&about);
    buf_init(&long_text, READER_TEXTS_BYTES);
    buf_add_z(&long_text, "text");
    if (strcmp(how, "words-long") == 0)
        memset(buf_grow(&long_text, READER_TEXTS_BYTES - 100), 'a', READER_TEXTS_BYTES - 100);
    const char *text = buf_z(&long_text);
    for (int i = 0; i < 2; i++) {
        code_to(&c);
        reader_code_text(&c, key, &text);
        say(READER_TEXT, &c);
    }
    if (strcmp(how, "words-killed") == 0)
        (void)raise(SIGKILL);
    if (strcmp(how, "words-source") == 0)
        about.source = IMAGE_SOURCES;
    for (int i = strcmp(how, "words-none") == 0; i < (strcmp(how, "words-twice") == 0 ? 2 : 1);
         i++) {
        code_to(&c);
        reader_code_about(&c, &about);
        say(READER_SAID, &c);
    }
    if (strcmp(how, "words-said-killed") == 0)
        (void)raise(SIGKILL);
    code_to(&c);
    reader_code_answer(&c, &a);
    say(READER_ANSWER, &c);
    wire_message_deinit(&m);
    buf_deinit(&long_text);
    image_about_deinit(&about);
}

static int be(const char *what)
{
    static const struct {
        const char *word;
        enum err_code (*instead)(struct err *e);
    } kinds[] = {{"sound", nothing}, {"crash", crash}, {"loop", loop},
                 {"stop", stop},     {"quit", quit},   {"eat", eat}};
    struct err e = {0};
    if (!process_is_child())
        return 2;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(what, kinds[i].word) == 0)
            return reader_serve(kinds[i].instead, &e) == ERR_OK ? 0 : 1;
    if (strncmp(what, "layers-", 7) == 0)
        lie_of_layers(what);
    else if (strncmp(what, "words-", 6) == 0)
        lie_of_words(what);
    else if (strcmp(what, "second-killed") == 0) {
        lie_of_words("words-sound");
        lie_of_words("words-killed");
    } else
        lie(what);
    return 0;
}

/* ---- here -------------------------------------------------------------------------------------------------- */

static void quiet(enum log_level level, const char *line, void *user)
{
    (void)level;
    (void)line;
    (void)user;
}

static struct reader *open_as(const char *what, double patience, const char *words[3])
{
    struct reader *r = NULL;
    struct err e = {0};
    words[0] = "reader_test";
    words[1] = what;
    words[2] = NULL;
    const struct reader_options o = {
        .program = "/proc/self/exe", .arguments = words, .confined = true, .patience = patience};
    if (reader_open(&o, &r, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return r;
}

/* VT_TEST_READER: the program itself. */
static struct reader *open_sound(const char *words[3])
{
    struct reader *r = NULL;
    struct err e = {0};
    const char *program = getenv("VT_TEST_READER");
    if (!program)
        return open_as("sound", 0, words);
    if (reader_open(&(struct reader_options){.program = program, .confined = true}, &r, &e) !=
        ERR_OK)
        fail_msg("%s", e.text);
    return r;
}

static int open_descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    assert_non_null(d);
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n;
}

#define PICTURE VT_SOURCE_DIR "/tests/data/micro/klein/edit-00-input.png"

static struct reader_file open_file(const char *path)
{
    struct stat st;
    struct reader_file f = {.fd = open(path, O_RDONLY | O_CLOEXEC)};
    assert_true(f.fd >= 0 && fstat(f.fd, &st) == 0);
    f.bytes = (uint64_t)st.st_size;
    return f;
}

/* ---- the same ---------------------------------------------------------------------------------------------- */

static void assert_same(const char *path, enum reader_wish wish, struct reader *r,
                        const struct reader_file *f)
{
    struct image_info a = {0}, b = {0};
    struct image x = {0}, y = {0};
    struct err ex = {0}, ey = {0};
    enum err_code here = reader_image(NULL, f, wish, &a, &x, &ex);
    enum err_code there = reader_image(r, f, wish, &b, &y, &ey);
    if (here != there || strcmp(ex.text, ey.text) != 0)
        fail_msg("%s: %d '%s' here, %d '%s' there", path, here, ex.text, there, ey.text);
    assert_int_equal(a.format, b.format);
    if (here == ERR_OK) {
        assert_int_equal(a.w, b.w);
        assert_int_equal(a.h, b.h);
        assert_int_equal(a.channels, b.channels);
        assert_int_equal(a.bit_depth, b.bit_depth);
        assert_int_equal(a.orientation, b.orientation);
        assert_int_equal(a.frames, b.frames);
        assert_int_equal(a.had_alpha, b.had_alpha);
        assert_int_equal(a.had_icc, b.had_icc);
        assert_string_equal(a.notes, b.notes);
    }
    if (here == ERR_OK && reader_wants_pixels(wish)) {
        assert_true(x.w == y.w && x.h == y.h && x.channels == y.channels && x.deep == y.deep);
        assert_int_equal(x.stride, y.stride);
        assert_memory_equal(x.p, y.p, x.stride * (size_t)x.h);
    }
    image_free(&x);
    image_free(&y);
}

/* A file, and the same cut in the middle. */
static void try_file(struct reader *r, const char *path)
{
    struct buf b;
    assert_int_equal(file_read(path, 1 << 24, &b, NULL), ERR_OK);
    struct reader_file f = open_file(path);
    const struct reader_file bytes = {.fd = -1, .memory = buf_str(&b)};
    const struct reader_file cut = {.fd = -1, .memory = {b.p, b.n / 2}};
    assert_same(path, READER_HEADER, r, &f);
    assert_same(path, READER_CHECK, r, &f);
    assert_same(path, READER_PIXELS, r, &bytes);
    assert_same(path, READER_DEEP, r, &f);
    assert_same(path, READER_PIXELS, r, &cut);
    (void)close(f.fd);
    buf_deinit(&b);
}

static void every_format_reads_as_here(void **state)
{
    static const char *const formats[] = {"png", "jpeg", "webp", "tiff", "heif", "gif", "bmp"};
    const char *words[3];
    char folder[PATH_MAX], path[PATH_MAX];
    int before = open_descriptors(), n = 0;
    struct reader *r = open_sound(words);
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        (void)snprintf(folder, sizeof folder, VT_SOURCE_DIR "/fuzz/corpus/%s", formats[i]);
        DIR *d = opendir(folder);
        assert_non_null(d);
        for (struct dirent *f = readdir(d); f; f = readdir(d))
            if (f->d_name[0] != '.' &&
                file_join(path, sizeof path, folder, f->d_name, NULL) == ERR_OK) {
                try_file(r, path);
                n++;
            }
        (void)closedir(d);
    }
    assert_true(n > 30);
    reader_close(r);
    assert_int_equal(open_descriptors(), before);
}

static void what_is_no_image_is_refused(void **state)
{
    const char *words[3];
    struct reader *r = open_sound(words);
    struct image_info info;
    struct err e = {0};
    (void)state;
    const struct reader_file text = {.fd = -1, .memory = STR_LIT("no image at all")};
    const struct reader_file none = {.fd = -1};
    assert_same("text", READER_CHECK, r, &text);
    assert_int_equal(reader_image(r, &none, READER_CHECK, &info, NULL, &e), ERR_FORMAT);
    assert_string_equal(e.text, "the file is empty");
    reader_close(r);
}

/* A descriptor that may write is opened anew; the process has no use for more. */
static void many_ask_one_after_the_other(void **state)
{
    const char *words[3];
    struct reader *r = open_sound(words);
    const struct reader_file f = open_file(PICTURE);
    int before = open_descriptors();
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_same(PICTURE, READER_PIXELS, r, &f);
    assert_true(open_descriptors() <= before + 12); /* those of processes that wait */
    (void)close(f.fd);
    reader_close(r);
}

/* ---- what files say of themselves -------------------------------------------------------------------------- */

static void note(struct str key, struct str text, void *user)
{
    buf_printf(user, "%.*s=", (int)key.n, key.p);
    buf_add_str(user, text);
}

static bool try_words(struct reader *r, const char *path, struct str bytes)
{
    struct reader_series series = {0};
    const struct reader_file f = {.fd = -1, .memory = bytes, .series = &series};
    struct image_about a, b;
    struct buf here, there, x, y;
    struct err ex = {0}, ey = {0};
    image_about_init(&a);
    image_about_init(&b);
    buf_init(&here, 1 << 24);
    buf_init(&there, 1 << 24);
    buf_init(&x, 1 << 24);
    buf_init(&y, 1 << 24);
    assert_int_equal(reader_about(NULL, &f, &a, NULL), ERR_OK);
    assert_int_equal(reader_about(r, &f, &b, NULL), ERR_OK);
    assert_int_equal(a.source, b.source);
    assert_string_equal(buf_z(&a.recipe), buf_z(&b.recipe));
    enum err_code rc = reader_texts(NULL, &f, &(struct reader_texts){note, &here}, &x, &ex);
    enum err_code other = reader_texts(r, &f, &(struct reader_texts){note, &there}, &y, &ey);
    if (rc != other || strcmp(ex.text, ey.text) != 0)
        fail_msg("%s: %d '%s' here, %d '%s' there", path, rc, ex.text, other, ey.text);
    assert_string_equal(buf_z(&here), buf_z(&there));
    assert_string_equal(buf_z(&x), buf_z(&y));
    assert_int_equal(series.files, 2);
    bool said = a.source || a.recipe.n || here.n;
    reader_series_end(&series);
    image_about_deinit(&a);
    image_about_deinit(&b);
    buf_deinit(&here);
    buf_deinit(&there);
    buf_deinit(&x);
    buf_deinit(&y);
    return said;
}

static void words_read_as_here(void **state)
{
    static const char *const formats[] = {"about", "png", "psd"};
    const char *words[3];
    char folder[PATH_MAX], path[PATH_MAX];
    int said = 0;
    struct reader *r = open_sound(words);
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        (void)snprintf(folder, sizeof folder, VT_SOURCE_DIR "/fuzz/corpus/%s", formats[i]);
        DIR *d = opendir(folder);
        assert_non_null(d);
        for (struct dirent *f = readdir(d); f; f = readdir(d)) {
            struct buf b;
            if (f->d_name[0] == '.' ||
                file_join(path, sizeof path, folder, f->d_name, NULL) != ERR_OK)
                continue;
            assert_int_equal(file_read(path, 1 << 24, &b, NULL), ERR_OK);
            said += try_words(r, path, buf_str(&b));
            buf_deinit(&b);
        }
        (void)closedir(d);
    }
    assert_true(said > 3);
    reader_close(r);
}

/* ---- a series ---------------------------------------------------------------------------------------------- */

/* Files of every kind, whole and cut, among which one process goes as far as it can. */
static void a_series_reads_as_here(void **state)
{
    static const char *const formats[] = {"png", "jpeg", "tiff", "webp", "gif"};
    const char *words[3];
    char folder[PATH_MAX], path[PATH_MAX];
    struct reader_series series = {0};
    struct reader *r = open_sound(words);
    int before = open_descriptors(), shared = 0;
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        (void)snprintf(folder, sizeof folder, VT_SOURCE_DIR "/fuzz/corpus/%s", formats[i]);
        DIR *d = opendir(folder);
        assert_non_null(d);
        for (struct dirent *f = readdir(d); f; f = readdir(d)) {
            struct buf b;
            if (f->d_name[0] == '.' ||
                file_join(path, sizeof path, folder, f->d_name, NULL) != ERR_OK)
                continue;
            assert_int_equal(file_read(path, 1 << 24, &b, NULL), ERR_OK);
            const struct reader_file whole = {.fd = -1, .memory = buf_str(&b), .series = &series};
            const struct reader_file cut = {.fd = -1, .memory = {b.p, b.n / 2}, .series = &series};
            assert_same(path, READER_PIXELS, r, &whole);
            assert_same(path, READER_DEEP, r, &cut);
            assert_true(series.files <= READER_SERIES_FILES);
            shared = series.files > shared ? series.files : shared;
            buf_deinit(&b);
        }
        (void)closedir(d);
    }
    assert_true(shared > 10);
    struct reader_file f = open_file(PICTURE);
    f.series = &series;
    for (int i = 0; i < READER_SERIES_FILES + 1; i++)
        assert_same(PICTURE, READER_HEADER, r, &f);
    assert_true(series.files > 0 && series.files < READER_SERIES_FILES);
    (void)close(f.fd);
    reader_series_end(&series);
    reader_close(r);
    assert_true(open_descriptors() <= before);
}

/* What ended the process may be the fault of a file before. */
static void a_series_goes_on_when_its_process_is_gone(void **state)
{
    const char *words[3];
    struct reader_series series = {0};
    struct reader *r = open_as("lie-once", 0, words);
    struct reader_file f = open_file(PICTURE);
    (void)state;
    f.series = &series;
    for (int i = 0; i < 3; i++) {
        struct image_info info;
        struct image im = {0};
        struct err e = {0};
        assert_int_equal(reader_image(r, &f, READER_PIXELS, &info, &im, &e), ERR_OK);
        assert_true(im.w == 4 && im.h == 4);
        assert_int_equal(series.files, 1);
        image_free(&im);
    }
    reader_series_end(&series);
    (void)close(f.fd);
    reader_close(r);
}

/* Its memory was bounded by the image before. */
static void a_much_larger_image_of_a_series_gets_a_process_of_its_own(void **state)
{
    const char *words[3];
    struct reader_series series = {0};
    struct reader *r = open_sound(words);
    struct reader_file f = open_file(PICTURE);
    struct image large;
    struct buf png;
    (void)state;
    buf_init(&png, 1 << 24);
    assert_int_equal(image_new(&large, 6000, 4000, 1, NULL), ERR_OK);
    assert_int_equal(image_png_write(&large, NULL, 0, &png, NULL), ERR_OK);
    image_free(&large);
    f.series = &series;
    assert_same(PICTURE, READER_PIXELS, r, &f);
    assert_same(PICTURE, READER_PIXELS, r, &f);
    assert_int_equal(series.files, 2);
    const struct reader_file second = {.fd = -1, .memory = buf_str(&png), .series = &series};
    assert_same("a large image", READER_CHECK, r, &second);
    assert_int_equal(series.files, reader_bounds_memory() ? 1 : 3);
    reader_series_end(&series);
    buf_deinit(&png);
    (void)close(f.fd);
    reader_close(r);
}

/* ---- layers ------------------------------------------------------------------------------------------------ */

static void assert_same_layer(const struct layer *a, const struct layer *b)
{
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->name, b->name);
    assert_true(a->x == b->x && a->y == b->y && a->opacity == b->opacity && a->blend == b->blend);
    assert_true(a->visible == b->visible && a->group == b->group);
    assert_true(a->image.w == b->image.w && a->image.h == b->image.h && b->image.channels == 4);
    assert_memory_equal(a->image.p, b->image.p, a->image.stride * (size_t)a->image.h);
}

static void assert_same_stack(const struct layer_stack *a, const struct layer_stack *b)
{
    assert_true(a->w == b->w && a->h == b->h && a->n == b->n && a->n_groups == b->n_groups);
    for (size_t i = 0; i < a->n; i++)
        assert_same_layer(&a->layers[i], &b->layers[i]);
    for (size_t i = 0; i < a->n_groups; i++) {
        const struct layer_group *x = &a->groups[i], *y = &b->groups[i];
        assert_string_equal(x->id, y->id);
        assert_string_equal(x->name, y->name);
        assert_true(x->opacity == y->opacity && x->blend == y->blend);
        assert_true(x->visible == y->visible && x->parent == y->parent);
    }
    assert_string_equal(buf_z(&a->notes), buf_z(&b->notes));
    assert_true(a->merged.known == b->merged.known && a->merged.psnr_db == b->merged.psnr_db);
    assert_true(a->merged.worst_psnr_db == b->merged.worst_psnr_db);
}

static int try_layers(struct reader *r, const char *path, struct str bytes)
{
    const struct reader_file f = {.fd = -1, .memory = bytes};
    struct layers_limits limits = layers_limits_defaults();
    struct layers_size here = {0}, there = {0};
    struct layer_stack a, b;
    struct err x = {0}, y = {0};
    limits.groups = true;
    assert_int_equal(reader_layers_size(NULL, &f, &here, &x),
                     reader_layers_size(r, &f, &there, &y));
    assert_string_equal(x.text, y.text);
    assert_true(x.code != ERR_OK || (here.all == there.all && here.canvas == there.canvas &&
                                     here.largest == there.largest));
    x = y = (struct err){0};
    enum err_code rc = reader_layers(NULL, &f, &limits, &a, &x);
    enum err_code other = reader_layers(r, &f, &limits, &b, &y);
    if (rc != other || strcmp(x.text, y.text) != 0)
        fail_msg("%s: %d '%s' here, %d '%s' there", path, rc, x.text, other, y.text);
    if (rc == ERR_OK)
        assert_same_stack(&a, &b);
    int layers = rc == ERR_OK ? (int)a.n : 0;
    if (rc == ERR_OK)
        layer_stack_deinit(&a);
    if (other == ERR_OK)
        layer_stack_deinit(&b);
    return layers;
}

static void files_with_layers_read_as_here(void **state)
{
    static const char *const formats[] = {"psd", "ora", "bmp"};
    const char *words[3];
    char folder[PATH_MAX], path[PATH_MAX];
    int layers = 0;
    struct reader *r = open_sound(words);
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        (void)snprintf(folder, sizeof folder, VT_SOURCE_DIR "/fuzz/corpus/%s", formats[i]);
        DIR *d = opendir(folder);
        assert_non_null(d);
        for (struct dirent *f = readdir(d); f; f = readdir(d)) {
            struct buf b;
            if (f->d_name[0] == '.' ||
                file_join(path, sizeof path, folder, f->d_name, NULL) != ERR_OK)
                continue;
            assert_int_equal(file_read(path, 1 << 24, &b, NULL), ERR_OK);
            layers += try_layers(r, path, buf_str(&b));
            (void)try_layers(r, path, (struct str){b.p, b.n / 2});
            buf_deinit(&b);
        }
        (void)closedir(d);
    }
    assert_true(layers > 10);
    reader_close(r);
}

/* ---- failures ---------------------------------------------------------------------------------------------- */

static void assert_fails_in(double patience, const char *what, enum err_code expected,
                            const char *text)
{
    const char *words[3];
    struct reader_file f = open_file(PICTURE);
    int before = open_descriptors();
    struct reader *r = open_as(what, patience, words);
    struct image_info info;
    struct image im = {0};
    struct err e = {0};
    for (int i = 0; i < 2; i++) { /* the next one is as well off */
        assert_int_equal(reader_image(r, &f, READER_PIXELS, &info, &im, &e), expected);
        if (!strstr(e.text, text))
            fail_msg("%s: '%s'", what, e.text);
        assert_null(im.p);
    }
    reader_close(r);
    assert_int_equal(open_descriptors(), before);
    (void)close(f.fd);
}

static void assert_fails(const char *what, enum err_code expected, const char *text)
{
    assert_fails_in(0, what, expected, text);
}

static enum err_code read_texts_as(const char *what, struct err *e)
{
    const char *words[3];
    struct reader_file f = open_file(PICTURE);
    struct reader *r = open_as(what, 0, words);
    struct buf texts, parameters;
    buf_init(&texts, 1 << 24);
    buf_init(&parameters, 1 << 24);
    enum err_code rc = reader_texts(r, &f, &(struct reader_texts){note, &texts}, &parameters, e);
    buf_deinit(&texts);
    buf_deinit(&parameters);
    reader_close(r);
    (void)close(f.fd);
    return rc;
}

static void words_that_make_no_sense_are_not_believed(void **state)
{
    static const char *const lies[] = {"words-long",  "words-source", "words-none",
                                       "words-twice", "layers-sound", "lie-once"};
    struct err e = {0};
    (void)state;
    assert_int_equal(read_texts_as("words-sound", &e), ERR_OK);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        assert_int_equal(read_texts_as(lies[i], &e), ERR_FORMAT);
        if (!strstr(e.text, "makes no sense"))
            fail_msg("%s: '%s'", lies[i], e.text);
    }
    assert_fails("words-sound", ERR_FORMAT, "makes no sense");
}

/* Waits for a process that waits for a file. */
static pid_t first_child(void)
{
    char path[64], line[256];
    unsigned long pid = 0;
    for (int tries = 0; pid == 0 && tries < 500; tries++) {
        DIR *d = opendir("/proc/self/task");
        assert_non_null(d);
        for (struct dirent *t = readdir(d); t; t = readdir(d)) {
            (void)snprintf(path, sizeof path, "/proc/self/task/%.20s/children", t->d_name);
            FILE *children = fopen(path, "re");
            if (children && fgets(line, sizeof line, children))
                pid = strtoul(line, NULL, 10);
            if (children)
                (void)fclose(children);
        }
        (void)closedir(d);
        (void)usleep(10000);
    }
    assert_true(pid > 0);
    return (pid_t)pid;
}

/* With the texts that lie_of_words says, once. */
static void assert_texts_once(struct reader *r, struct reader_series *series,
                              enum err_code expected)
{
    struct reader_file f = open_file(PICTURE);
    struct buf texts, parameters;
    struct err e = {0};
    f.series = series;
    buf_init(&texts, 1 << 24);
    buf_init(&parameters, 1 << 24);
    enum err_code rc = reader_texts(r, &f, &(struct reader_texts){note, &texts}, &parameters, &e);
    if (rc != expected || (rc != ERR_OK && !strstr(e.text, "was killed")))
        fail_msg("%d '%s'", rc, e.text);
    assert_string_equal(buf_z(&texts), "key=textkey=text");
    buf_deinit(&texts);
    buf_deinit(&parameters);
    (void)close(f.fd);
}

/* One that waited is asked for each, so that another one would be if nothing had come. */
static void words_of_a_process_that_is_killed_come_once(void **state)
{
    static const char *const kinds[] = {"words-killed", "words-said-killed"};
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const char *words[3];
        struct reader *r = open_as(kinds[i], 0, words);
        for (int n = 0; n < 3; n++) {
            (void)first_child();
            assert_texts_once(r, NULL, ERR_IO);
        }
        reader_close(r);
    }
}

static void words_in_a_series_come_once(void **state)
{
    const char *words[3];
    struct reader_series series = {0};
    struct reader *r = open_as("second-killed", 0, words);
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_texts_once(r, &series, ERR_OK);
        assert_texts_once(r, &series, ERR_IO); /* its process had said them */
    }
    reader_series_end(&series);
    reader_close(r);
    r = open_as("words-sound", 0, words);
    for (int i = 0; i < 3; i++)
        assert_texts_once(r, &series, ERR_OK); /* its process was gone: another one says them */
    reader_series_end(&series);
    reader_close(r);
}

static void a_crash_is_the_failure_of_its_file(void **state)
{
    (void)state;
    assert_fails("crash", ERR_FORMAT, "crashed the process that read it (SIGSEGV)");
    assert_fails("quit", ERR_FORMAT, "ended with code 7");
}

static void a_loop_is_ended(void **state)
{
    (void)state;
    assert_fails_in(1, "loop", ERR_LIMIT, "takes longer to read than the 1 seconds");
}

static void one_that_stopped_is_ended(void **state)
{
    (void)state;
    assert_fails_in(1, "stop", ERR_LIMIT, "takes longer to read");
}

static void memory_has_a_bound(void **state)
{
    (void)state;
    if (reader_bounds_memory())
        assert_fails("eat", ERR_FORMAT, "ended with code 9");
}

static void what_makes_no_sense_is_not_believed(void **state)
{
    static const char *const lies[] = {"lie-large",  "lie-sides", "lie-depth",   "lie-none",
                                       "lie-format", "lie-type",  "lie-failure", "lie-short"};
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++)
        assert_fails(lies[i], ERR_FORMAT, "answered what makes no sense");
}

static void layers_that_make_no_sense_are_not_believed(void **state)
{
    static const char *const lies[] = {
        "layers-round",      "layers-parent", "layers-group", "layers-many",    "layers-few",
        "layers-name",       "layers-mode",   "layers-twice", "layers-opacity", "layers-canvas",
        "layers-unmeasured", "layers-pixels", "layers-sound"};
    const struct layers_limits limits = layers_limits_defaults();
    struct reader_file f = open_file(PICTURE);
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        const char *words[3];
        struct layer_stack s;
        struct err e = {0};
        bool sound = strcmp(lies[i], "layers-sound") == 0;
        struct reader *r = open_as(lies[i], 0, words);
        if (reader_layers(r, &f, &limits, &s, &e) != (sound ? ERR_OK : ERR_FORMAT))
            fail_msg("%s: '%s'", lies[i], e.text);
        assert_true(sound || strstr(e.text, "answered what makes no sense"));
        assert_int_equal(s.n, sound ? 1 : 0);
        layer_stack_deinit(&s);
        reader_close(r);
    }
    (void)close(f.fd);
}

static void what_waits_is_started_anew_when_it_was_killed(void **state)
{
    const char *words[3];
    struct reader_file f = open_file(PICTURE);
    struct reader *r = open_sound(words);
    (void)state;
    assert_same(PICTURE, READER_CHECK, r, &f);
    assert_int_equal(kill(first_child(), SIGKILL), 0);
    assert_same(PICTURE, READER_CHECK, r, &f);
    assert_same(PICTURE, READER_CHECK, r, &f);
    (void)close(f.fd);
    reader_close(r);
}

static void a_program_that_is_not_there_is_an_error(void **state)
{
    struct reader *r = NULL;
    struct err e = {0};
    struct reader_file f = open_file(PICTURE);
    (void)state;
    assert_int_equal(reader_open(&(struct reader_options){.program = "/no/such"}, &r, &e), ERR_OK);
    assert_int_equal(reader_image(r, &f, READER_CHECK, NULL, NULL, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "/no/such"));
    reader_close(r);
    (void)close(f.fd);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_reads_as_here),
        cmocka_unit_test(files_with_layers_read_as_here),
        cmocka_unit_test(what_is_no_image_is_refused),
        cmocka_unit_test(many_ask_one_after_the_other),
        cmocka_unit_test(words_read_as_here),
        cmocka_unit_test(words_that_make_no_sense_are_not_believed),
        cmocka_unit_test(words_of_a_process_that_is_killed_come_once),
        cmocka_unit_test(words_in_a_series_come_once),
        cmocka_unit_test(a_series_reads_as_here),
        cmocka_unit_test(a_series_goes_on_when_its_process_is_gone),
        cmocka_unit_test(a_much_larger_image_of_a_series_gets_a_process_of_its_own),
        cmocka_unit_test(a_crash_is_the_failure_of_its_file),
        cmocka_unit_test(a_loop_is_ended),
        cmocka_unit_test(one_that_stopped_is_ended),
        cmocka_unit_test(memory_has_a_bound),
        cmocka_unit_test(what_makes_no_sense_is_not_believed),
        cmocka_unit_test(layers_that_make_no_sense_are_not_believed),
        cmocka_unit_test(what_waits_is_started_anew_when_it_was_killed),
        cmocka_unit_test(a_program_that_is_not_there_is_an_error),
    };
    if (argc > 1)
        return be(argv[1]);
    log_set(LOG_ERROR, quiet, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
