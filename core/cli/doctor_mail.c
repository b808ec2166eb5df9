#include "doctor.h"
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/customer/email.h"
#include "core/net/dns.h"
#include "plugins/common/dkim_key.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOMAINS_MAX 64
#define KEYS_MAX 64
#define DOMAIN_ROOM 256
#define NAME_ROOM 400
#define LOOKUP_MS 3000
#define TXT_ROOM 4096 /* of the one record that is looked at */

struct mail_key {
  char domain[DOMAIN_ROOM], selector[64];
  struct dkim_key *key;
};
struct doctor_mail {
  size_t n_domains, n_keys;
  char domains[DOMAINS_MAX][DOMAIN_ROOM];
  struct mail_key keys[KEYS_MAX];
  /* while it asks: */
  struct doctor *doctor;
  uv_loop_t loop;
  struct dns *dns;
};

/* --- What channels say -------------------------------------------------------------------------------------------- */
struct doctor_mail *doctor_mail_new(void)
{
  return xcalloc(1, sizeof(struct doctor_mail));
}

void doctor_mail_free(struct doctor_mail **mail)
{
  for (size_t i = 0; i < (*mail)->n_keys; i++)
    dkim_key_free(&(*mail)->keys[i].key);
  free(*mail);
  *mail = NULL;
}

static parley_text text_of(const parley_value *group, const char *name)
{
  const parley_value *value = parley_find(group, name);

  return value != NULL && value->type != 0 ? value->text : TEXT_EMPTY;
}

/* As it stands in DNS: lower case, A-labels. */
static bool domain_read(parley_text text, char to[DOMAIN_ROOM])
{
  struct arena *arena = arena_new();
  struct buf address = BUF_INIT(EMAIL_RAW_BYTES_MAX);
  parley_text canonical;
  const char *why;
  bool good;

  buf_str(&address, "x@");
  buf_text(&address, text);
  good = email_normalise(buf_as_text(&address), arena, &canonical, &why) && canonical.len - 2 < DOMAIN_ROOM;
  if (good)
    snprintf(to, DOMAIN_ROOM, "%.*s", (int)(canonical.len - 2), canonical.at + 2);
  buf_done(&address);
  arena_free(&arena);
  return good;
}

static void sender_add(struct doctor_mail *mail, parley_text mailbox)
{
  char domain[DOMAIN_ROOM];
  size_t at = mailbox.len;

  while (at > 0 && mailbox.at[at - 1] != '@')
    at--;
  mailbox = text_trim(text_sub(mailbox, at, SIZE_MAX));
  if (text_ends(mailbox, ">"))
    mailbox.len--;
  if (at == 0 || mail->n_domains == DOMAINS_MAX || !domain_read(mailbox, domain))
    return;
  for (size_t i = 0; i < mail->n_domains; i++)
    if (strcmp(mail->domains[i], domain) == 0)
      return;
  memcpy(mail->domains[mail->n_domains++], domain, sizeof domain);
}

static void key_add(struct doctor_mail *mail, const parley_value *group)
{
  struct mail_key *key = &mail->keys[mail->n_keys];
  const char *why;

  if (mail->n_keys == KEYS_MAX || !domain_read(text_of(group, "domain"), key->domain))
    return;
  snprintf(key->selector, sizeof key->selector, "%.*s", TEXT_ARG(text_of(group, "selector")));
  mail->n_keys++;
  dkim_key_read(text_of(group, "key"), &key->key, &why); /* one that cannot be read stays NULL, and is told of */
}

void doctor_mail_see(const struct conf_channel *channel, const parley_value *options, void *arg)
{
  struct doctor_mail *mail = arg;
  const parley_value *senders = parley_find(options, "senders"), *keys = parley_find(options, "dkim");

  if (!parley_text_is(channel->plugin, "email"))
    return;
  sender_add(mail, text_of(options, "from"));
  for (uint64_t i = 0; senders != NULL && i < senders->n_items; i++)
    sender_add(mail, senders->items[i]->text);
  for (uint64_t i = 0; keys != NULL && i < keys->n_items; i++)
    key_add(mail, keys->items[i]);
}

/* --- Asking ------------------------------------------------------------------------------------------------------- */
struct lookup {
  const char *prefix; /* records that do not begin so are none of ours */
  bool over;
  parley_status status;
  size_t n;            /* records that do */
  char text[TXT_ROOM]; /* the first of them */
};

static void lookup_done(const struct dns_answer *answer, void *arg)
{
  struct lookup *lookup = arg;

  lookup->over = true;
  lookup->status = answer->status;
  for (size_t i = 0; i < answer->n_texts; i++) {
    if (!text_starts(answer->texts[i], lookup->prefix))
      continue;
    if (lookup->n++ == 0)
      snprintf(lookup->text, sizeof lookup->text, "%.*s", TEXT_ARG(answer->texts[i]));
  }
  for (char *c = lookup->text; *c != '\0'; c++) /* it goes to a terminal */
    if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
      *c = '?';
}

/* true: DNS has answered; lookup->n may be 0. */
static bool look_up(struct doctor_mail *mail, const char *what, const char *name, const char *prefix, struct lookup *lookup)
{
  *lookup = (struct lookup){.prefix = prefix};
  dns_texts(mail->dns, name, LOOKUP_MS, lookup_done, lookup);
  while (!lookup->over)
    uv_run(&mail->loop, UV_RUN_ONCE);
  if (lookup->status == PARLEY_OK || lookup->status == PARLEY_NOT_FOUND)
    return true;
  said(mail->doctor, "warn", what, "DNS gives no answer for %s: try again later, or name a server with --dns", name);
  return false;
}

/* The value of a tag of "v=DMARC1; p=none": blanks around it are left out. NULL in .at: there is none. */
static parley_text tag_of(const char *record, const char *name)
{
  parley_text rest = parley_text_of(record);

  while (rest.len > 0) {
    parley_text value = text_cut(&rest, ';'), tag = text_trim(text_cut(&value, '='));

    if (text_is_nocase(tag, name))
      return value.len > 0 ? text_trim(value) : PARLEY_LIT("");
  }
  return (parley_text){NULL, 0};
}

/* --- SPF (RFC 7208) ----------------------------------------------------------------------------------------------- */
static void spf_check(struct doctor_mail *mail, const char *domain)
{
  struct lookup found;

  if (!look_up(mail, "spf", domain, "v=spf1", &found))
    return;
  if (found.n == 0)
    said(mail->doctor, "warn", "spf", "%s has no SPF record: publish one that names your mail server, such as \"v=spf1 mx -all\"",
         domain);
  else if (found.n > 1)
    said(mail->doctor, "fail", "spf", "%s has %zu SPF records: receivers then believe none; join them into one", domain, found.n);
  else if (strstr(found.text, "+all") != NULL || text_ends(parley_text_of(found.text), " all"))
    said(mail->doctor, "fail", "spf", "%s lets everybody send in its name: %.300s", domain, found.text);
  else
    said(mail->doctor, "ok", "spf", "%s: %.300s", domain, found.text);
}

/* --- DKIM (RFC 6376 3.6.1) ---------------------------------------------------------------------------------------- */
static bool domain_covers(const char *above, const char *domain) /* it, or what stands below it */
{
  size_t len = strlen(above), all = strlen(domain);

  return len <= all && strcmp(domain + all - len, above) == 0 && (len == all || domain[all - len - 1] == '.');
}

static bool public_same(parley_text published, const char *ours)
{
  for (size_t i = 0; i < published.len; i++)
    if (published.at[i] != ' ' && published.at[i] != '\t' && *ours++ != published.at[i])
      return false;
  return *ours == '\0';
}

static void key_record_check(struct doctor_mail *mail, const struct mail_key *key, const char *name, const char *record)
{
  parley_text published = tag_of(record, "p"), type = tag_of(record, "k"), flags = tag_of(record, "t");
  char ours[DKIM_KEY_PUBLIC_MAX];

  if (!dkim_key_public(key->key, ours))
    said(mail->doctor, "fail", "dkim", "the public half of %s cannot be made", name);
  else if (published.len == 0)
    said(mail->doctor, "fail", "dkim", "%s has revoked its key: publish p=%s", name, ours);
  else if (!text_is_nocase(type.at != NULL ? type : PARLEY_LIT("rsa"), dkim_key_type(key->key)))
    said(mail->doctor, "fail", "dkim", "%s says k=%.*s, but our key is %s", name, TEXT_ARG(text_sub(type, 0, 40)),
         dkim_key_type(key->key));
  else if (!public_same(published, ours))
    said(mail->doctor, "fail", "dkim", "%s publishes another key than ours: all our signatures fail; publish p=%s", name, ours);
  else if (text_find(flags, 'y') < flags.len)
    said(mail->doctor, "warn", "dkim", "%s says it is only a test (t=y): receivers may ignore it", name);
  else if (strcmp(dkim_key_type(key->key), "rsa") == 0 && dkim_key_bits(key->key) < DKIM_RSA_BITS_GOOD)
    said(mail->doctor, "warn", "dkim", "%s fits our key of %u bits; providers ask for 2048", name, dkim_key_bits(key->key));
  else
    said(mail->doctor, "ok", "dkim", "%s fits our key (%s, %u bits)", name, dkim_key_type(key->key), dkim_key_bits(key->key));
}

static void key_check(struct doctor_mail *mail, const struct mail_key *key)
{
  char name[NAME_ROOM], ours[DKIM_KEY_PUBLIC_MAX];
  struct lookup found;

  snprintf(name, sizeof name, "%s._domainkey.%s", key->selector, key->domain);
  if (key->key == NULL) {
    said(mail->doctor, "fail", "dkim", "the key for %s cannot be used", name);
    return;
  }
  if (!look_up(mail, "dkim", name, "", &found))
    return;
  if (found.n == 0 && dkim_key_public(key->key, ours))
    said(mail->doctor, "fail", "dkim", "%s does not exist: publish the TXT record \"v=DKIM1; k=%s; p=%s\"", name,
         dkim_key_type(key->key), ours);
  else if (found.n > 1)
    said(mail->doctor, "fail", "dkim", "%s has %zu records: there may be one", name, found.n);
  else
    key_record_check(mail, key, name, found.text);
}

/* --- DMARC (RFC 7489): the record of the domain, else of the nearest one above it ---------------------------------- */
static bool dmarc_find(struct doctor_mail *mail, const char *domain, const char **ret_at, struct lookup *found)
{
  char name[NAME_ROOM];

  for (const char *at = domain; at != NULL && strchr(at, '.') != NULL; at = strchr(at, '.') + 1) {
    snprintf(name, sizeof name, "_dmarc.%s", at);
    if (!look_up(mail, "dmarc", name, "v=DMARC1", found))
      return false;
    *ret_at = at;
    if (found->n > 0)
      return true;
  }
  return true;
}

/* Which of our keys' domains DMARC takes for that of From. */
static const struct mail_key *aligned_key(const struct doctor_mail *mail, const char *domain, bool strict)
{
  for (size_t i = 0; i < mail->n_keys; i++)
    if (strict ? strcmp(mail->keys[i].domain, domain) == 0 : domain_covers(mail->keys[i].domain, domain))
      return &mail->keys[i];
  return NULL;
}

static void alignment_check(struct doctor_mail *mail, const char *domain, const char *record)
{
  parley_text mode = tag_of(record, "adkim");
  bool strict = text_is_nocase(mode, "s");

  if (aligned_key(mail, domain, strict) != NULL)
    said(mail->doctor, "ok", "dmarc", "mail from %s is signed in alignment (%s)", domain, strict ? "adkim=s" : "adkim=r");
  else if (aligned_key(mail, domain, false) != NULL)
    said(mail->doctor, "fail", "dmarc", "%s wants the very same domain in the signature (adkim=s), and the key is of one above it",
         domain);
  else
    said(mail->doctor, "note", "dmarc", "mail from %s is not signed here: only your mail server can sign in alignment", domain);
}

static void dmarc_check(struct doctor_mail *mail, const char *domain)
{
  const char *at = domain;
  struct lookup found = {.n = 0};
  parley_text policy;

  if (!dmarc_find(mail, domain, &at, &found))
    return;
  if (found.n == 0) {
    said(mail->doctor, "warn", "dmarc", "%s has no DMARC record, which Gmail, Yahoo and Microsoft ask of who sends much: publish "
         "the TXT record \"v=DMARC1; p=none; rua=mailto:postmaster@%s\" at _dmarc.%s", domain, domain, domain);
    return;
  }
  policy = tag_of(found.text, "p");
  if (found.n > 1)
    said(mail->doctor, "fail", "dmarc", "_dmarc.%s has %zu records: receivers then believe none", at, found.n);
  else if (!text_is_nocase(policy, "none") && !text_is_nocase(policy, "quarantine") && !text_is_nocase(policy, "reject"))
    said(mail->doctor, "fail", "dmarc", "_dmarc.%s: p= must be none, quarantine or reject: %.300s", at, found.text);
  else
    said(mail->doctor, "ok", "dmarc", "_dmarc.%s: %.300s", at, found.text);
  alignment_check(mail, domain, found.text);
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */
/* Names that nobody owns (RFC 2606, 6761): in DNS there is nothing to find. */
static bool domain_reserved(const char *domain)
{
  static const char *const reserved[] = {"example", "test", "invalid", "localhost", "example.com", "example.net", "example.org"};

  for (size_t i = 0; i < COUNT_OF(reserved); i++)
    if (domain_covers(reserved[i], domain))
      return true;
  return false;
}

static void one_click_check(struct doctor *doctor, const struct conf *conf)
{
  bool marketing = false;

  for (size_t i = 0; i < conf->n_topics; i++)
    marketing |= conf->topics[i].class == CONF_MARKETING;
  if (marketing && !text_starts(conf->server.public_url, "https://"))
    said(doctor, "warn", "mail", "server.public_url is not https: mailbox providers then offer no unsubscribing by one click");
}

static void domain_check(struct doctor_mail *mail, const char *domain, bool own_server)
{
  bool signs = false;

  if (domain_reserved(domain) && !own_server) {
    said(mail->doctor, "note", "mail", "%s is a name for examples: DNS is not asked", domain);
    return;
  }
  spf_check(mail, domain);
  for (size_t i = 0; i < mail->n_keys; i++) {
    if (!domain_covers(mail->keys[i].domain, domain))
      continue;
    signs = true;
    key_check(mail, &mail->keys[i]);
  }
  if (!signs)
    said(mail->doctor, "note", "dkim", "%s has no key here (option dkim): your mail server has to sign", domain);
  dmarc_check(mail, domain);
}

static void on_closed(void *arg)
{
  (void)arg;
}

void doctor_mail_check(struct doctor_mail *mail, struct doctor *doctor, const struct conf *conf, const char *dns)
{
  if (mail->n_domains == 0)
    return;
  mail->doctor = doctor;
  one_click_check(doctor, conf);
  uv_loop_init(&mail->loop);
  if (dns_new(&mail->loop, &env_system, dns, &mail->dns) != PARLEY_OK) {
    said(doctor, "fail", "mail", "DNS cannot be asked%s%s", dns != NULL ? " at " : "", dns != NULL ? dns : "");
  } else {
    for (size_t i = 0; i < mail->n_domains; i++)
      domain_check(mail, mail->domains[i], dns != NULL);
    dns_close(&mail->dns, on_closed, NULL);
  }
  uv_run(&mail->loop, UV_RUN_DEFAULT);
  uv_loop_close(&mail->loop);
}
