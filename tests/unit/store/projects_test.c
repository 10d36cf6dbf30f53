/* Projects: revisions, undo, JSON, what jobs leave, and images of it all. */
#include "support.h"

#include "base/mem.h"
#include "image/load.h"
#include "layers/psd.h"
#include "store/jobs.h"
#include "store/project_json.h"
#include "store/projects.h"

static const unsigned char red[4] = {255, 0, 0, 255}, green[4] = {0, 255, 0, 255},
                           blue[4] = {0, 0, 255, 255}, white[4] = {255, 255, 255, 255};

static struct project_layer layer_of(const struct asset *a, double x, double y)
{
    struct project_layer l = project_layer_defaults();
    memcpy(l.asset, a->id, sizeof l.asset);
    l.x = x;
    l.y = y;
    return l;
}

/* A red canvas with a green square on it, kept. */
static struct project two_layers(struct store *s)
{
    struct project p;
    struct err e = {0};
    struct asset ground = put_solid(s, 40, 30, red), square = put_solid(s, 10, 10, green);
    project_init(&p, 40, 30);
    struct project_layer l = layer_of(&ground, 0, 0), m = layer_of(&square, 5, 6);
    assert_int_equal(project_insert(&p, 0, &l, NULL), ERR_OK);
    assert_int_equal(project_insert(&p, 1, &m, NULL), ERR_OK);
    if (project_create(s, &p, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return p;
}

static void project_comes_back_when_it_was_saved(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s), q;
    assert_int_equal(p.revision, 1);
    p.layers[1].opacity = 0.25;
    p.layers[1].rotation = -33.5;
    p.layers[1].blend = BLEND_COLOR_DODGE;
    p.layers[1].locked = true;
    (void)snprintf(p.name, sizeof p.name, "Two \"layers\"");
    struct project_change c = {.if_revision = 1, .label = "opacity"};
    assert_int_equal(project_save(s, &p, &c, NULL), ERR_OK);
    assert_int_equal(p.revision, 2);
    store_close(s);
    s = open_store(place->dir);
    assert_int_equal(project_get(s, p.id, &q, NULL), ERR_OK);
    assert_int_equal(q.n, 2);
    assert_int_equal(q.revision, 2);
    assert_true(q.can_undo);
    assert_false(q.can_redo);
    assert_string_equal(q.name, "Two \"layers\"");
    assert_memory_equal(&q.layers[1], &p.layers[1], sizeof p.layers[1]);
    struct project_list l;
    assert_int_equal(project_list(s, 0, 10, &l, NULL), ERR_OK);
    assert_int_equal(l.n, 1);
    assert_int_equal(l.items[0].n, 2);
    project_list_deinit(&l);
    assert_int_equal(project_delete(s, p.id, 1, NULL), ERR_BUSY);
    assert_int_equal(project_delete(s, p.id, 2, NULL), ERR_OK);
    project_deinit(&q);
    assert_int_equal(project_get(s, p.id, &q, NULL), ERR_NOTFOUND);
    project_deinit(&p);
    store_close(s);
}

static void nothing_is_kept_when_nothing_was_changed(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s), q;
    struct project_change nothing = {.nothing = true};
    struct project_change stale = {.if_revision = 7, .nothing = true};
    p.layers[1].x = 3;
    assert_int_equal(project_save(s, &p, NULL, NULL), ERR_OK);
    assert_int_equal(project_undo(s, p.id, 0, &q, NULL), ERR_OK);
    assert_int_equal(q.revision, 3);
    assert_int_equal(project_save(s, &q, &nothing, NULL), ERR_OK);
    assert_int_equal(q.revision, 3);
    assert_true(q.can_redo);
    assert_int_equal(project_save(s, &q, &stale, NULL), ERR_BUSY);
    q.layers[1].x = 4;
    assert_int_equal(project_save(s, &q, NULL, NULL), ERR_OK);
    assert_int_equal(q.revision, 4);
    assert_false(q.can_redo);
    project_deinit(&p);
    project_deinit(&q);
    store_close(s);
}

static int64_t clock_that_goes_back(void *user)
{
    int64_t *at = user;
    return *at;
}

static void projects_are_listed_in_the_order_of_their_changes_when_the_clock_goes_back(void **state)
{
    struct place *place = *state;
    int64_t at = (int64_t)1800000000 * 1000;
    struct store_options o = {
        .dir = place->dir, .wall_clock_ms = clock_that_goes_back, .user = &at};
    struct store *s;
    struct project p[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(store_open(&o, &s, NULL), ERR_OK);
        p[i] = two_layers(s);
        store_close(s);
        at -= (int64_t)400 * 24 * 3600 * 1000; /* more than is trusted */
    }
    s = open_store(place->dir);
    p[1].layers[0].x = 9;
    assert_int_equal(project_save(s, &p[1], NULL, NULL), ERR_OK);
    static const int order[] = {1, 3, 2, 0};
    int64_t before = 0;
    for (int i = 0; i < 4; i += 2) { /* in two pages */
        struct project_list l;
        assert_int_equal(project_list(s, before, 2, &l, NULL), ERR_OK);
        assert_int_equal(l.n, 2);
        assert_string_equal(l.items[0].id, p[order[i]].id);
        assert_string_equal(l.items[1].id, p[order[i + 1]].id);
        before = l.next;
        assert_int_equal(before != 0, i == 0);
        project_list_deinit(&l);
    }
    for (int i = 0; i < 4; i++)
        project_deinit(&p[i]);
    store_close(s);
}

static void second_writer_is_refused_when_the_revision_moved_on(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s), other;
    struct err e = {0};
    struct project_change c = {.if_revision = 1};
    assert_int_equal(project_get(s, p.id, &other, NULL), ERR_OK);
    p.layers[0].x = 1;
    assert_int_equal(project_save(s, &p, &c, NULL), ERR_OK);
    assert_int_equal(project_save(s, &other, &c, &e), ERR_BUSY);
    assert_true(project_is_conflict(&e));
    project_deinit(&other);
    assert_int_equal(project_undo(s, p.id, 1, &other, &e), ERR_BUSY);
    assert_true(project_is_conflict(&e));
    project_deinit(&p);
    store_close(s);
}

static double first_x(struct store *s, const char *id)
{
    struct project p;
    assert_int_equal(project_get(s, id, &p, NULL), ERR_OK);
    double x = p.layers[0].x;
    project_deinit(&p);
    return x;
}

static void states_come_back_in_order_when_undone_and_redone(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s), q;
    for (int i = 1; i <= 4; i++) {
        p.layers[0].x = i;
        assert_int_equal(project_save(s, &p, NULL, NULL), ERR_OK);
    }
    for (int i = 3; i >= 0; i--) {
        assert_int_equal(project_undo(s, p.id, 0, &q, NULL), ERR_OK);
        assert_true(q.layers[0].x == i && first_x(s, p.id) == i);
        assert_true(q.can_redo);
        assert_int_equal(q.can_undo, i > 0);
        assert_int_equal(q.revision, 5 + 4 - i);
        project_deinit(&q);
    }
    assert_int_equal(project_undo(s, p.id, 0, &q, NULL), ERR_ARG);
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(project_redo(s, p.id, 0, &q, NULL), ERR_OK);
        assert_true(q.layers[0].x == i);
        project_deinit(&q);
    }
    /* A change cuts off what could be redone. */
    p.layers[0].x = 9;
    assert_int_equal(project_save(s, &p, NULL, NULL), ERR_OK);
    assert_int_equal(project_redo(s, p.id, 0, &q, NULL), ERR_ARG);
    assert_int_equal(project_undo(s, p.id, 0, &q, NULL), ERR_OK);
    assert_true(q.layers[0].x == 2);
    project_deinit(&q);
    project_deinit(&p);
    store_close(s);
}

static void label_is_kept_whole_or_refused(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s);
    struct project_point points[PROJECT_UNDO_MAX + 1];
    struct err e = {0};
    char label[PROJECT_LABEL_SIZE + 1] = {0};
    size_t n;
    memset(label, 'l', PROJECT_LABEL_SIZE);
    struct project_change c = {.label = label};
    assert_int_equal(project_save(s, &p, &c, &e), ERR_ARG);
    assert_non_null(strstr(e.text, "the label has 64 bytes; at most 63 are kept"));
    assert_int_equal(project_history(s, p.id, points, PROJECT_UNDO_MAX + 1, &n, NULL), ERR_OK);
    assert_int_equal(n, 1);
    label[PROJECT_LABEL_SIZE - 1] = 0;
    assert_int_equal(project_save(s, &p, &c, &e), ERR_OK);
    assert_int_equal(project_history(s, p.id, points, PROJECT_UNDO_MAX + 1, &n, NULL), ERR_OK);
    assert_string_equal(points[1].label, label);
    project_deinit(&p);
    store_close(s);
}

static void one_undo_point_is_kept_when_a_drag_amends(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s), q;
    struct project_point points[PROJECT_UNDO_MAX + 1];
    size_t n;
    for (int i = 1; i <= 10; i++) {
        struct project_change c = {.label = "drag", .amend = i > 1};
        p.layers[0].x = i;
        assert_int_equal(project_save(s, &p, &c, NULL), ERR_OK);
    }
    assert_int_equal(project_history(s, p.id, points, PROJECT_UNDO_MAX + 1, &n, NULL), ERR_OK);
    assert_int_equal(n, 2);
    assert_string_equal(points[1].label, "drag");
    assert_true(points[1].current);
    assert_int_equal(project_undo(s, p.id, 0, &q, NULL), ERR_OK);
    assert_true(q.layers[0].x == 0);
    project_deinit(&q);
    project_deinit(&p);
    store_close(s);
}

static void old_points_go_and_their_images_when_history_is_long(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s);
    struct project_point points[PROJECT_UNDO_MAX + 5];
    struct store_gc_params gc = {0};
    struct store_gc_result gone;
    size_t n;
    struct asset other = put_solid(s, 10, 10, blue);
    struct project_layer was = p.layers[1];
    memcpy(p.layers[1].asset, other.id, sizeof other.id);
    for (int i = 0; i < PROJECT_UNDO_MAX; i++) {
        p.layers[1].x = i + 1;
        assert_int_equal(project_save(s, &p, NULL, NULL), ERR_OK);
    }
    /* The green square is in the first state only, which can still be undone to. */
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 0);
    p.layers[1].x = 0;
    assert_int_equal(project_save(s, &p, NULL, NULL), ERR_OK);
    assert_int_equal(project_history(s, p.id, points, PROJECT_UNDO_MAX + 5, &n, NULL), ERR_OK);
    assert_int_equal(n, PROJECT_UNDO_MAX + 1);
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 1);
    struct asset a;
    assert_int_equal(asset_get(s, was.asset, &a, NULL), ERR_NOTFOUND);
    assert_int_equal(project_delete(s, p.id, 0, NULL), ERR_OK);
    assert_int_equal(store_gc(s, &gc, &gone, NULL), ERR_OK);
    assert_int_equal(gone.assets, 2);
    project_deinit(&p);
    store_close(s);
}

/* ---- JSON --------------------------------------------------------------------------------------- */

static void field_is_named_when_json_is_wrong(void **state)
{
    (void)state;
#define A "\"asset\":\"0000000000000000000000000000000000000000000000000000000000000000\""
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"[]", "not an object"},
        {"{\"width\":0,\"height\":1}", "'width'"},
        {"{\"width\":1.5,\"height\":1}", "'width'"},
        {"{\"width\":\"1\",\"height\":1}", "'width'"},
        {"{\"width\":30000,\"height\":30000}", "pixels"},
        {"{\"height\":1}", "'width'"},
        {"{\"width\":1,\"height\":1,\"layers\":{}}", "'layers'"},
        {"{\"width\":1,\"height\":1,\"layres\":[]}", "'layres'"},
        {"{\"width\":1,\"height\":1,\"layers\":[3]}", "'layers[0]'"},
        {"{\"width\":1,\"height\":1,\"layers\":[{}]}", "'layers[0].asset'"},
        {"{\"width\":1,\"height\":1,\"layers\":[{\"asset\":\"../x\"}]}", "'layers[0].asset'"},
        {"{\"width\":1,\"height\":1,\"layers\":[{" A "},{" A ",\"x\":1e9}]}", "'layers[1].x'"},
        {"{\"width\":1,\"height\":1,\"layers\":[{" A ",\"opacity\":1.01}]}", "opacity"},
        {"{\"width\":1,\"height\":1,\"layers\":[{" A ",\"scale_x\":0}]}", "scale_x"},
        {"{\"width\":1,\"height\":1,\"layers\":[{" A ",\"blend_mode\":\"burn\"}]}", "blend_mode"},
        {"{\"width\":1,\"height\":1,\"layers\":[{" A ",\"visible\":1}]}", "visible"},
        {"{\"width\":1,\"height\":1,\"layers\":[{" A ",\"mask\":\"no\"}]}", "mask"},
        {"{\"width\":1,\"height\":1,\"layers\":[{" A ",\"opactiy\":1}]}", "opactiy"},
        {"{\"width\":1,\"height\":1,\"layers\":[{" A ",\"id\":\"a b\"}]}", "'layers[0].id'"},
        {"{\"width\":1,\"height\":1,\"layers\":[{" A ",\"id\":\"a\"},{" A ",\"id\":\"a\"}]}",
         "'layers[1].id'"},
        {"{\"width\":1,\"height\":1,\"layers\":[{" A ",\"kind\":\"text\"}]}", "'layers[0].kind'"},
        {"{\"width\":1,\"height\":1,\"layers\":[{" A ",\"parent\":\"x\"}]}", "'layers[0].parent'"},
        {"{\"width\":1,\"height\":1,\"layers\":[{" A ",\"warning\":1}]}", "'layers[0].warning'"},
        {"{\"width\":1,\"height\":1,\"layers\":[{\"asset\":null}]}",
         "'layers[0].asset' is missing"},
        {"{\"width\":1,\"height\":1,\"selection\":\"x\"}", "'selection'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct project p;
        struct err e = {0};
        enum err_code rc = project_json_parse(str_from(cases[i].json), &p, &e);
        if ((rc != ERR_ARG && rc != ERR_LIMIT) || !strstr(e.text, cases[i].says))
            fail_msg("%s: %s", cases[i].json, e.text);
    }
    struct project p;
    assert_int_equal(project_json_parse(STR_LIT("{\"width\":4,\"height\":3,\"layers\":[{" A
                                                ",\"mask\":null,\"x\":-2}],\"revision\":7}"),
                                        &p, NULL),
                     ERR_OK);
    assert_int_equal(p.n, 1);
    assert_int_equal(p.revision, 0);
    assert_true(p.layers[0].x == -2 && p.layers[0].opacity == 1 && p.layers[0].visible);
    /* A patch keeps what it does not name, and changes nothing when it is wrong. */
    yyjson_doc *good = yyjson_read("{\"name\":\"n\"}", 12, 0);
    yyjson_doc *bad = yyjson_read("{\"name\":\"m\",\"width\":-1}", 23, 0);
    assert_int_equal(project_json_patch(&p, yyjson_doc_get_root(good), NULL), ERR_OK);
    assert_int_equal(project_json_patch(&p, yyjson_doc_get_root(bad), NULL), ERR_ARG);
    assert_string_equal(p.name, "n");
    assert_int_equal(p.n, 1);
    yyjson_doc_free(good);
    yyjson_doc_free(bad);
    project_deinit(&p);
}

static void save_is_refused_when_an_asset_is_not_there(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s);
    struct project_layer was = p.layers[0];
    memset(p.layers[0].asset, '0', 64);
    assert_int_equal(project_save(s, &p, NULL, NULL), ERR_NOTFOUND);
    p.layers[0] = was;
    memset(p.layers[0].mask, 'a', 64);
    assert_int_equal(project_save(s, &p, NULL, NULL), ERR_NOTFOUND);
    struct project q;
    assert_int_equal(project_get(s, p.id, &q, NULL), ERR_OK);
    assert_int_equal(q.revision, 1);
    project_deinit(&q);
    project_deinit(&p);
    store_close(s);
}

/* ---- images ----------------------------------------------------------------------------------- */

static void expect_pixel(const struct image *im, int x, int y, const unsigned char *rgba)
{
    const unsigned char *p = image_row(im, y) + 4 * (size_t)x;
    for (int c = 0; c < 4; c++)
        if (abs(p[c] - rgba[c]) > 2)
            fail_msg("pixel %d, %d is %d %d %d %d", x, y, p[0], p[1], p[2], p[3]);
}

static struct image flatten(struct store *s, const struct project *p)
{
    struct image im;
    struct err e = {0};
    if (project_flatten(s, p, NULL, NULL, &im, &e) != ERR_OK)
        fail_msg("%s", e.text);
    return im;
}

static void layers_lie_where_they_are_put_when_flattened(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s);
    struct image im = flatten(s, &p);
    expect_pixel(&im, 4, 6, red);
    expect_pixel(&im, 5, 6, green);
    expect_pixel(&im, 14, 15, green);
    expect_pixel(&im, 15, 15, red);
    image_free(&im);
    struct project_layer *l = &p.layers[1];
    l->scale_x = 2; /* 5 to 25 */
    l->scale_y = 0.5;
    im = flatten(s, &p);
    expect_pixel(&im, 23, 8, green);
    expect_pixel(&im, 23, 12, red);
    image_free(&im);
    l->scale_x = -1; /* mirrored: left of its corner */
    l->scale_y = 1;
    l->x = 15;
    im = flatten(s, &p);
    expect_pixel(&im, 5, 6, green);
    expect_pixel(&im, 14, 6, green);
    expect_pixel(&im, 15, 6, red);
    image_free(&im);
    l->scale_x = 1;
    l->rotation = 90; /* a quarter clockwise: left of and below its corner */
    im = flatten(s, &p);
    expect_pixel(&im, 5, 6, green);
    expect_pixel(&im, 14, 15, green);
    expect_pixel(&im, 15, 6, red);
    expect_pixel(&im, 4, 6, red);
    image_free(&im);
    l->rotation = 45;
    l->x = 20;
    im = flatten(s, &p);
    expect_pixel(&im, 20, 12, green);
    expect_pixel(&im, 15, 12, green);
    expect_pixel(&im, 12, 8, red);
    image_free(&im);
    l->visible = false;
    im = flatten(s, &p);
    expect_pixel(&im, 20, 12, red);
    image_free(&im);
    project_deinit(&p);
    store_close(s);
}

static void mask_hides_what_is_black_when_it_is_of_another_size(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s);
    struct image mask, im;
    struct asset a;
    assert_int_equal(image_new(&mask, 20, 20, 1, NULL), ERR_OK);
    for (int y = 0; y < 20; y++)
        memset(image_row(&mask, y) + 10, 255, 10);
    assert_int_equal(asset_put_image(s, &mask, NULL, &a, NULL), ERR_OK);
    image_free(&mask);
    memcpy(p.layers[1].mask, a.id, sizeof a.id);
    assert_int_equal(project_save(s, &p, NULL, NULL), ERR_OK);
    im = flatten(s, &p);
    expect_pixel(&im, 6, 10, red);
    expect_pixel(&im, 13, 10, green);
    image_free(&im);
    project_deinit(&p);
    store_close(s);
}

/* The exported file's bytes, in memory that the failing allocator does not count. */
static enum err_code exported(struct store *s, const struct project *p, int format, struct buf *b,
                              struct err *e)
{
    int fd = -1;
    uint64_t bytes = 0;
    enum err_code rc =
        project_export(s, p, &(struct project_output){.format = (enum project_format)format}, NULL,
                       &fd, &bytes, e);
    mem_fail_after(0);
    buf_init(b, (size_t)1 << 30);
    if (rc == ERR_OK) {
        assert_int_equal(pread(fd, buf_grow(b, bytes), bytes, 0), bytes);
        assert_int_equal(close(fd), 0);
    } else {
        assert_int_equal(fd, -1);
    }
    return rc;
}

static bool at_last_call(void *user)
{
    int *calls = user;
    return --*calls < 0;
}

static void export_ends_when_nobody_wants_it(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s);
    for (int f = 0; f < PROJECT_FORMATS; f++) {
        enum err_code rc = ERR_CANCELLED;
        int n = 0;
        for (; rc == ERR_CANCELLED; n++) {
            int calls = n, fd = -1;
            uint64_t bytes = 0;
            const struct project_stop stop = {at_last_call, &calls};
            rc = project_export(s, &p, &(struct project_output){.format = (enum project_format)f},
                                &stop, &fd, &bytes, NULL);
            assert_int_equal(fd >= 0, rc == ERR_OK);
            if (fd >= 0)
                assert_int_equal(close(fd), 0);
        }
        assert_int_equal(rc, ERR_OK);
        assert_true(n > 4);
    }
    project_deinit(&p);
    store_close(s);
}

static void weight_covers_the_pixels(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s);
    uint64_t small = 0, large = 0, stack = 0;
    assert_int_equal(
        project_weight(s, &p, &(struct project_output){.format = PROJECT_PNG}, &small, NULL),
        ERR_OK);
    p.w = p.h = 9999;
    assert_int_equal(
        project_weight(s, &p, &(struct project_output){.format = PROJECT_PNG}, &large, NULL),
        ERR_OK);
    assert_true(large > (uint64_t)4 * 9999 * 9999 && small < large / 100);
    p.layers[1].scale_x = p.layers[1].scale_y = 900;
    assert_int_equal(
        project_weight(s, &p, &(struct project_output){.format = PROJECT_PSD}, &stack, NULL),
        ERR_OK);
    assert_true(stack > large);
    memset(p.layers[1].asset, '0', ASSET_ID_SIZE - 1);
    assert_int_equal(
        project_weight(s, &p, &(struct project_output){.format = PROJECT_PSD}, &stack, NULL),
        ERR_NOTFOUND);
    project_deinit(&p);
    store_close(s);
}

static void every_format_has_the_image_when_exported(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s);
    p.layers[1].rotation = 30;
    struct image want = flatten(s, &p), got;
    for (int f = 0; f < PROJECT_FORMATS; f++) {
        struct buf b;
        struct err e = {0};
        enum project_format again = PROJECT_FORMATS;
        if (exported(s, &p, f, &b, &e) != ERR_OK)
            fail_msg("%s: %s", project_format_name((enum project_format)f), e.text);
        assert_true(project_format_from_name(str_from(project_format_name((enum project_format)f)),
                                             &again));
        assert_int_equal(again, f);
        if (f == PROJECT_PNG || f == PROJECT_WEBP) {
            assert_int_equal(image_load_memory(buf_str(&b), NULL, NULL, &got, NULL), ERR_OK);
        } else if (f == PROJECT_PSD) {
            struct layer_stack stack;
            assert_int_equal(psd_decode(buf_str(&b), NULL, &stack, NULL), ERR_OK);
            assert_int_equal(stack.n, 2);
            assert_string_equal(stack.layers[1].id, p.layers[1].id);
            assert_int_equal(layers_flatten(&stack, &got, NULL), ERR_OK);
            layer_stack_deinit(&stack);
        } else {
            assert_memory_equal(b.p, f == PROJECT_JPEG ? "\xff\xd8" : "PK", 2);
            buf_deinit(&b);
            continue;
        }
        struct image rgba;
        struct image_difference d;
        assert_int_equal(image_convert(&got, 4, &rgba, NULL), ERR_OK);
        assert_int_equal(image_compare(&want, &rgba, &d, NULL), ERR_OK);
        assert_int_equal(d.max, 0);
        image_free(&rgba);
        image_free(&got);
        buf_deinit(&b);
    }
    image_free(&want);
    project_deinit(&p);
    store_close(s);
}

/* Every allocation fails once, and all after it: an error each time, and nothing is left behind. */
static void an_error_comes_back_when_memory_runs_out(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s);
    p.layers[1].rotation = 30;
    p.layers[1].scale_x = 1.5;
    memcpy(p.layers[1].mask, p.layers[0].asset, sizeof p.layers[1].mask);
    for (int f = 0; f < PROJECT_FORMATS; f++) {
        enum err_code rc = ERR_NOMEM;
        long n = 1;
        for (; rc != ERR_OK && n < 2000; n++) {
            struct buf b;
            struct err e = {0};
            mem_fail_after(n);
            rc = exported(s, &p, f, &b, &e);
            mem_fail_after(0);
            if (rc != ERR_OK && rc != ERR_NOMEM &&
                rc != ERR_LIMIT) /* a buffer tells no difference */
                fail_msg("%s at %ld: %s", project_format_name((enum project_format)f), n, e.text);
            buf_deinit(&b);
        }
        assert_true(n > 10 && n < 2000);
    }
    for (long n = 1; n < 30; n++) {
        struct project q;
        struct project_list l;
        mem_fail_after(n);
        enum err_code rc = project_get(s, p.id, &q, NULL);
        enum err_code list_rc = project_list(s, 0, 5, &l, NULL);
        mem_fail_after(0);
        assert_true(rc == ERR_OK || rc == ERR_NOMEM);
        assert_true(list_rc == ERR_OK || list_rc == ERR_NOMEM);
        project_deinit(&q);
        if (list_rc == ERR_OK)
            project_list_deinit(&l);
    }
    project_deinit(&p);
    store_close(s);
}

/* ---- from jobs ---------------------------------------------------------------------------------- */

static void finish_layers_job(struct store *s, const char *result, char id[STORE_ID_SIZE])
{
    struct job_record r;
    struct job_new job = {.kind = "layers", .model = "micro-layered"};
    assert_int_equal(jobs_add(s, &job, &r, NULL), ERR_OK);
    assert_int_equal(jobs_start(s, r.id, NULL), ERR_OK);
    struct job_outcome o = {.state = JOB_DONE, .result = str_from(result)};
    assert_int_equal(jobs_finish(s, r.id, &o, NULL), ERR_OK);
    memcpy(id, r.id, STORE_ID_SIZE);
    job_record_deinit(&r);
}

static enum err_code import(struct store *s, struct project *p, const char *job,
                            const char *replace, struct err *e)
{
    return project_import(s, p, &(struct project_source){.job = job, .replace = replace}, e);
}

static void job_becomes_a_project_when_imported(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct asset ground = put_solid(s, 20, 15, blue), dot = put_solid(s, 4, 4, white);
    char job[STORE_ID_SIZE], result[600];
    struct err e = {0};
    (void)snprintf(result, sizeof result,
                   "{\"width\":20,\"height\":15,\"layers\":[{\"asset\":\"%s\",\"name\":\"ground\","
                   "\"id\":\"layer-1\"},"
                   "{\"asset\":\"%s\",\"x\":2,\"y\":3,\"opacity\":0.5,\"blend_mode\":\"screen\"}]}",
                   ground.id, dot.id);
    finish_layers_job(s, result, job);
    struct project p;
    project_init(&p, 0, 0);
    if (import(s, &p, job, NULL, &e) != ERR_OK)
        fail_msg("%s", e.text);
    assert_int_equal(project_create(s, &p, NULL), ERR_OK);
    assert_int_equal(p.w, 20);
    assert_int_equal(p.n, 2);
    assert_string_equal(p.layers[0].name, "ground");
    assert_string_equal(p.layers[0].id, "layer-1");
    assert_int_equal(import(s, &p, job, NULL, NULL), ERR_OK);
    assert_int_equal(project_save(s, &p, NULL, NULL), ERR_OK); /* twice: with another id */
    assert_int_equal(p.n, 4);
    assert_string_equal(p.layers[1].name, "layers 2");
    assert_int_equal(p.layers[1].blend, BLEND_SCREEN);
    project_deinit(&p);
    /* In place of a layer that shows an image twice as large, turned by a quarter. */
    p = two_layers(s);
    struct project_layer *parent = &p.layers[0];
    parent->rotation = 90;
    parent->x = 40;
    (void)snprintf(parent->name, sizeof parent->name, "parent");
    assert_int_equal(import(s, &p, job, "nobody", NULL), ERR_NOTFOUND);
    assert_int_equal(import(s, &p, job, parent->id, NULL), ERR_OK);
    assert_int_equal(p.n, 3);
    assert_string_equal(p.layers[1].name, "parent / layers 2");
    assert_true(p.layers[1].scale_x == 2 && p.layers[1].rotation == 90);
    assert_true(p.layers[1].x == 34 && p.layers[1].y == 4);
    struct image im = flatten(s, &p);
    expect_pixel(&im, 38, 1, blue);
    static const unsigned char half[4] = {128, 128, 255, 255};
    expect_pixel(&im, 30, 6, half);
    image_free(&im);
    assert_int_equal(import(s, &p, "j00000000000000000000", NULL, NULL), ERR_NOTFOUND);
    project_deinit(&p);
    store_close(s);
}

static void layer_becomes_a_group_when_its_parts_replace_it(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct asset part = put_solid(s, 20, 15, blue);
    struct project p = two_layers(s);
    char job[STORE_ID_SIZE], result[800];
    struct err e = {0};
    (void)snprintf(result, sizeof result,
                   "{\"width\":20,\"height\":15,\"layers\":[{\"asset\":\"%s\",\"id\":\"a\"},"
                   "{\"asset\":\"%s\",\"id\":\"b\"}],\"warnings\":["
                   "{\"code\":\"opaque_layer\",\"detail\":\"d\",\"value\":1},"
                   "{\"code\":\"opaque_layer\",\"detail\":\"out of range\",\"value\":2},"
                   "{\"code\":\"far_from_source\",\"detail\":\"the layers differ\"}]}",
                   part.id, part.id);
    finish_layers_job(s, result, job);
    struct project_layer was = p.layers[0];
    struct project_source from = {.job = job, .group = true};
    assert_int_equal(project_import(s, &p, &from, &e), ERR_ARG);
    assert_non_null(strstr(e.text, "'group'"));
    p.layers[0].opacity = 0.5;
    p.layers[0].blend = BLEND_MULTIPLY;
    from.replace = was.id;
    for (int again = 0; again < 2; again++) { /* the second time its old members go */
        assert_int_equal(project_import(s, &p, &from, &e), ERR_OK);
        assert_int_equal(p.n, 4);
        const struct project_layer *g = &p.layers[2], *c = p.layers;
        assert_int_equal(g->kind, PROJECT_GROUP);
        assert_string_equal(g->id, was.id);
        assert_string_equal(g->asset, was.asset);
        assert_true(g->opacity == 0.5 && g->blend == BLEND_MULTIPLY);
        assert_string_equal(g->warning, "Out of range. The layers differ.");
        assert_string_equal(c[0].id, "a");
        assert_string_equal(c[0].warning, "");
        assert_string_equal(c[1].warning,
                            "This layer has no transparency and hides what is under it.");
        for (int i = 0; i < 2; i++) {
            assert_string_equal(c[i].parent, was.id);
            assert_true(c[i].opacity == 1 && c[i].blend == BLEND_NORMAL && c[i].scale_x == 2);
        }
    }
    assert_int_equal(project_save(s, &p, NULL, &e), ERR_OK);
    assert_int_equal(asset_delete(s, was.asset, &e), ERR_BUSY); /* remembered */
    /* Groups that were made of nothing have no image that could be replaced. */
    p.layers[2].asset[0] = 0;
    assert_int_equal(project_import(s, &p, &from, &e), ERR_ARG);
    project_deinit(&p);
    store_close(s);
}

/* ---- groups ------------------------------------------------------------------------------------- */

/* "a b<G c<G G d": bottom first, the group behind "<"; capitals are groups. */
static struct project rows(const char *text)
{
    struct project p;
    project_init(&p, 8, 8);
    for (; *text; text += *text == ' ') {
        struct project_layer l = project_layer_defaults();
        memset(l.asset, '0', 64);
        l.id[0] = *text;
        l.kind = *text >= 'A' && *text <= 'Z' ? PROJECT_GROUP : PROJECT_IMAGE;
        if (*++text == '<') {
            l.parent[0] = text[1];
            text += 2;
        }
        assert_int_equal(project_insert(&p, p.n, &l, NULL), ERR_OK);
    }
    return p;
}

static void expect_rows(struct project *p, const char *ids)
{
    char got[32] = {0};
    for (size_t i = 0; i < p->n; i++)
        got[i] = p->layers[i].id[0];
    assert_string_equal(got, ids);
    project_deinit(p);
}

static void rows_are_refused_when_groups_do_not_lie_together(void **state)
{
    (void)state;
    static const struct {
        const char *rows, *says; /* NULL: good */
    } cases[] = {
        {"a b<G c<G G d", NULL},
        {"b<G a<H H<G c<G G", NULL},
        {"a<H b<G H<G c<G G", "'layers[0].parent' is 'H', but the layer does not lie together"},
        {"G H", NULL},
        {"a<G b G", "'layers[0].parent' is 'G', but the layer does not lie together"},
        {"G a<G", "'layers[1].parent' is 'G', but the layer does not lie"},
        {"a<X", "'layers[0].parent' is 'X', and no layer has that id"},
        {"a<b b", "'layers[0].parent' is 'b', which is not a group"},
        {"G<G", "'layers[0].parent'"},
        {"G<H H<G", "'layers[1].parent'"},
        {"A<B B<C C<D D<E E<F F<G G<H H<I I<J J<K K<L L<M M<N N<O O<P P", NULL},
        {"A<B B<C C<D D<E E<F F<G G<H H<I I<J J<K K<L L<M M<N N<O O<P P<Q Q", "deeper than 16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct project p = rows(cases[i].rows);
        struct err e = {0};
        enum err_code rc = project_check(&p, &e);
        if ((rc == ERR_OK) != !cases[i].says || (rc && !strstr(e.text, cases[i].says)))
            fail_msg("%s: %s", cases[i].rows, e.text);
        project_deinit(&p);
    }
}

static void members_go_where_their_group_goes(void **state)
{
    (void)state;
    static const char text[] = "a b<G c<H H<G G d";
    static const struct {
        size_t from, to;
        const char *ids;
    } moves[] = {{4, 5, "adbcHG"}, {4, 3, "bcHGad"}, {0, 5, "bcHGda"}, {5, 0, "dabcHG"},
                 {3, 2, "acHbGd"}, {4, 4, text},     {4, 2, text},     {4, 6, text}};
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        struct project p = rows(text);
        project_move(&p, moves[i].from, moves[i].to);
        expect_rows(&p, moves[i].ids == text ? "abcHGd" : moves[i].ids);
    }
    struct project p = rows(text);
    project_remove(&p, 4);
    expect_rows(&p, "ad");
    p = rows(text);
    project_remove_members(&p, 4);
    expect_rows(&p, "aGd");
    p = rows(text);
    assert_int_equal(project_lowest(&p, 4), 1);
    assert_int_equal(project_unit(&p, 2, ""), 4);
    assert_int_equal(project_unit(&p, 2, "G"), 3);
    assert_int_equal(project_top_of(&p, "G"), 4);
    assert_int_equal(project_top_of(&p, ""), 6);
    expect_rows(&p, "abcHGd");
}

static void group_is_composed_by_itself(void **state)
{
    struct place *place = *state;
    struct store *s = open_store(place->dir);
    struct project p = two_layers(s);
    struct asset square = put_solid(s, 10, 10, blue);
    struct project_layer top = layer_of(&square, 5, 6), g = project_layer_defaults();
    top.blend = BLEND_ADD; /* acts on the green square, not on the red ground */
    (void)snprintf(g.id, sizeof g.id, "g");
    (void)snprintf(top.parent, sizeof top.parent, "g");
    (void)snprintf(p.layers[1].parent, sizeof p.layers[1].parent, "g");
    g.kind = PROJECT_GROUP;
    g.opacity = 0.5;
    assert_int_equal(project_insert(&p, 2, &top, NULL), ERR_OK);
    assert_int_equal(project_insert(&p, 3, &g, NULL), ERR_OK);
    assert_int_equal(project_save(s, &p, NULL, NULL), ERR_OK);
    static const unsigned char mixed[4] = {128, 128, 128, 255};
    struct image im = flatten(s, &p);
    expect_pixel(&im, 6, 7, mixed);
    expect_pixel(&im, 2, 2, red);
    image_free(&im);
    const struct image_rect part = {5, 6, 2, 3};
    assert_int_equal(project_flatten(s, &p, &part, NULL, &im, NULL), ERR_OK);
    assert_true(im.w == 2 && im.h == 3);
    expect_pixel(&im, 1, 2, mixed);
    image_free(&im);
    struct layer_stack stack;
    assert_int_equal(project_render(s, &p, NULL, &stack, NULL), ERR_OK);
    assert_int_equal(layers_flatten(&stack, &im, NULL), ERR_OK);
    expect_pixel(&im, 6, 7, mixed);
    image_free(&im);
    layer_stack_deinit(&stack);
    uint64_t flat, open;
    assert_int_equal(
        project_weight(s, &p, &(struct project_output){.format = PROJECT_PNG}, &open, NULL),
        ERR_OK);
    p.layers[3].visible = false;
    im = flatten(s, &p);
    expect_pixel(&im, 6, 7, red);
    image_free(&im);
    project_remove(&p, 3);
    assert_int_equal(p.n, 1);
    assert_int_equal(
        project_weight(s, &p, &(struct project_output){.format = PROJECT_PNG}, &flat, NULL),
        ERR_OK);
    assert_int_equal(open - flat, 4 * 40 * 30);
    project_deinit(&p);
    store_close(s);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        CASE(project_comes_back_when_it_was_saved),
        CASE(nothing_is_kept_when_nothing_was_changed),
        CASE(projects_are_listed_in_the_order_of_their_changes_when_the_clock_goes_back),
        CASE(second_writer_is_refused_when_the_revision_moved_on),
        CASE(states_come_back_in_order_when_undone_and_redone),
        CASE(label_is_kept_whole_or_refused),
        CASE(one_undo_point_is_kept_when_a_drag_amends),
        CASE(old_points_go_and_their_images_when_history_is_long),
        cmocka_unit_test(field_is_named_when_json_is_wrong),
        CASE(save_is_refused_when_an_asset_is_not_there),
        CASE(layers_lie_where_they_are_put_when_flattened),
        CASE(mask_hides_what_is_black_when_it_is_of_another_size),
        CASE(every_format_has_the_image_when_exported),
        CASE(export_ends_when_nobody_wants_it),
        CASE(weight_covers_the_pixels),
        CASE(an_error_comes_back_when_memory_runs_out),
        CASE(job_becomes_a_project_when_imported),
        CASE(layer_becomes_a_group_when_its_parts_replace_it),
        cmocka_unit_test(rows_are_refused_when_groups_do_not_lie_together),
        cmocka_unit_test(members_go_where_their_group_goes),
        CASE(group_is_composed_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
