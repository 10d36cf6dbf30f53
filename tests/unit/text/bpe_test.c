#include "support.h"

#include "base/mem.h"
#include "text/bpe.h"
#include "text/tokenizer_impl.h"

enum { MAX_WORD = 400, LONG_WORD = 9000 };

/* The rule itself: look for the best rank, leftmost, again and again. */
static size_t encode_ref(const struct bpe_merges *m, const int32_t *byte_ids, struct str word,
                         int32_t *ids)
{
    size_t n = word.n;
    for (size_t i = 0; i < n; i++)
        ids[i] = byte_ids[(unsigned char)word.p[i]];
    for (;;) {
        size_t at = n;
        int32_t best = BPE_NO_RANK;
        for (size_t i = 0; i + 1 < n; i++) {
            int32_t rank = bpe_merges_find(m, (uint32_t)ids[i], (uint32_t)ids[i + 1]);
            if (rank != BPE_NO_RANK && (best == BPE_NO_RANK || rank < best)) {
                best = rank;
                at = i;
            }
        }
        if (best == BPE_NO_RANK)
            return n;
        ids[at] = (int32_t)m->list[best].result;
        for (size_t i = at + 1; i + 1 < n; i++)
            ids[i] = ids[i + 1];
        n--;
    }
}

static void check_word(const struct tokenizer *t, struct str word, struct bpe_scratch *scratch)
{
    static int32_t want[LONG_WORD], got[LONG_WORD];
    size_t got_n;
    size_t want_n = encode_ref(&t->merges, t->byte_ids, word, want);
    assert_int_equal(bpe_encode_word(&t->merges, t->byte_ids, word, scratch, got, &got_n, NULL),
                     ERR_OK);
    assert_int_equal(got_n, want_n);
    assert_memory_equal(got, want, want_n * sizeof *want);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void both_ways_give_what_the_rule_gives(void **state)
{
    (void)state;
    static const char *const alphabets[] = {"a", "ab", "the andiroug", "=-\n ", "etaoinshrdlu"};
    struct tokenizer *t = parity_tokenizer("klein");
    struct bpe_scratch scratch = {0};
    uint32_t seed = 1;
    for (size_t a = 0; a < sizeof alphabets / sizeof *alphabets; a++) {
        size_t letters = strlen(alphabets[a]);
        for (size_t n = 1; n < MAX_WORD; n += n < 60 ? 1 : 37) {
            char word[MAX_WORD];
            for (size_t i = 0; i < n; i++)
                word[i] = alphabets[a][next_random(&seed) % letters];
            check_word(t, (struct str){word, n}, &scratch);
        }
    }
    bpe_scratch_deinit(&scratch);
    tokenizer_free(t);
}

static void any_bytes_are_encoded(void **state)
{
    (void)state;
    struct tokenizer *t = parity_tokenizer("layered");
    struct bpe_scratch scratch = {0};
    uint32_t seed = 7;
    for (size_t n = 1; n < MAX_WORD; n += 13) {
        char word[MAX_WORD];
        for (size_t i = 0; i < n; i++)
            word[i] = (char)next_random(&seed);
        check_word(t, (struct str){word, n}, &scratch);
    }
    bpe_scratch_deinit(&scratch);
    tokenizer_free(t);
}

static void a_very_long_word_too(void **state)
{
    (void)state;
    struct tokenizer *t = parity_tokenizer("klein");
    struct bpe_scratch scratch = {0};
    static char word[LONG_WORD];
    uint32_t seed = 3;
    for (size_t i = 0; i < sizeof word; i++)
        word[i] = "the andirougs"[next_random(&seed) % 13];
    check_word(t, (struct str){word, sizeof word}, &scratch);
    memset(word, '-', sizeof word);
    check_word(t, (struct str){word, sizeof word}, &scratch);
    bpe_scratch_deinit(&scratch);
    tokenizer_free(t);
}

static void a_repeated_merge_takes_its_last_rank(void **state)
{
    (void)state;
    struct bpe_merges m;
    assert_int_equal(bpe_merges_init(&m, 3, NULL), ERR_OK);
    assert_int_equal(bpe_merges_add(&m, (struct bpe_merge){1, 2, 3}, NULL), ERR_OK);
    assert_int_equal(bpe_merges_add(&m, (struct bpe_merge){2, 1, 4}, NULL), ERR_OK);
    assert_int_equal(bpe_merges_add(&m, (struct bpe_merge){1, 2, 3}, NULL), ERR_OK);
    assert_int_equal(bpe_merges_index(&m, NULL), ERR_OK);
    assert_int_equal(bpe_merges_find(&m, 1, 2), 2);
    assert_int_equal(bpe_merges_find(&m, 2, 1), 1);
    assert_int_equal(bpe_merges_find(&m, 1, 1), BPE_NO_RANK);
    assert_int_equal(bpe_merges_add(&m, (struct bpe_merge){5, 5, 6}, NULL), ERR_INTERNAL);
    bpe_merges_deinit(&m);
}

static void memory_that_is_out_is_an_error(void **state)
{
    (void)state;
    struct bpe_merges m;
    struct bpe_scratch scratch = {0};
    struct err e = {0};
    int32_t byte_ids[256] = {0}, ids[100];
    size_t n;
    char word[100] = {0};
    for (int fail = 1; fail <= 2; fail++) {
        mem_fail_after(fail);
        assert_int_equal(bpe_merges_init(&m, 10, &e), ERR_NOMEM);
    }
    mem_fail_after(0);
    assert_int_equal(bpe_merges_init(&m, 10, &e), ERR_OK);
    mem_fail_after(1);
    assert_int_equal(
        bpe_encode_word(&m, byte_ids, (struct str){word, sizeof word}, &scratch, ids, &n, &e),
        ERR_NOMEM);
    mem_fail_after(0);
    bpe_merges_deinit(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_ways_give_what_the_rule_gives),
        cmocka_unit_test(any_bytes_are_encoded),
        cmocka_unit_test(a_very_long_word_too),
        cmocka_unit_test(a_repeated_merge_takes_its_last_rank),
        cmocka_unit_test(memory_that_is_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
