/* The device authorization grant, RFC 8628: a code to type in at the provider's page, on any device. */
#include "core/base/env.h"
#include "core/base/text.h"
#include "login.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define INTERVAL_MIN_S 0.1
#define INTERVAL_MAX_S 60.0

static double number_get(const json_t *object, const char *name, double otherwise, double least, double most)
{
  const json_t *value = json_object_get(object, name);
  double number = json_is_number(value) ? json_number_value(value) : otherwise;

  return number < least ? least : number > most ? most : number;
}

static void wait_s(double seconds)
{
  struct timespec span = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

  nanosleep(&span, NULL);
}

static void person_tell(const json_t *device)
{
  const char *whole = cli_text(device, "verification_uri_complete");

  fprintf(stderr, "Open this page in a browser, on any device, and log in with the mailbox that shall send:\n\n  %s\n\n",
          cli_text(device, "verification_uri"));
  fprintf(stderr, "and type in this code:  %s\n", cli_text(device, "user_code"));
  if (whole[0] != '\0')
    fprintf(stderr, "(or open %s)\n", whole);
  fputs("\nWaiting...\n", stderr);
}

/* NULL: not yet, or never; then *ret_over. */
static json_t *device_look(const struct login *login, const char *code, double *interval_s, bool *ret_over)
{
  struct buf form = BUF_INIT(32768);
  json_t *answer = NULL;
  const char *error;

  login_form_add(&form, "grant_type", "urn:ietf:params:oauth:grant-type:device_code");
  login_form_add(&form, "device_code", code);
  login_form_add(&form, "client_id", login->client_id);
  login_form_add(&form, "client_secret", login->client_secret);
  *ret_over = !login_post(login->token_url, &form, &answer);
  buf_done(&form);
  if (answer == NULL || cli_text(answer, "access_token")[0] != '\0')
    return answer;
  error = cli_text(answer, "error");
  if (strcmp(error, "slow_down") == 0) {
    *interval_s += LOGIN_SLOWER_S;
  } else if (strcmp(error, "authorization_pending") != 0) {
    *ret_over = true;
    login_refused(answer);
  }
  json_decref(answer);
  return NULL;
}

static json_t *device_wait(const struct login *login, const json_t *device)
{
  double interval_s = number_get(device, "interval", LOGIN_INTERVAL_S, INTERVAL_MIN_S, INTERVAL_MAX_S);
  double left_s = number_get(device, "expires_in", LOGIN_WAIT_S, 1, 24 * 3600);
  int64_t until_ms = env_system.mono_ms(&env_system) + (int64_t)(left_s * 1000);
  json_t *answer = NULL;
  bool over = false;

  while (answer == NULL && !over && env_system.mono_ms(&env_system) < until_ms) {
    wait_s(interval_s);
    answer = device_look(login, cli_text(device, "device_code"), &interval_s, &over);
  }
  if (answer == NULL && !over)
    cli_complain("nobody has typed in the code in time: run this command again");
  return answer;
}

json_t *login_by_device(const struct login *login)
{
  struct buf form = BUF_INIT(32768);
  json_t *device = NULL, *answer = NULL;

  login_form_add(&form, "client_id", login->client_id);
  login_form_add(&form, "scope", login->scope);
  if (login_post(login->device_url, &form, &device)) {
    if (cli_text(device, "device_code")[0] != '\0' && cli_text(device, "user_code")[0] != '\0') {
      person_tell(device);
      answer = device_wait(login, device);
    } else {
      login_refused(device);
    }
  }
  json_decref(device);
  buf_done(&form);
  return answer;
}
