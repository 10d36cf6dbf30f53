/* token.c - which secret goes with which origin, and the file that keeps them; see token.h.
 *
 * Every copy of a secret, in buffers too, is wiped before its memory is given back. The file is replaced as a
 * whole, with mode 0600 from its creation on; one that others can read is refused, and logging in again repairs
 * it.
 */
#include "fetch/token.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/folder.h"
#include "fetch/paths.h"

enum { FILE_MAX_BYTES = 64 << 10 };

/* ---- origins ------------------------------------------------------------------------------------------- */

enum err_code url_origin(const char *url, char out[ORIGIN_BYTES], struct err *e)
{
    bool https = strncasecmp(url, "https://", 8) == 0;
    if (!https && strncasecmp(url, "http://", 7) != 0)
        return err_set(e, ERR_ARG, "'%.100s' is not an https address", url);
    const char *host = url + (https ? 8 : 7);
    size_t n = strcspn(host, "/?#\\");
    struct str h = {host, n};
    struct str own_port = https ? STR_LIT(":443") : STR_LIT(":80");
    if (n == 0 || n > 250 || memchr(host, '@', n) || h.p[0] == ':')
        return err_set(e, ERR_ARG, "'%.100s' has no plain host name", url);
    if (str_ends(h, own_port))
        h.n -= own_port.n;
    (void)snprintf(out, ORIGIN_BYTES, "%s://%.*s", https ? "https" : "http", STR_ARG(h));
    for (char *p = out; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return ERR_OK;
}

bool url_is_loopback(const char *url)
{
    static const char *const hosts[] = {"http://localhost", "http://127.0.0.1", "http://[::1]"};
    char origin[ORIGIN_BYTES];
    if (url_origin(url, origin, NULL) != ERR_OK)
        return false;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        size_t n = strlen(hosts[i]);
        if (strncmp(origin, hosts[i], n) == 0 && (origin[n] == 0 || origin[n] == ':'))
            return true;
    }
    return false;
}

/* ---- secrets -------------------------------------------------------------------------------------------- */

void token_wipe(void *p, size_t n)
{
    explicit_bzero(p, n);
}

bool token_is_sound(struct str secret)
{
    if (secret.n < 8 || secret.n > 500)
        return false;
    for (size_t i = 0; i < secret.n; i++)
        if (secret.p[i] <= ' ' || secret.p[i] > '~')
            return false;
    return true;
}

static struct str trimmed(struct str s)
{
    while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]))
        s.n--;
    while (s.n > 0 && strchr(" \t\r\n", s.p[0]))
        s = str_skip(s, 1);
    return s;
}

static bool take(struct token *out, struct str secret, const char *from)
{
    secret = trimmed(secret);
    if (!token_is_sound(secret))
        return false;
    memcpy(out->secret, secret.p, secret.n);
    out->secret[secret.n] = 0;
    out->from = from;
    return true;
}

enum err_code token_path(char *out, size_t out_size, struct err *e)
{
    char dir[FETCH_PATH_BYTES];
    TRY(path_config_dir(dir, e));
    return file_join(out, out_size, dir, "token", e);
}

/* Our file's text; empty when there is none. Caller: wipe and buf_deinit. */
static enum err_code read_own(struct buf *text, struct err *e)
{
    char path[FETCH_PATH_BYTES];
    struct stat st;
    buf_init(text, FILE_MAX_BYTES);
    TRY(token_path(path, sizeof path, e));
    if (!file_exists(path))
        return ERR_OK;
    if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
        return err_set(e, ERR_IO,
                       "others can read the token file '%s'; `chmod 600` it, or log in again",
                       path);
    return file_read(path, FILE_MAX_BYTES, text, e);
}

static struct str next_line(struct str *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    struct str line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    *rest = str_skip(*rest, end ? line.n + 1 : line.n);
    return line;
}

/* "ORIGIN TOKEN"; true when the line is for that origin. */
static bool line_is_for(struct str line, const char *origin, struct str *secret)
{
    size_t n = strlen(origin);
    if (line.n <= n || line.p[n] != ' ' || memcmp(line.p, origin, n) != 0)
        return false;
    *secret = str_skip(line, n + 1);
    return true;
}

static void buf_wipe(struct buf *b)
{
    if (b->p)
        token_wipe(b->p, b->n);
    buf_deinit(b);
}

static enum err_code find_own(const char *origin, struct token *out, struct err *e)
{
    struct buf text;
    struct str secret = {0};
    enum err_code rc;
    TRY_GOTO(read_own(&text, e), done);
    for (struct str rest = buf_str(&text); rest.n > 0;) {
        if (line_is_for(next_line(&rest), origin, &secret) &&
            take(out, secret, "veetance-fetch login"))
            break;
    }
done:
    buf_wipe(&text);
    return rc;
}

/* $HF_TOKEN_PATH, $HF_HOME/token, $XDG_CACHE_HOME/huggingface/token, ~/.cache/huggingface/token. */
static void find_hubs(struct token *out)
{
    const struct {
        const char *variable, *below;
    } places[] = {{"HF_TOKEN_PATH", ""},
                  {"HF_HOME", "/token"},
                  {"XDG_CACHE_HOME", "/huggingface/token"},
                  {"HOME", "/.cache/huggingface/token"}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char path[FETCH_PATH_BYTES];
        struct buf text;
        const char *base = getenv(places[i].variable);
        if (!base || !*base)
            continue;
        int n = snprintf(path, sizeof path, "%s%s", base, places[i].below);
        if (n > 0 && (size_t)n < sizeof path && file_read(path, 4096, &text, NULL) == ERR_OK) {
            (void)take(out, buf_str(&text), "the hub's token file");
            buf_wipe(&text);
        }
        return; /* the first variable that is set decides, as with the hub's own tools */
    }
}

static bool is_hub(const char *origin)
{
    char hub[ORIGIN_BYTES];
    const char *endpoint = getenv("HF_ENDPOINT");
    if (endpoint && *endpoint)
        return url_origin(endpoint, hub, NULL) == ERR_OK && strcmp(hub, origin) == 0;
    return strcmp(origin, "https://huggingface.co") == 0;
}

enum err_code token_find(const char *origin, struct token *out, struct err *e)
{
    *out = (struct token){.from = ""};
    (void)snprintf(out->origin, sizeof out->origin, "%s", origin);
    const char *env = getenv("HF_TOKEN");
    if (env && *env && is_hub(origin)) {
        if (!take(out, str_from(env), "HF_TOKEN"))
            return err_set(e, ERR_ARG, "HF_TOKEN does not hold a token (8 to 500 characters)");
        return ERR_OK;
    }
    TRY(find_own(origin, out, e));
    if (!out->secret[0] && is_hub(origin))
        find_hubs(out);
    return ERR_OK;
}

/* ---- changing our file ---------------------------------------------------------------------------------- */

/* secret NULL: the origin's line goes. */
static enum err_code change(const char *origin, const char *secret, bool *was_there, struct err *e)
{
    char path[FETCH_PATH_BYTES], dir[FETCH_PATH_BYTES];
    struct buf old, fresh;
    struct str ignored;
    buf_init(&fresh, FILE_MAX_BYTES);
    enum err_code rc = read_own(&old, secret ? NULL : e);
    if (rc != ERR_OK && secret) /* logging in again is how an unsound file is mended */
        rc = ERR_OK;
    for (struct str rest = buf_str(&old); rc == ERR_OK && rest.n > 0;) {
        struct str line = next_line(&rest);
        if (line_is_for(line, origin, &ignored)) {
            *was_there = true;
        } else if (line.n > 0) {
            buf_add_str(&fresh, line);
            buf_add_byte(&fresh, '\n');
        }
    }
    if (secret)
        buf_printf(&fresh, "%s %s\n", origin, secret);
    if (rc == ERR_OK && (rc = path_config_dir(dir, e)) == ERR_OK &&
        (rc = folder_make(dir, 0700, e)) == ERR_OK &&
        (rc = token_path(path, sizeof path, e)) == ERR_OK && (secret || *was_there))
        /* 0600 from the start: the secret is never readable by others, not even for a moment */
        rc = fresh.n == 0 && unlink(path) == 0 ? ERR_OK
                                               : file_write_mode(path, 0600, fresh.p, fresh.n, e);
    buf_wipe(&old);
    buf_wipe(&fresh);
    return rc;
}

enum err_code token_save(const char *origin, const char *secret, struct err *e)
{
    bool was_there = false;
    return change(origin, secret, &was_there, e);
}

enum err_code token_forget(const char *origin, bool *was_there, struct err *e)
{
    *was_there = false;
    return change(origin, NULL, was_there, e);
}
