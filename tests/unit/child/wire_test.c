/* wire_test.c - messages and shared memory between two ends, and what a hostile end may send. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "child/code.h"
#include "child/wire.h"

static int ends[2];

static int set_up(void **state)
{
    (void)state;
    return wire_pair(ends, NULL) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static void a_message_comes_as_it_was_sent(void **state)
{
    static const size_t sizes[] = {0, 1, 1000, WIRE_PACKET_BYTES - 12, WIRE_PACKET_BYTES, 5 << 20};
    (void)state;
    char *bytes = calloc(1, 5 << 20);
    for (size_t i = 0; i < 5 << 20; i++)
        bytes[i] = (char)(i * 7 ^ i >> 9);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct wire_message m;
        int fd = memfd_create("x", 0);
        assert_int_equal(wire_send(ends[0],
                                   &(struct wire_out){.type = 40 + (uint32_t)i,
                                                      .body = {bytes, sizes[i]},
                                                      .fds = &fd,
                                                      .n_fds = 1},
                                   NULL),
                         ERR_OK);
        close(fd);
        assert_int_equal(wire_receive(ends[1], &m, NULL), ERR_OK);
        assert_int_equal(m.type, 40 + i);
        assert_int_equal(m.body.n, sizes[i]);
        assert_memory_equal(m.body.p, bytes, sizes[i]);
        assert_int_equal(m.body.p[m.body.n], 0);
        assert_int_equal(m.n_fds, 1);
        fd = wire_take_fd(&m, 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(wire_take_fd(&m, 0), -1);
        assert_int_equal(wire_take_fd(&m, 1), -1);
        close(fd);
        wire_message_deinit(&m);
    }
    free(bytes);
}

static void what_is_too_large_is_not_sent(void **state)
{
    struct err e = {0};
    (void)state;
    assert_int_equal(wire_send(ends[0], &(struct wire_out){.body = {"", WIRE_MAX_BYTES + 1}}, &e),
                     ERR_LIMIT);
    assert_int_equal(wire_send(ends[0], &(struct wire_out){.n_fds = WIRE_MAX_FDS + 1}, &e),
                     ERR_LIMIT);
}

static void a_sender_does_not_wait_for_who_takes_nothing(void **state)
{
    static char bytes[20000];
    enum err_code rc = ERR_OK;
    (void)state;
    for (int i = 0; i < 1000 && rc == ERR_OK; i++)
        rc = wire_send(ends[0], &(struct wire_out){.body = {bytes, sizeof bytes}}, NULL);
    assert_int_equal(rc, ERR_BUSY);
}

static void the_end_is_told(void **state)
{
    struct wire_message m;
    int pair[2];
    (void)state;
    assert_int_equal(wire_pair(pair, NULL), ERR_OK);
    close(pair[0]);
    assert_int_equal(wire_receive(pair[1], &m, NULL), ERR_NOTFOUND);
    assert_int_equal(wire_send(pair[1], &(struct wire_out){.type = 1}, NULL), ERR_NOTFOUND);
    close(pair[1]);
}

/* A packet as a liar would make it. */
static void send_raw(uint32_t type, uint32_t bytes, uint32_t shared, size_t body, int fd)
{
    static char zeros[2 * WIRE_PACKET_BYTES];
    uint32_t head[3] = {type, bytes, shared};
    char room[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec parts[2] = {{head, sizeof head}, {zeros, body}};
    struct msghdr h = {.msg_iov = parts, .msg_iovlen = 2};
    if (fd >= 0) {
        h.msg_control = room;
        h.msg_controllen = sizeof room;
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    assert_true(sendmsg(ends[0], &h, 0) > 0);
}

static void refused(void)
{
    struct wire_message m;
    assert_int_equal(wire_receive(ends[1], &m, NULL), ERR_FORMAT);
    assert_int_equal(m.n_fds, 0);
    assert_null(m.copy);
}

static void a_head_that_lies_is_refused(void **state)
{
    (void)state;
    send_raw(1, 10, 0, 9, -1);
    refused();
    send_raw(1, 10, 0, 11, -1);
    refused();
    send_raw(1, 0xffffffff, 0, 1, -1);
    refused();
    send_raw(1, 10, 2, 10, -1);
    refused();
    send_raw(1, 100, 1, 0, -1); /* its body is nowhere */
    refused();
    send_raw(1, 1, 0, WIRE_PACKET_BYTES, -1); /* cut */
    refused();
    assert_int_equal(send(ends[0], "abc", 3, 0), 3);
    refused();
}

static void shared_memory_is_refused_unless_it_is_sealed_and_whole(void **state)
{
    struct shared_area a;
    struct err e = {0};
    int fd;
    (void)state;
    assert_int_equal(shared_put(STR_LIT("hello"), &fd, &e), ERR_OK);
    assert_int_equal(shared_map(fd, 5, &a, &e), ERR_OK);
    assert_memory_equal(a.p, "hello", 5);
    shared_unmap(&a);
    assert_int_equal(shared_map(fd, 6, &a, &e), ERR_FORMAT);
    assert_int_equal(shared_map(fd, 0, &a, &e), ERR_FORMAT);
    assert_true(write(fd, "x", 1) < 0);
    assert_true(ftruncate(fd, 1) < 0);
    close(fd);
    fd = memfd_create("x", MFD_ALLOW_SEALING);
    assert_int_equal(write(fd, "hello", 5), 5);
    assert_int_equal(shared_map(fd, 5, &a, &e), ERR_FORMAT);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    assert_int_equal(shared_map(fd, 5, &a, &e), ERR_FORMAT);
    close(fd);
    fd = open("/dev/zero", O_RDONLY);
    assert_int_equal(shared_map(fd, 5, &a, &e), ERR_FORMAT);
    close(fd);
    assert_int_equal(shared_map(-1, 5, &a, &e), ERR_FORMAT);
}

struct thing {
    int small;
    int64_t wide;
    double real;
    char name[8];
    const char *text, *none;
    struct vt_image image, empty;
};

static void code_thing(struct code *c, struct thing *t)
{
    code_int(c, &t->small, -3, 9);
    code_i64(c, &t->wide, INT64_MIN, INT64_MAX);
    code_double(c, &t->real);
    code_chars(c, t->name, sizeof t->name);
    code_text(c, &t->text, 100);
    code_text(c, &t->none, 100);
    code_image(c, &t->image);
    code_image(c, &t->empty);
}

static void post(struct thing *t, struct wire_message *m)
{
    struct code c;
    code_to(&c);
    code_thing(&c, t);
    assert_int_equal(code_end(&c, NULL), ERR_OK);
    assert_int_equal(
        wire_send(ends[0],
                  &(struct wire_out){.body = buf_str(&c.out), .fds = c.fds, .n_fds = c.n_fds},
                  NULL),
        ERR_OK);
    code_deinit(&c);
    assert_int_equal(wire_receive(ends[1], m, NULL), ERR_OK);
}

static const unsigned char pixels[2 * 3 * 3] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

static struct thing a_thing(void)
{
    return (struct thing){.small = -3,
                          .wide = INT64_MIN,
                          .real = 0.1,
                          .name = "abcdefg",
                          .text = "\xff text",
                          .image = {2, 3, 3, pixels, 8, NULL}};
}

static void values_come_back_as_they_were(void **state)
{
    struct thing t = a_thing(), u;
    struct wire_message m;
    struct code c;
    (void)state;
    post(&t, &m);
    code_from(&c, &m);
    memset(&u, 0x55, sizeof u);
    code_thing(&c, &u);
    assert_int_equal(code_end(&c, NULL), ERR_OK);
    assert_int_equal(u.small, t.small);
    assert_true(u.wide == t.wide && u.real == t.real);
    assert_string_equal(u.name, t.name);
    assert_string_equal(u.text, t.text);
    assert_null(u.none);
    assert_int_equal(u.image.width, 2);
    assert_memory_equal(u.image.pixels, pixels, sizeof pixels);
    assert_true(!u.empty.pixels && !u.empty.file);
    code_deinit(&c);
    wire_message_deinit(&m);
}

static void what_is_no_text_is_cleaned_when_its_sender_is_not_trusted(void **state)
{
    struct thing t = a_thing(), u = {0};
    struct wire_message m;
    struct code c;
    (void)state;
    post(&t, &m);
    code_from(&c, &m);
    c.strict = true;
    code_thing(&c, &u);
    assert_int_equal(code_end(&c, NULL), ERR_OK);
    assert_string_equal(u.text, "? text");
    code_deinit(&c);
    wire_message_deinit(&m);
}

/* Every byte of a message changed, and every length: it is read, or refused, and nothing else happens. */
static void broken_values_are_refused(void **state)
{
    struct thing t = a_thing(), u = {0};
    struct wire_message m;
    struct code c;
    (void)state;
    post(&t, &m);
    const size_t whole = m.body.n;
    for (size_t n = 0; n < whole; n++) {
        m.body.n = n;
        code_from(&c, &m);
        code_thing(&c, &u);
        assert_int_equal(code_end(&c, NULL), ERR_FORMAT);
        code_deinit(&c);
    }
    m.body.n = whole;
    for (size_t i = 0; i < whole; i++)
        for (int value = 0; value < 256; value += 51) {
            char kept = m.copy[i];
            m.copy[i] = (char)value;
            code_from(&c, &m);
            c.strict = value & 1;
            code_thing(&c, &u);
            if (code_end(&c, NULL) == ERR_OK)
                assert_true(u.small >= -3 && u.small <= 9 && strlen(u.name) < sizeof u.name);
            code_deinit(&c);
            m.copy[i] = kept;
        }
    wire_message_deinit(&m);
}

int main(void)
{
#define WITH_ENDS(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ENDS(a_message_comes_as_it_was_sent),
        WITH_ENDS(what_is_too_large_is_not_sent),
        WITH_ENDS(a_sender_does_not_wait_for_who_takes_nothing),
        WITH_ENDS(the_end_is_told),
        WITH_ENDS(a_head_that_lies_is_refused),
        WITH_ENDS(shared_memory_is_refused_unless_it_is_sealed_and_whole),
        WITH_ENDS(values_come_back_as_they_were),
        WITH_ENDS(what_is_no_text_is_cleaned_when_its_sender_is_not_trusted),
        WITH_ENDS(broken_values_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
