#include "mail_bounce.h"
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { ANY = 1000, WORDS_MAX = 4096 };

static bool number_read(parley_text *text, size_t digits_max, uint32_t *ret)
{
  size_t n = 0;

  *ret = 0;
  while (n < text->len && n < digits_max && text->at[n] >= '0' && text->at[n] <= '9')
    *ret = *ret * 10 + (uint32_t)(text->at[n++] - '0');
  text->at += n;
  text->len -= n;
  return n > 0;
}

static bool dot_cut(parley_text *text)
{
  if (text->len == 0 || text->at[0] != '.')
    return false;
  text->at++;
  text->len--;
  return true;
}

static bool is_joined(char c) /* to a number: 192.168.5.1.1 and 5.1.1.example are no status codes */
{
  return (c >= '0' && c <= '9') || c == '.';
}

static bool status_here(parley_text text, struct mail_status *ret)
{
  struct mail_status found;

  if (!number_read(&text, 1, &found.class) || (found.class != 2 && found.class != 4 && found.class != 5) || !dot_cut(&text) ||
      !number_read(&text, 3, &found.subject) || !dot_cut(&text) || !number_read(&text, 3, &found.detail))
    return false;
  if (text.len > 0 && is_joined(text.at[0]) && !(text.at[0] == '.' && (text.len == 1 || !is_joined(text.at[1]))))
    return false;
  *ret = found;
  return true;
}

bool mail_status_read(parley_text text, struct mail_status *ret)
{
  for (size_t i = 0; i < text.len; i++)
    if ((i == 0 || !is_joined(text.at[i - 1])) &&
        status_here((parley_text){text.at + i, text.len - i}, ret))
      return true;
  return false;
}

void mail_status_write(struct mail_status status, char *to)
{
  to[0] = '\0';
  if (status.class != 0)
    snprintf(to, MAIL_STATUS_MAX, "%u.%u.%u", status.class % 10, status.subject % 1000, status.detail % 1000);
}

/* The first row that fits counts. */
static const struct { uint32_t class, subject, detail, outcome; } codes[] = {
    {4, ANY, ANY, PARLEY_OUTCOME_RETRY},
    {5, 1, 0, 0}, /* about the address, but what: see the words */
    {5, 1, 7, PARLEY_OUTCOME_REJECTED}, /* of the sender: the recipient's address is not to blame */
    {5, 1, 8, PARLEY_OUTCOME_REJECTED},
    {5, 1, 9, PARLEY_OUTCOME_REJECTED}, /* RFC 3886 */
    {5, 1, ANY, PARLEY_OUTCOME_BAD_ADDRESS},
    {5, 2, 1, PARLEY_OUTCOME_BAD_ADDRESS}, /* mailbox disabled */
    {5, 2, 2, PARLEY_OUTCOME_RETRY},       /* full: RFC 3463 calls it a persistent transient failure */
    {5, 3, 1, PARLEY_OUTCOME_RETRY},       /* the system is full */
    {5, 4, 4, PARLEY_OUTCOME_BAD_ADDRESS}, /* no such domain, or no way to it */
    {5, 4, 7, PARLEY_OUTCOME_RETRY},       /* tried for days */
};

/* Where the code says nothing. Lower case; of several that stand there, the first row counts. */
static const struct { const char *words; uint32_t outcome; } sayings[] = {
    {"quota", PARLEY_OUTCOME_RETRY},
    {"mailbox full", PARLEY_OUTCOME_RETRY},
    {"mailbox is full", PARLEY_OUTCOME_RETRY},
    {"inbox is full", PARLEY_OUTCOME_RETRY},
    {"insufficient storage", PARLEY_OUTCOME_RETRY},
    {"user unknown", PARLEY_OUTCOME_BAD_ADDRESS},
    {"unknown user", PARLEY_OUTCOME_BAD_ADDRESS},
    {"no such user", PARLEY_OUTCOME_BAD_ADDRESS},
    {"no such recipient", PARLEY_OUTCOME_BAD_ADDRESS},
    {"no such mailbox", PARLEY_OUTCOME_BAD_ADDRESS},
    {"user not found", PARLEY_OUTCOME_BAD_ADDRESS},
    {"mailbox not found", PARLEY_OUTCOME_BAD_ADDRESS},
    {"recipient not found", PARLEY_OUTCOME_BAD_ADDRESS},
    {"unknown recipient", PARLEY_OUTCOME_BAD_ADDRESS},
    {"invalid recipient", PARLEY_OUTCOME_BAD_ADDRESS},
    {"does not exist", PARLEY_OUTCOME_BAD_ADDRESS},
    {"doesn't exist", PARLEY_OUTCOME_BAD_ADDRESS},
    {"no mailbox here", PARLEY_OUTCOME_BAD_ADDRESS},
    {"account is disabled", PARLEY_OUTCOME_BAD_ADDRESS},
};

static uint32_t outcome_of_words(parley_text words)
{
  char lower[WORDS_MAX];
  size_t n = words.len < sizeof lower - 1 ? words.len : sizeof lower - 1;

  for (size_t i = 0; i < n; i++)
    lower[i] = words.at[i] >= 'A' && words.at[i] <= 'Z' ? (char)(words.at[i] | 32) : words.at[i] != '\0' ? words.at[i] : ' ';
  lower[n] = '\0';
  for (size_t i = 0; i < sizeof sayings / sizeof *sayings; i++)
    if (strstr(lower, sayings[i].words) != NULL)
      return sayings[i].outcome;
  return PARLEY_OUTCOME_REJECTED;
}

uint32_t mail_bounce_outcome(struct mail_status status, parley_text words)
{
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
    if (status.class == codes[i].class && (codes[i].subject == ANY || status.subject == codes[i].subject) &&
        (codes[i].detail == ANY || status.detail == codes[i].detail) && codes[i].outcome != 0)
      return codes[i].outcome;
    else if (status.class == codes[i].class && status.subject == codes[i].subject && status.detail == codes[i].detail)
      break;
  /* A code that names what was wrong says more than words, which quote anything. */
  if (status.class != 0 && status.subject != 0 && !(status.subject == 1 && status.detail == 0) && status.detail != 0)
    return PARLEY_OUTCOME_REJECTED;
  return outcome_of_words(words);
}
