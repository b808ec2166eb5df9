/* conf.h - the configuration, checked as a whole: what parley.yaml says, with every default filled in.
 *
 * Immutable after conf_load() and shared by reference count: whoever keeps a pointer into it holds a reference. A reload makes
 * a new one. Thread: any. Ownership: all texts and arrays belong to the conf; every text has a NUL behind it. Secrets are wiped
 * when the last reference goes. Times in ms, sizes in bytes. "Not given" is an empty text, 0 or NULL where no default is named. */
#ifndef CORE_CONFIG_CONF_H
#define CORE_CONFIG_CONF_H
#include "scope.h"
#include "secret.h"
#include "yaml.h"

#define CONF_ERRORS_MAX 20 /* shown of one load; then it gives up */
#define CONF_NAME_MAX 64   /* bytes of a channel, topic, plan, subscription or key: [a-z0-9_.-] */
#define CONF_STEPS_MAX 8   /* of one plan */
#define CONF_ITEMS_MAX 1000 /* entries of any one list or section */

/* The values are those of core/route/policy.h and core/customer/consent.h, which stand above this floor. */
enum conf_class { CONF_CRITICAL = 1, CONF_CONVERSATION, CONF_TRANSACTIONAL, CONF_MARKETING };
enum conf_on_unknown { CONF_UNKNOWN_DEFAULT, CONF_UNKNOWN_RESEND, CONF_UNKNOWN_QUERY, CONF_UNKNOWN_HOLD };
enum conf_until { CONF_UNTIL_SENT = 1, CONF_UNTIL_DELIVERED, CONF_UNTIL_READ, CONF_UNTIL_REPLIED };
enum conf_driver { CONF_SQLITE = 1, CONF_POSTGRES };
enum conf_isolation { CONF_ISOLATION_DEFAULT = 0, CONF_INLINE, CONF_PROCESS }; /* default: by where the plugin comes from */

struct conf_key {
  parley_text name, secret;
  uint32_t scopes; /* SCOPE_* */
  bool test;       /* mode: test */
  parley_text topic; /* of what is handed in without one; empty: none */
};
struct conf_limits {
  uint64_t body_bytes;                                     /* 10M */
  uint32_t header_bytes, headers;                          /* 16K, 100 */
  uint32_t connections, in_flight;                         /* 10000; 32 requests of one connection */
  uint32_t header_timeout_ms, body_timeout_ms, idle_timeout_ms; /* 10s, 60s, 75s */
};
struct conf_server {
  parley_text listen;      /* as written: "127.0.0.1:8080", "[::1]:8080" */
  parley_text listen_host; /* an IP address, without brackets */
  uint16_t listen_port;    /* 0: the kernel picks one */
  parley_text tls_cert_path, tls_cert_pem, tls_key_pem; /* empty: plain HTTP */
  parley_text public_url;  /* no slash at its end; by default http(s)://listen */
  size_t n_keys, n_egress_allow, n_egress_ports, n_origins, n_proxies;
  const struct conf_key *keys;
  const parley_text *egress_allow; /* CIDRs */
  const parley_text *egress_ports; /* "443", "8000-9999"; none: 80, 443, 8443 */
  const parley_text *origins;      /* "https://desk.example": CORS */
  const parley_text *proxies;      /* CIDRs: whose X-Forwarded-For is believed */
  uint32_t drain_ms;               /* 10s */
  struct conf_limits limits;
};
struct conf_keep { /* for how long; 0: forever */
  int64_t bodies_ms;   /* what messages say, and the decision about them: 365d */
  int64_t raw_ms;      /* what providers sent in, as it came: 30d */
  int64_t events_ms;   /* the log: 365d */
  int64_t attempts_ms; /* 90d */
};
struct conf_store {
  enum conf_driver driver;
  parley_text path; /* sqlite: absolute or from the working directory: "relative to the file" is already applied */
  parley_text url;  /* postgres: a libpq connection URI or key=value string; secret */
  struct conf_keep keep;
};
struct conf_rate {
  uint32_t count, span_ms; /* 50/s: 50 in 1000; count 0: no limit */
};
struct conf_channel {
  parley_text name, plugin;
  struct conf_rate rate;
  struct conf_rate rate_floor; /* of a destination that asks for less; count 0: core/deliver's default */
  enum conf_isolation isolation;
  enum conf_on_unknown on_unknown;
  uint32_t in_flight;                /* 0: as the plugin says */
  const struct yaml_node *options;   /* a mapping, or NULL: none given. core/channel checks it */
  uint32_t line, col;                /* of its name, for messages */
};
#define CONF_TOPIC_RESERVED "keywords" /* of answers to STOP, START and HELP: always there */
struct conf_topic {
  parley_text name;
  enum conf_class class;
  enum conf_on_unknown on_unknown;
  int64_t expires_in_ms; /* 0: the class's default */
  parley_text title;     /* for customers: on pages and in mails; else the name */
  struct conf_track { bool clicks, opens; } track; /* off */
};
struct conf_step {
  const struct conf_channel *channel;
  enum conf_until until; /* sent */
  int64_t within_ms;     /* 0: as long as the message lives */
  uint32_t line, col;    /* so that "until beyond what the channel can tell" can show the place */
};
struct conf_plan {
  parley_text name;
  size_t n_steps;
  const struct conf_step *steps;
};
struct conf_subscription {
  parley_text name, url;
  parley_text secret; /* "whsec_..." as it was given */
  size_t n_types;
  const parley_text *types;      /* "message.received", "message.*"; none: all */
  const struct yaml_node *filter; /* NULL: none */
  uint32_t line, col;
};
struct conf_template { /* a file of templates.dir: NAME.yaml, NAME.yml or NAME.json */
  parley_text name;
  const struct yaml_file *file; /* its root is checked by core/message */
};
struct conf_form { /* a sign-up form: POST /s/<name> */
  parley_text name;
  const struct conf_topic *topic;
  const struct conf_channel *channel; /* over which the confirmation goes, and whose kind is granted */
  parley_text from_page;   /* where the form stands: kept with the proof */
  parley_text thanks_page; /* where a browser is sent afterwards; else a page of ours */
  struct conf_rate rate;   /* of one client's address: 20/h */
  uint32_t line, col;
};
struct conf_pages { /* what strangers see and may do */
  parley_text name;       /* of the business */
  uint32_t once_per_ms;   /* at most one confirmation message an address and topic: 4h */
  uint32_t confirm_ms;    /* how long a confirm link is good: 7d */
};
struct conf_tracking {
  uint32_t machine_within_ms; /* a click or open so soon after the hand-over is no person's: 5s */
  uint32_t burst_ms;          /* the same again within it is not counted: 30s */
};
/* A mailbox that people answer from. That channel, topic and the names in `only` are there is checked with the channels themselves. */
struct conf_bridge {
  parley_text name, channel, topic; /* topic: empty: that of answers */
  parley_text to;                   /* the mailbox */
  size_t n_owners, n_only;
  const parley_text *owners; /* who may answer: addresses */
  const parley_text *only;   /* messages of these channels; none: of all */
  uint32_t line, col;
};
/* What customers say with one word. The words that every channel of kind sms listens to stand in core/customer/keyword.c; whether those
 * given here can be told apart is core/customer/keyword_conf.h's to check. */
struct conf_words { size_t n; const parley_text *at; };
#define CONF_KEYWORD_BYTES_MAX 64 /* of a word or two */
struct conf_keyword_texts { parley_text name /* a locale */, stop, start, help; /* empty: ours */ };
struct conf_keyword_set { size_t n_texts; const struct conf_keyword_texts *texts; struct conf_words stop, start, help; };
struct conf_keyword_channel {
  parley_text name;
  bool listen; /* of one that stands here: true, whatever its kind */
  bool answer; /* as for all channels */
  struct conf_keyword_set set; /* beside that of all channels */
  uint32_t line, col;
};
struct conf_keywords {
  bool answer;            /* true: STOP, START and HELP are answered; false: the provider does it */
  uint32_t help_every_ms; /* HELP of one address is answered once in so long: 10m */
  struct conf_keyword_set set;
  size_t n_channels;
  const struct conf_keyword_channel *channels;
  uint32_t line, col; /* of the section */
};
struct conf_inbound {
  uint32_t join_wait_ms;     /* for the missing pieces of a text, where the channel does not say: 1h */
  uint32_t join_wait_max_ms; /* at most, whatever it says: 24h */
};
struct conf_log {
  uint32_t level; /* PARLEY_DEBUG .. PARLEY_ERROR */
  bool json;
};

struct conf {
  struct conf_server server;
  struct conf_store store;
  size_t n_plugin_dirs, n_channels, n_topics, n_plans, n_subscriptions, n_forms, n_bridges;
  const parley_text *plugin_dirs;
  uint64_t plugin_memory_bytes; /* of one plugin's process */
  uint32_t plugin_hang_ms;      /* without an answer for so long, it is killed */
  parley_text timezone, locale; /* "UTC", "en" */
  parley_text country;          /* whose national formats phone numbers may have: "ES"; empty: none */
  uint32_t country_line, country_col;
  const struct conf_channel *channels;
  const struct conf_topic *topics;
  const struct conf_plan *plans; /* "default" is there when the file has one */
  const struct conf_subscription *subscriptions;
  size_t n_templates;
  const struct conf_template *templates;
  const struct conf_form *forms;
  struct conf_pages pages;
  struct conf_tracking tracking;
  const struct conf_bridge *bridges;
  struct conf_keywords keywords;
  struct conf_inbound inbound;
  struct conf_log log;
  const struct yaml_file *file; /* for errors found later: yaml_error() */
  struct conf_private *private;
};

/* PARLEY_INVALID: reterr_why has up to CONF_ERRORS_MAX errors with file, line, column, caret and suggestion; *ret as it was.
 * Blocking: at start and reload. *ret holds one reference. */
parley_status conf_load(const char *path, struct conf **ret, struct buf *reterr_why);
/* The same from memory (tests, `parley config check -`). path: for messages and what is relative to it. */
parley_status conf_parse(const char *path, parley_text source, yaml_variable *variable, struct conf **ret,
                         struct buf *reterr_why);
struct conf *conf_ref(struct conf *conf);
void conf_unref(struct conf **conf); /* sets it to NULL; NULL inside is fine */

const struct conf_channel *conf_channel_find(const struct conf *conf, parley_text name); /* NULL: none */
const struct conf_topic *conf_topic_find(const struct conf *conf, parley_text name);
const struct conf_plan *conf_plan_find(const struct conf *conf, parley_text name);
const struct conf_subscription *conf_subscription_find(const struct conf *conf, parley_text name);
const struct conf_form *conf_form_find(const struct conf *conf, parley_text name);
const struct conf_bridge *conf_bridge_find(const struct conf *conf, parley_text name);
const struct conf_key *conf_key_find(const struct conf *conf, parley_text name);

/* Values as the file writes them; core/channel reads plugins' options with the same. false leaves *ret. */
bool conf_size_parse(parley_text text, uint64_t *ret_bytes);     /* "10M", "16K", "1G" (powers of 1024) or plain bytes */
bool conf_rate_parse(parley_text text, struct conf_rate *ret);   /* "50/s" "600/m" "1000/h" */
bool conf_bool_parse(const struct yaml_node *node, bool *ret);   /* plain true and false, nothing else */
bool conf_name_ok(parley_text name);                             /* [a-z0-9_.-]{1,64} */
bool conf_signing_secret_ok(parley_text secret);                 /* whsec_ and the base64 of 24 to 64 bytes */
bool conf_event_type_ok(parley_text type);                       /* message.received, message.*, touchpoint.call.ended, * */
#endif
