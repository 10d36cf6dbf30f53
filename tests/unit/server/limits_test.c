#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "server/limits.h"

static void bounds_admit_what_is_made(void **state)
{
    (void)state;
    assert_true((uint64_t)LIMIT_IMAGE_EVENT >= (uint64_t)LIMIT_FILE * 4 / 3);
    assert_true(LIMIT_STREAM >= LIMIT_IMAGE_EVENT);
    assert_true(LIMIT_JOB_EVENT > LIMIT_RESULT);
    assert_true(LIMIT_PREVIEW_EVENT > LIMIT_PREVIEW * 4 / 3);
    assert_true(LIMIT_REQUEST > LIMIT_TASK_BODY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(bounds_admit_what_is_made)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
