/* The authorization code grant for a program on a person's machine: RFC 8252 with PKCE (RFC 7636). The browser brings the code to
 * a listener on the loopback address, which takes one request at a time and lives until it has the code. */
#include "core/base/env.h"
#include "core/base/text.h"
#include "login.h"
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define VERIFIER_BYTES 32
#define STATE_BYTES 16
#define CODED_ROOM 64
#define BROWSER_PATIENCE_MS 5000 /* for the rest of one request */

struct browser {
  const struct login *login;
  int listener;
  char redirect[64], verifier[CODED_ROOM], challenge[CODED_ROOM], state[CODED_ROOM];
  int64_t until_ms;
};

/* --- Secrets of this one login --------------------------------------------------------------------------------------------- */

static void base64url(const unsigned char *bytes, size_t len, char to[CODED_ROOM])
{
  int n = EVP_EncodeBlock((unsigned char *)to, bytes, (int)len);

  while (n > 0 && to[n - 1] == '=')
    n--;
  to[n] = '\0';
  for (char *at = to; *at != '\0'; at++)
    *at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
}

static bool secrets_make(struct browser *browser)
{
  unsigned char bytes[VERIFIER_BYTES], hash[EVP_MAX_MD_SIZE];
  unsigned int hash_len = 0;

  if (RAND_bytes(bytes, VERIFIER_BYTES) != 1)
    return false;
  base64url(bytes, VERIFIER_BYTES, browser->verifier);
  EVP_Digest(browser->verifier, strlen(browser->verifier), hash, &hash_len, EVP_sha256(), NULL);
  base64url(hash, hash_len, browser->challenge);
  if (RAND_bytes(bytes, STATE_BYTES) != 1)
    return false;
  base64url(bytes, STATE_BYTES, browser->state);
  return true;
}

/* --- The listener ---------------------------------------------------------------------------------------------------------- */

static bool listener_open(struct browser *browser)
{
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)browser->login->port)};
  socklen_t len = sizeof address;
  int on = 1;

  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  browser->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (browser->listener >= 0)
    setsockopt(browser->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (browser->listener < 0 || bind(browser->listener, (struct sockaddr *)&address, len) != 0 || listen(browser->listener, 4) != 0 ||
      getsockname(browser->listener, (struct sockaddr *)&address, &len) != 0) {
    cli_complain("cannot listen on 127.0.0.1:%ld: %s", browser->login->port, strerror(errno));
    return false;
  }
  snprintf(browser->redirect, sizeof browser->redirect, "http://%s:%u/", browser->login->redirect_host, ntohs(address.sin_port));
  return true;
}

static void person_tell(const struct browser *browser)
{
  const struct login *login = browser->login;
  struct buf url = BUF_INIT(32768);
  const char *port = strrchr(browser->redirect, ':') + 1;

  login_form_add(&url, "response_type", "code");
  login_form_add(&url, "client_id", login->client_id);
  login_form_add(&url, "redirect_uri", browser->redirect);
  login_form_add(&url, "scope", login->scope);
  login_form_add(&url, "state", browser->state);
  login_form_add(&url, "code_challenge", browser->challenge);
  login_form_add(&url, "code_challenge_method", "S256");
  fprintf(stderr, "Open this page in a browser on this machine, and log in with the mailbox that shall send:\n\n  %s%s%s%s\n\n",
          login->auth_url, strchr(login->auth_url, '?') != NULL ? "&" : "?", url.at, login->auth_more);
  fprintf(stderr, "(A browser on another machine: first ssh -L %.*s:127.0.0.1:%.*s from there to here.)\n\nWaiting...\n",
          (int)strcspn(port, "/"), port, (int)strcspn(port, "/"), port);
  buf_done(&url);
}

/* The head of one request; false: none that is whole. */
static bool request_read(int peer, char request[LOGIN_REQUEST_MAX])
{
  size_t len = 0;

  while (len + 1 < LOGIN_REQUEST_MAX) {
    struct pollfd look = {.fd = peer, .events = POLLIN};
    ssize_t n = poll(&look, 1, BROWSER_PATIENCE_MS) > 0 ? recv(peer, request + len, LOGIN_REQUEST_MAX - 1 - len, 0) : -1;

    if (n <= 0)
      return false;
    len += (size_t)n;
    request[len] = '\0';
    if (strstr(request, "\r\n\r\n") != NULL)
      return true;
  }
  return false;
}

static void answer_write(int peer, const char *status, const char *words)
{
  char answer[1024];
  int len = snprintf(answer, sizeof answer,
                     "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
                     "Connection: close\r\n\r\n%s",
                     status, strlen(words), words);

  if (send(peer, answer, (size_t)len, MSG_NOSIGNAL) != len)
    return; /* it has left: what it brought is what counts */
}

/* The value of a parameter of the request's query, decoded; false: it is not there, or does not fit. */
static bool query_get(const char *query, const char *name, char *to, size_t room)
{
  size_t name_len = strlen(name), n = 0;
  const char *at = query;
  unsigned int byte;

  while (strncmp(at, name, name_len) != 0 || at[name_len] != '=') {
    at += strcspn(at, "& ");
    if (*at++ != '&')
      return false;
  }
  for (at += name_len + 1; *at != '\0' && strchr("& \r\n", *at) == NULL; at++) {
    if (n + 1 >= room)
      return false;
    if (*at == '%' && sscanf(at + 1, "%2x", &byte) == 1 && byte != 0) {
      to[n++] = (char)byte;
      at += at[1] != '\0' && at[2] != '\0' ? 2 : 0;
    } else {
      to[n++] = *at == '+' ? ' ' : *at;
    }
  }
  to[n] = '\0';
  return n > 0;
}

/* What a browser brought: true when the waiting is over, with the code or with an error in its place. */
static bool request_take(const struct browser *browser, int peer, char *code, size_t room, bool *ret_good)
{
  char request[LOGIN_REQUEST_MAX], state[CODED_ROOM] = "", error[128];
  const char *query;

  if (!request_read(peer, request))
    return false;
  query = strncmp(request, "GET /?", 6) == 0 ? request + 6 : NULL;
  if (query == NULL || !query_get(query, "state", state, sizeof state) || strcmp(state, browser->state) != 0) {
    answer_write(peer, "400 Bad Request", "This is not the answer to the login that is under way.\n");
    return false;
  }
  *ret_good = query_get(query, "code", code, room);
  if (*ret_good) {
    answer_write(peer, "200 OK", "Parley has it. You may close this page; the rest is in the terminal.\n");
    return true;
  }
  answer_write(peer, "200 OK", "Nothing was granted. You may close this page.\n");
  cli_complain("the provider says no: %s", query_get(query, "error", error, sizeof error) ? error : "it gave no code");
  return true;
}

static bool code_wait(const struct browser *browser, char *code, size_t room)
{
  bool over = false, good = false;

  while (!over) {
    int64_t left_ms = browser->until_ms - env_system.mono_ms(&env_system);
    struct pollfd look = {.fd = browser->listener, .events = POLLIN};
    int peer = left_ms > 0 && poll(&look, 1, (int)left_ms) > 0 ? accept4(browser->listener, NULL, NULL, SOCK_CLOEXEC) : -1;

    if (peer < 0 && left_ms <= 0) {
      cli_complain("nobody has logged in in time: run this command again");
      return false;
    }
    if (peer < 0)
      continue;
    over = request_take(browser, peer, code, room, &good);
    close(peer);
  }
  return good;
}

static json_t *code_change(const struct browser *browser, const char *code)
{
  const struct login *login = browser->login;
  struct buf form = BUF_INIT(32768);
  json_t *answer = NULL;

  login_form_add(&form, "grant_type", "authorization_code");
  login_form_add(&form, "code", code);
  login_form_add(&form, "redirect_uri", browser->redirect);
  login_form_add(&form, "client_id", login->client_id);
  login_form_add(&form, "client_secret", login->client_secret);
  login_form_add(&form, "code_verifier", browser->verifier);
  if (login_post(login->token_url, &form, &answer) && cli_text(answer, "access_token")[0] == '\0') {
    login_refused(answer);
    json_decref(answer);
    answer = NULL;
  }
  buf_done(&form);
  return answer;
}

json_t *login_by_browser(const struct login *login)
{
  struct browser browser = {.login = login, .listener = -1,
                            .until_ms = env_system.mono_ms(&env_system) + LOGIN_WAIT_S * INT64_C(1000)};
  char code[LOGIN_TOKEN_MAX];
  json_t *answer = NULL;

  if (!secrets_make(&browser)) {
    cli_complain("no randomness to be had");
  } else if (listener_open(&browser)) {
    person_tell(&browser);
    if (code_wait(&browser, code, sizeof code))
      answer = code_change(&browser, code);
  }
  if (browser.listener >= 0)
    close(browser.listener);
  return answer;
}
