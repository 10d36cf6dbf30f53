/* token.h - the secret that opens gated repositories.
 *
 * A token belongs to one origin (scheme, host and port) and is given only to requests that go exactly there;
 * where a server redirects to, it never goes. It is looked for in HF_TOKEN, then in our own file (two words a
 * line: origin, token; mode 0600), then in the hub's own token file; the first and the last belong to the
 * hub ($HF_ENDPOINT, else https://huggingface.co). It is never logged and never part of an error. */
#ifndef VT_FETCH_TOKEN_H
#define VT_FETCH_TOKEN_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

enum { TOKEN_BYTES = 600, ORIGIN_BYTES = 300 };

struct token {
    char origin[ORIGIN_BYTES]; /* "https://huggingface.co" */
    char secret[TOKEN_BYTES];  /* "" : none */
    const char *from; /* "HF_TOKEN", "veetance-fetch login", "the hub's token file"; static */
};

/* "https://host:port" of an address in lower case, a scheme's own port left out; ERR_ARG when it is neither
 * http nor https or holds a user name. */
ERR_MUST_CHECK enum err_code url_origin(const char *url, char out[ORIGIN_BYTES], struct err *e);
/* True for http://localhost, 127.x.x.x and [::1]. */
bool url_is_loopback(const char *url);

/* The token for that origin; secret "" when there is none. */
ERR_MUST_CHECK enum err_code token_find(const char *origin, struct token *out, struct err *e);
/* Whether a secret can be one: 8 to 500 visible ASCII characters. */
bool token_is_sound(struct str secret);
/* Replaces the origin's line in our file. */
ERR_MUST_CHECK enum err_code token_save(const char *origin, const char *secret, struct err *e);
/* *was_there says whether there was one to forget. */
ERR_MUST_CHECK enum err_code token_forget(const char *origin, bool *was_there, struct err *e);
/* The path of our file. */
ERR_MUST_CHECK enum err_code token_path(char *out, size_t out_size, struct err *e);

/* Overwrites a secret in memory. */
void token_wipe(void *p, size_t n);

#endif
