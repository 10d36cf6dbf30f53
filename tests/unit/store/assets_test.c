/* Assets: what comes in, what is refused, and that files and rows agree. */
#include "support.h"

#include "image/load.h"

static enum err_code count_one(const char *name, void *user, struct err *e)
{
    (void)name;
    (void)e;
    ++*(size_t *)user;
    return ERR_OK;
}

static size_t count_files(struct place *p, const char *sub)
{
    char path[512];
    size_t n = 0;
    (void)snprintf(path, sizeof path, "%s/%s", p->dir, sub);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool two_levels = strcmp(sub, "tmp") != 0;
    assert_int_equal(files_walk(fd, two_levels, count_one, &n, NULL), ERR_OK);
    close(fd);
    return n;
}

static void name_is_kept_whole_or_refused(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct buf png;
    struct asset a;
    struct err e = {0};
    char name[ASSET_NAME_SIZE + 8] = "folder/";
    make_png(20, 10, 1, &png);
    memset(name + 7, 'n', ASSET_NAME_SIZE);
    struct asset_note note = {.name = name};
    assert_int_equal(asset_put(s, buf_str(&png), &note, &a, &e), ERR_ARG);
    assert_non_null(strstr(e.text, "the image's name has 256 bytes; at most 255 are kept"));
    name[7 + ASSET_NAME_SIZE - 1] = 0;
    assert_int_equal(asset_put(s, buf_str(&png), &note, &a, &e), ERR_OK);
    assert_string_equal(a.name, name + 7);
    buf_deinit(&png);
    store_close(s);
}

static void image_comes_back_when_it_was_put_in(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct buf png;
    struct asset a, again;
    make_png(20, 10, 1, &png);
    struct asset_note note = {.name = "C:\\fakepath\\../ca\tt.png"};
    assert_int_equal(asset_put(s, buf_str(&png), &note, &a, NULL), ERR_OK);
    assert_int_equal(a.format, IMAGE_FORMAT_PNG);
    assert_int_equal(a.width, 20);
    assert_int_equal(a.height, 10);
    assert_true(a.alpha);
    assert_false(a.existed);
    assert_int_equal(a.bytes, png.n);
    assert_string_equal(a.name, "ca?t.png");
    assert_string_equal(a.origin, "upload");
    int fd;
    assert_int_equal(asset_open(s, a.id, &again, &fd, NULL), ERR_OK);
    char *bytes = test_malloc(png.n);
    assert_int_equal(read(fd, bytes, png.n), png.n);
    assert_memory_equal(bytes, png.p, png.n);
    test_free(bytes);
    close(fd);
    struct image im;
    assert_int_equal(asset_load(s, a.id, &im, NULL), ERR_OK);
    assert_int_equal(im.w, 20);
    image_free(&im);
    buf_deinit(&png);
    store_close(s);
    s = open_store(p->dir);
    assert_int_equal(asset_get(s, a.id, &again, NULL), ERR_OK);
    assert_int_equal(again.seq, a.seq);
    store_close(s);
}

static void same_bytes_are_one_asset_when_put_in_twice(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct asset a = put_png(s, 8, 8, 1), b = put_png(s, 8, 8, 1), c = put_png(s, 8, 8, 2);
    assert_string_equal(a.id, b.id);
    assert_int_equal(a.seq, b.seq);
    assert_true(b.existed);
    assert_string_not_equal(a.id, c.id);
    assert_int_equal(count_files(p, "assets"), 2);
    assert_int_equal(count_files(p, "tmp"), 0);
    store_close(s);
}

static void nothing_is_left_when_bytes_are_no_image(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct asset a;
    struct buf png;
    struct err e = {0};
    make_png(64, 64, 1, &png);
    assert_int_equal(asset_put(s, STR_LIT("<svg onload=alert(1)>"), NULL, &a, &e), ERR_FORMAT);
    assert_int_equal(asset_put(s, STR_LIT(""), NULL, &a, &e), ERR_FORMAT);
    assert_int_equal(asset_put(s, (struct str){png.p, png.n / 2}, NULL, &a, &e), ERR_FORMAT);
    assert_string_equal(a.id, "");
    struct asset_writer *w;
    assert_int_equal(asset_writer_begin(s, 100, &w, &e), ERR_OK);
    assert_int_equal(asset_writer_write(w, png.p, 60, &e), ERR_OK);
    assert_int_equal(asset_writer_write(w, png.p, 41, &e), ERR_LIMIT);
    asset_writer_abort(w);
    assert_int_equal(asset_writer_begin(s, 0, &w, &e), ERR_OK);
    assert_int_equal(asset_writer_write(w, png.p, png.n - 20, &e), ERR_OK);
    assert_int_equal(asset_writer_finish(w, NULL, &a, &e), ERR_FORMAT);
    buf_deinit(&png);
    assert_int_equal(count_files(p, "assets"), 0);
    assert_int_equal(count_files(p, "tmp"), 0);
    struct store_numbers n;
    assert_int_equal(store_count(s, &n, &e), ERR_OK);
    assert_int_equal(n.assets, 0);
    store_close(s);
}

static void ids_are_not_found_when_they_look_like_paths(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    static const char *const ids[] = {
        "",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        "ab/cd",
        "%2e%2e",
        "veetance.db",
        NULL,
        "ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789",
        "abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567890",
        "0000000000000000000000000000000000000000000000000000000000000000"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct asset a;
        struct image im;
        int fd;
        assert_int_equal(asset_get(s, ids[i], &a, NULL), ERR_NOTFOUND);
        assert_int_equal(asset_open(s, ids[i], &a, &fd, NULL), ERR_NOTFOUND);
        assert_int_equal(asset_thumb_open(s, ids[i], 64, &fd, NULL, NULL, NULL), ERR_NOTFOUND);
        assert_int_equal(asset_load(s, ids[i], &im, NULL), ERR_NOTFOUND);
    }
    store_close(s);
}

static void list_comes_in_pages_when_there_are_many(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    for (unsigned i = 0; i < 7; i++)
        (void)put_png(s, 4, 4, i);
    const struct asset_filter all = asset_filter_all();
    struct asset_list l;
    int64_t before = 0, last = INT64_MAX;
    size_t seen = 0, pages = 0;
    do {
        assert_int_equal(asset_list(s, &all, before, 3, &l, NULL), ERR_OK);
        for (size_t i = 0; i < l.n; i++) {
            assert_true(l.items[i].seq < last);
            last = l.items[i].seq;
        }
        seen += l.n;
        pages++;
        before = l.next;
        asset_list_deinit(&l);
    } while (before);
    assert_int_equal(seen, 7);
    assert_int_equal(pages, 3);
    store_close(s);
}

static void thumbnail_is_made_once_when_asked_for_twice(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct asset a = put_png(s, 300, 150, 3);
    for (int i = 0; i < 2; i++) {
        char head[20000] = "";
        int fd, side;
        uint64_t bytes;
        struct image_info info;
        assert_int_equal(asset_thumb_open(s, a.id, 100, &fd, &bytes, &side, NULL), ERR_OK);
        assert_int_equal(side, 128);
        assert_int_equal(read(fd, head, sizeof head), bytes);
        assert_memory_equal(head + 8, "WEBP", 4);
        assert_int_equal(image_probe_memory((struct str){head, bytes}, NULL, &info, NULL), ERR_OK);
        assert_int_equal(info.w, 128);
        assert_int_equal(info.h, 64);
        close(fd);
        assert_int_equal(count_files(p, "thumbs"), 1);
    }
    store_close(s);
}

static void damaged_file_is_told_when_it_is_opened(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct asset a = put_png(s, 30, 30, 3), b = put_png(s, 31, 31, 3);
    char path[512];
    int fd;
    struct store_report r;
    (void)snprintf(path, sizeof path, "%s/assets/%.2s/%s", p->dir, a.id, a.id);
    assert_int_equal(truncate(path, 40), 0);
    assert_int_equal(asset_open(s, a.id, NULL, &fd, NULL), ERR_IO);
    assert_int_equal(store_check(s, false, NULL, NULL, &r, NULL), ERR_OK);
    assert_int_equal(r.damaged, 1);
    /* Putting the right bytes in again mends it. */
    assert_string_equal(put_png(s, 30, 30, 3).id, a.id);
    assert_int_equal(asset_open(s, a.id, NULL, &fd, NULL), ERR_OK);
    close(fd);
    (void)snprintf(path, sizeof path, "%s/assets/%.2s/%s", p->dir, b.id, b.id);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 50), 1);
    close(fd);
    assert_int_equal(store_check(s, false, NULL, NULL, &r, NULL), ERR_OK);
    assert_int_equal(r.damaged, 0);
    assert_int_equal(store_check(s, true, NULL, NULL, &r, NULL), ERR_OK);
    assert_int_equal(r.damaged, 1);
    store_close(s);
}

static struct asset put_made(struct store *s, unsigned seed, const char *name, const char *prompt)
{
    struct buf b;
    struct asset a;
    const struct asset_made made = {
        .job = "j1", .task = "generate", .model = "m", .prompt = prompt, .seed = seed};
    const struct asset_note note = {.name = name, .origin = "result", .made = &made};
    make_png(4, 4, seed, &b);
    assert_int_equal(asset_put(s, buf_str(&b), &note, &a, NULL), ERR_OK);
    buf_deinit(&b);
    return a;
}

static void expect_found(struct store *s, struct asset_filter f, size_t n, const char *first)
{
    struct asset_list l;
    assert_int_equal(asset_list(s, &f, 0, 10, &l, NULL), ERR_OK);
    assert_int_equal(l.n, n);
    if (n > 0)
        assert_string_equal(l.items[0].id, first);
    asset_list_deinit(&l);
}

static struct asset_filter words(const char *text)
{
    struct asset_filter f = asset_filter_all();
    f.words = text;
    return f;
}

static void every_word_is_found_in_any_case(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct asset owl = put_made(s, 1, "seed-1.png",
                                "An Owl, \xc3\x9c"
                                "ber den B\xc3\xa4umen"),
                 cat = put_made(s, 2, "\xd0\x9a\xd0\x9e\xd0\xa2.png", "100%_black");
    expect_found(s, words("owl"), 1, owl.id);
    expect_found(s,
                 words("\xc3\xbc"
                       "BER OWL"),
                 1, owl.id);
    expect_found(s, words("B\xc3\x84UMEN seed-1"), 1, owl.id);
    expect_found(s, words("owl cat"), 0, NULL);
    expect_found(s, words("\xd0\xba\xd0\xbe\xd1\x82"), 1, cat.id);
    expect_found(s, words("0%_b"), 1, cat.id);
    expect_found(s, words("%"), 1, cat.id);
    expect_found(s, words("\xc3"), 0, NULL);
    expect_found(s, words("  "), 2, cat.id);
    store_close(s);
}

static void marks_are_kept_and_starred_images_stay(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct asset a = put_made(s, 1, "a", "first"), b = put_made(s, 2, "b", "second"), got;
    struct store_gc_params gc = {0};
    struct store_gc_result gone;
    assert_int_equal(asset_mark(s, a.id, (struct asset_marks){1, -1}, &got, NULL), ERR_OK);
    assert_true(got.starred && !got.trashed);
    assert_int_equal(asset_mark(s, "x", (struct asset_marks){1, 1}, &got, NULL), ERR_NOTFOUND);
    assert_int_equal(asset_mark(s, b.id, (struct asset_marks){-1, 1}, &got, NULL), ERR_OK);
    assert_true(!got.starred && got.trashed);
    assert_string_equal(got.prompt, "second");
    assert_int_equal(got.seed, 2);
    expect_found(s, (struct asset_filter){.marks = {-1, 0}}, 1, a.id);
    expect_found(s, (struct asset_filter){.marks = {-1, 1}, .origin = "result"}, 1, b.id);
    expect_found(s, (struct asset_filter){.marks = {-1, -1}, .origin = "upload"}, 0, NULL);
    /* What is put in again leaves the trash. */
    (void)put_made(s, 2, "b", "second");
    expect_found(s, (struct asset_filter){.marks = {-1, 0}}, 2, b.id);
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 1);
    expect_found(s, (struct asset_filter){.marks = {1, 0}}, 1, a.id);
    assert_int_equal(asset_mark(s, a.id, (struct asset_marks){-1, 1}, &got, NULL), ERR_OK);
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 1);
    store_close(s);
}

static void a_long_prompt_is_cut_between_characters(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    char prompt[3 * ASSET_PROMPT_SIZE + 8];
    for (size_t i = 0; i < 3 * (size_t)ASSET_PROMPT_SIZE; i++)
        prompt[i] = "\xe2\x82\xac"[i % 3];
    memcpy(prompt + sizeof prompt - 8, " end", 5);
    struct asset a = put_made(s, 1, "a", prompt);
    assert_int_equal(strlen(a.prompt), (ASSET_PROMPT_SIZE - 1) / 3 * 3);
    assert_true(str_is_utf8(str_from(a.prompt), NULL));
    expect_found(s, words("END"), 1, a.id);
    store_close(s);
}

static void note_asset(const char *id, bool deleted, void *user)
{
    struct buf *b = user;
    buf_printf(b, "%s%.4s ", deleted ? "-" : "+", id);
}

static void listener_is_told_of_every_change(void **state)
{
    struct place *p = *state;
    struct store *s = open_store(p->dir);
    struct buf told, expected;
    struct asset got;
    struct store_gc_params gc = {0};
    struct store_gc_result gone;
    buf_init(&told, 1000);
    buf_init(&expected, 1000);
    store_listen(s, &(struct store_listener){.asset = note_asset, .user = &told});
    struct asset a = put_png(s, 4, 4, 1), b = put_png(s, 4, 4, 2);
    assert_int_equal(asset_mark(s, a.id, (struct asset_marks){1, -1}, &got, NULL), ERR_OK);
    assert_int_equal(asset_delete(s, a.id, NULL), ERR_OK);
    assert_int_equal(asset_delete(s, a.id, NULL), ERR_NOTFOUND);
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    buf_printf(&expected, "+%.4s +%.4s +%.4s -%.4s -%.4s ", a.id, b.id, a.id, a.id, b.id);
    assert_string_equal(buf_z(&told), buf_z(&expected));
    buf_deinit(&told);
    buf_deinit(&expected);
    store_close(s);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        CASE(name_is_kept_whole_or_refused),
        CASE(image_comes_back_when_it_was_put_in),
        CASE(same_bytes_are_one_asset_when_put_in_twice),
        CASE(nothing_is_left_when_bytes_are_no_image),
        CASE(ids_are_not_found_when_they_look_like_paths),
        CASE(list_comes_in_pages_when_there_are_many),
        CASE(thumbnail_is_made_once_when_asked_for_twice),
        CASE(damaged_file_is_told_when_it_is_opened),
        CASE(every_word_is_found_in_any_case),
        CASE(marks_are_kept_and_starred_images_stay),
        CASE(a_long_prompt_is_cut_between_characters),
        CASE(listener_is_told_of_every_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
