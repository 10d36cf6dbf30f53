#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "fetch/catalogue.h"

static const char sound[] =
    "{\"format\":1,\"hub\":\"https://hub.example\","
    "\"licences\":{\"l\":{\"name\":\"L\",\"url\":\"https://l.example\"}},"
    "\"sources\":{\"s\":{\"repo\":\"o/r\",\"licence\":\"l\",\"gated\":true}},"
    "\"sets\":[{\"name\":\"one\",\"title\":\"t\",\"settings\":{\"pipeline\":\"klein\"},"
    "\"components\":[{\"name\":\"vae\",\"choices\":[{\"name\":\"bf16\",\"source\":\"s\",\"files\":["
    "\"a/b.json\",{\"path\":\"c.bin\",\"to\":\"d.bin\",\"size\":7,\"sha256\":\"" /* 64 digits */
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}]}]}]}]}";

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct catalogue *c;
    const struct catalogue_set *s;
    const struct catalogue_choice *h;
    struct err e = {0};
    bool whole;
    assert_int_equal(catalogue_parse(str_from(sound), "test", &c, &e), ERR_OK);
    assert_string_equal(catalogue_hub(c), "https://hub.example");
    assert_int_equal(catalogue_find(c, "one", &s, &e), ERR_OK);
    assert_int_equal(catalogue_choice_find(&s->components[0], NULL, &h, &e), ERR_OK);
    assert_string_equal(h->source->repo, "o/r");
    assert_string_equal(h->source->revision, "main");
    assert_true(h->source->gated);
    assert_int_equal(h->file_count, 2);
    assert_string_equal(h->files[0].to, "a/b.json");
    assert_int_equal(h->files[0].size, -1);
    assert_null(h->files[0].sha256);
    assert_string_equal(h->files[1].to, "d.bin");
    assert_int_equal(catalogue_choice_bytes(h, &whole), 7);
    assert_int_equal(catalogue_find(c, "two", &s, &e), ERR_NOTFOUND);
    assert_non_null(strstr(e.text, "there are: one"));
    assert_int_equal(catalogue_choice_find(&s->components[0], "fp8", &h, &e), ERR_ARG);
    assert_int_equal(catalogue_choice_find(&s->components[0], "BF16", &h, &e), ERR_OK);
    catalogue_free(c);
}

/* The sound text with one piece replaced; what the reader says about it. */
static void refuse(const char *from, const char *to, const char *words)
{
    char text[2000];
    struct catalogue *c = NULL;
    struct err e = {0};
    const char *at = strstr(sound, from);
    assert_non_null(at);
    (void)snprintf(text, sizeof text, "%.*s%s%s", (int)(at - sound), sound, to, at + strlen(from));
    enum err_code rc = catalogue_parse(str_from(text), "test", &c, &e);
    if (rc == ERR_OK)
        fail_msg("'%s' was believed", to);
    assert_null(c);
    if (!strstr(e.text, words))
        fail_msg("'%s' is not in '%s'", words, e.text);
}

static void one_broken_rule_is_named(void **state)
{
    (void)state;
    refuse("\"format\":1", "\"format\":2", "\"format\"");
    refuse("\"hub\":\"https://hub.example\"", "\"hub\":7", "hub");
    refuse("\"repo\":\"o/r\"", "\"repo\":\"o\"", "\"repo\"");
    refuse("\"repo\":\"o/r\"", "\"repo\":\"o/r/s\"", "\"repo\"");
    refuse("\"repo\":\"o/r\"", "\"repo\":\"../r\"", "\"repo\"");
    refuse("\"repo\":\"o/r\"", "\"repo\":\"o/r\",\"revision\":\"a/b\"", "\"revision\"");
    refuse("\"licence\":\"l\"", "\"licence\":\"m\"", "no licence 'm'");
    refuse("\"source\":\"s\"", "\"source\":\"t\"", "no source 't'");
    refuse("\"gated\":true", "\"gated\":1", "gated");
    refuse("\"name\":\"one\"", "\"name\":\"../one\"", "set's name");
    refuse("a/b.json", "a/../b.json", "inside the model's folder");
    refuse("a/b.json", "/a/b.json", "inside the model's folder");
    refuse("a/b.json", "a//b.json", "inside the model's folder");
    refuse("a/b.json", "a\\\\b.json", "plain text");
    refuse("\"to\":\"d.bin\"", "\"to\":\".fetch/x\"", "inside the model's folder");
    refuse("\"to\":\"d.bin\"", "\"to\":\"\"", "\"to\"");
    refuse("\"size\":7", "\"size\":-1", "size");
    refuse("aaaa", "aaax", "64 digits");
    refuse("\"settings\":{\"pipeline\":\"klein\"}", "\"settings\":[]", "settings");
    refuse("\"components\":[{", "\"components\":[7,{", "not an object");
    refuse("\"files\":[", "\"files\":[[],", "not an object");
}

static void the_installed_one_is_sound(void **state)
{
    (void)state;
    static const char *const names[] = {"klein-4b",      "klein-9b",    "klein-base-4b",
                                        "klein-base-9b", "klein-9b-kv", "qwen-layered"};
    struct catalogue *c;
    struct err e = {0};
    if (catalogue_open(VT_SOURCE_DIR "/models/catalogue.json", &c, &e) != ERR_OK)
        fail_msg("%s", e.text);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct catalogue_set *s;
        assert_int_equal(catalogue_find(c, names[i], &s, &e), ERR_OK);
        assert_non_null(catalogue_component_find(s, "transformer"));
        assert_non_null(catalogue_component_find(s, "text_encoder"));
        assert_non_null(catalogue_component_find(s, "vae"));
    }
    catalogue_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(one_broken_rule_is_named),
        cmocka_unit_test(the_installed_one_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
