#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/config/conf.h"
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEED "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz" /* 24 bytes */

static const char *variable(const char *name)
{
  static const struct {
    const char *name, *value;
  } known[] = {
      {"KEY", "hunter-key-1"}, {"KEY2", "hunter-key-2"},   {"SHORT", "hunter"},     {"SPACE", "hunter hunter"},
      {"FEED", FEED},          {"WEAK", "whsec_aHVudGVy"}, {"RAW", "hunterhunter"}, {"URL", "http://hunter:2@x/"},
      {"PORT", "8081"}};

  for (size_t i = 0; i < COUNT_OF(known); i++)
    if (strcmp(name, known[i].name) == 0)
      return known[i].value;
  return NULL;
}

static struct conf *parse(const char *source, struct buf *why)
{
  struct conf *conf = NULL;
  parley_status st = conf_parse("etc/p.yaml", parley_text_of(source), variable, &conf, why);

  ck_assert_msg((st == PARLEY_OK) == (conf != NULL) && (st == PARLEY_OK) == (why->len == 0), "%s",
                why->at ? why->at : "");
  return conf;
}

START_TEST(one_line_is_enough_and_defaults_fill_the_rest)
{
  struct buf why = BUF_INIT(0);
  struct conf *conf = parse("version: 1\n", &why);

  ck_assert_ptr_nonnull(conf);
  ck_assert_str_eq(conf->server.listen.at, "127.0.0.1:8080");
  ck_assert_str_eq(conf->server.listen_host.at, "127.0.0.1");
  ck_assert_uint_eq(conf->server.listen_port, 8080);
  ck_assert_str_eq(conf->server.public_url.at, "http://127.0.0.1:8080");
  ck_assert_uint_eq(conf->server.n_keys, 0);
  ck_assert_uint_eq(conf->server.drain_ms, 10000);
  ck_assert_uint_eq(conf->server.limits.body_bytes, 10485760);
  ck_assert_uint_eq(conf->server.limits.header_bytes, 16384);
  ck_assert_uint_eq(conf->server.limits.headers, 100);
  ck_assert_uint_eq(conf->server.limits.connections, 10000);
  ck_assert_uint_eq(conf->server.limits.in_flight, 32);
  ck_assert_uint_eq(conf->server.limits.header_timeout_ms, 10000);
  ck_assert_uint_eq(conf->server.limits.body_timeout_ms, 60000);
  ck_assert_uint_eq(conf->server.limits.idle_timeout_ms, 75000);
  ck_assert_int_eq(conf->store.driver, CONF_SQLITE);
  ck_assert_str_eq(conf->store.path.at, "etc/parley.db");
  ck_assert_str_eq(conf->plugin_dirs[0].at, "/usr/lib/parley/plugins");
  ck_assert_str_eq(conf->timezone.at, "UTC");
  ck_assert_uint_eq(conf->country.len, 0);
  ck_assert_str_eq(conf->locale.at, "en");
  ck_assert_uint_eq(conf->log.level, PARLEY_INFO);
  ck_assert(!conf->log.json);
  conf_unref(&conf);
  ck_assert_ptr_null(conf);
  conf_unref(&conf);
}
END_TEST

static const char full[] = "version: 1\n"
                           "plans:\n" /* before the channels that they name */
                           "  default: [ { channel: mail } ]\n"
                           "  orders: [ { channel: mail, until: delivered, within: 10m }, { channel: hook } ]\n"
                           "server:\n"
                           "  listen: \"[::1]:${PORT}\"\n"
                           "  public_url: https://parley.example/base//\n"
                           "  keys:\n"
                           "    - { name: shop, secret: { env: KEY }, scopes: [messages:send, messages:read] }\n"
                           "    - { name: try, secret: { env: KEY2 }, scopes: [admin], mode: test }\n"
                           "  egress: { allow: [10.0.0.0/8, \"::1\"], ports: [443, 8000-9999] }\n"
                           "  origins: [\"https://desk.example\"]\n"
                           "  drain: 0s\n"
                           "  limits: { body_bytes: 2M, idle_timeout: 1m }\n"
                           "store: { driver: sqlite, path: /var/lib/parley/x.db }\n"
                           "plugins: { dirs: [plugins, /opt/p] }\n"
                           "defaults: { timezone: UTC, locale: pt-BR }\n"
                           "channels:\n"
                           "  mail: { plugin: email, rate: 600/m, rate_floor: 30/m, on_unknown: hold, "
                           " in_flight: 7, options: { a: 1 } }\n"
                           "  hook: { plugin: webhook, isolation: inline }\n"
                           "topics: { orders: { class: transactional, on_unknown: query, expires_in: 2h },\n"
                           "          news: { class: marketing } }\n"
                           "subscriptions:\n"
                           "  desk: { url: \"https://help.example/feed?a=1\", secret: { env: FEED },\n"
                           "          types: [message.received, consent.*], filter: { topic: orders } }\n"
                           "log: { level: debug, format: json }\n";

START_TEST(every_value_arrives)
{
  struct buf why = BUF_INIT(0);
  struct conf *conf = parse(full, &why);
  const struct conf_plan *plan;
  const struct conf_channel *mail;
  const struct conf_subscription *desk;

  ck_assert_ptr_nonnull(conf);
  ck_assert_str_eq(conf->server.listen_host.at, "::1");
  ck_assert_uint_eq(conf->server.listen_port, 8081);
  ck_assert_str_eq(conf->server.public_url.at, "https://parley.example/base");
  ck_assert_uint_eq(conf->server.n_keys, 2);
  ck_assert_str_eq(conf->server.keys[0].secret.at, "hunter-key-1");
  ck_assert_uint_eq(conf->server.keys[0].scopes, SCOPE_MESSAGES_SEND | SCOPE_MESSAGES_READ);
  ck_assert(conf_key_find(conf, PARLEY_LIT("try"))->test && !conf->server.keys[0].test);
  ck_assert_str_eq(conf->server.egress_allow[1].at, "::1");
  ck_assert_str_eq(conf->server.egress_ports[1].at, "8000-9999");
  ck_assert_str_eq(conf->server.origins[0].at, "https://desk.example");
  ck_assert_uint_eq(conf->server.drain_ms, 0);
  ck_assert_uint_eq(conf->server.limits.body_bytes, 2097152);
  ck_assert_uint_eq(conf->server.limits.idle_timeout_ms, 60000);
  ck_assert_str_eq(conf->store.path.at, "/var/lib/parley/x.db");
  ck_assert_uint_eq(conf->n_plugin_dirs, 2);
  ck_assert_str_eq(conf->plugin_dirs[0].at, "etc/plugins");
  ck_assert_str_eq(conf->locale.at, "pt-BR");
  mail = conf_channel_find(conf, PARLEY_LIT("mail"));
  ck_assert_str_eq(mail->plugin.at, "email");
  ck_assert_uint_eq(mail->rate.count, 600);
  ck_assert_uint_eq(mail->rate.span_ms, 60000);
  ck_assert_uint_eq(mail->rate_floor.count, 30);
  ck_assert_int_eq(mail->on_unknown, CONF_UNKNOWN_HOLD);
  ck_assert_uint_eq(mail->in_flight, 7);
  ck_assert_str_eq(yaml_find(mail->options, "a")->text.at, "1");
  ck_assert_uint_eq(mail->line, 19);
  ck_assert_ptr_null(conf_channel_find(conf, PARLEY_LIT("hook"))->options);
  ck_assert_int_eq(conf_topic_find(conf, PARLEY_LIT("orders"))->class, CONF_TRANSACTIONAL);
  ck_assert_int_eq(conf_topic_find(conf, PARLEY_LIT("orders"))->expires_in_ms, 7200000);
  ck_assert_int_eq(conf_topic_find(conf, PARLEY_LIT("news"))->class, CONF_MARKETING);
  ck_assert_ptr_null(conf_topic_find(conf, PARLEY_LIT("none")));
  plan = conf_plan_find(conf, PARLEY_LIT("orders"));
  ck_assert_uint_eq(plan->n_steps, 2);
  ck_assert_ptr_eq(plan->steps[0].channel, mail);
  ck_assert_int_eq(plan->steps[0].until, CONF_UNTIL_DELIVERED);
  ck_assert_int_eq(plan->steps[0].within_ms, 600000);
  ck_assert_int_eq(plan->steps[1].until, CONF_UNTIL_SENT);
  ck_assert_int_eq(plan->steps[1].within_ms, 0);
  desk = conf_subscription_find(conf, PARLEY_LIT("desk"));
  ck_assert_str_eq(desk->secret.at, FEED);
  ck_assert_str_eq(desk->types[1].at, "consent.*");
  ck_assert_str_eq(yaml_find(desk->filter, "topic")->text.at, "orders");
  ck_assert_uint_eq(conf->log.level, PARLEY_DEBUG);
  ck_assert(conf->log.json);
  conf_unref(&conf);
}
END_TEST

#define V "version: 1\n"
#define CH V "channels: { mail: { plugin: email } }\n"
static const struct {
  const char *source, *place, *want; /* place: of the first error */
} bad[] = {
    {"{}", "1:1", "'version' is missing; write `version: 1`"},
    {"version: 2", "1:10", "version: '2' is no version this program reads; it reads 1"},
    {"version: \"1\"", "1:10", "version: '1'"},
    {"version: 1.0", "1:10", "version: '1.0'"},
    {V "chanels: {}", "2:1", "unknown key 'chanels': did you mean 'channels'?"},
    {V "banana: {}", "2:1", "unknown key 'banana'; known here: version, server, store"},
    {V "server: []", "2:9", "server: must be a mapping, not a list"},
    {V "server: x", "2:9", "server: must be a mapping, not 'x'"},
    {V "server: {}\nserver: {}", "3:1", "'server' stands twice; the first is in line 2"},
    {V "server:\n  lisen: x", "3:3", "server: unknown key 'lisen': did you mean 'listen'?"},
    {V "server: { listen: 127.0.0.1:99999 }", "2:19", "server.listen: port 99999 is out of range: 0 to 65535"},
    {V "server: { listen: 127.0.0.1:-1 }", "2:19", "is no address and port"},
    {V "server: { listen: 127.0.0.1:80a }", "2:19", "is no address and port"},
    {V "server: { listen: 127.0.0.1 }", "2:19", "is no address and port"},
    {V "server: { listen: shop.example:80 }", "2:19", "is no address and port"},
    {V "server: { listen: \"::1:80\" }", "2:19", "is no address and port"},
    {V "server: { listen: 127.1:80 }", "2:19", "is no address and port"},
    {V "server: { listen: [1] }", "2:19", "server.listen: must be a text, not a list"},
    {V "server: { listen: }", "2:19", "server.listen: must be a text, not nothing"},
    {V "server: { drain: 10 }", "2:18",
     "server.drain: '10' is no time: one number and one of ms s m h d, such as 30s; 0s to 1h"},
    {V "server: { drain: 1h30 }", "2:18", "'1h30' is no time"},
    {V "server: { drain: -1s }", "2:18", "'-1s' is no time"},
    {V "server: { drain: 2h }", "2:18", "'2h' is out of range: 0s to 1h"},
    {V "server: { drain: {a: 1} }", "2:18", "a mapping is no time"},
    {V "server: { public_url: ftp://x }", "2:23", "server.public_url: this is no URL"},
    {V "server: { public_url: \"https://x/?a\" }", "2:23", "this is no URL"},
    {V "server: { public_url: \"https://\" }", "2:23", "this is no URL"},
    {V "server: { public_url: \"https://a b/\" }", "2:23", "this is no URL"},
    {V "server: { public_url: \"https://ana:hunter@x/\" }", "2:23", "no user"},
    {V "server: { public_url: \"${URL}\" }", "2:23", "no user"},
    {V "server: { public_url: \"https://x\\u0007/\" }", "2:23", "must not hold control characters"},
    {V "server: { limits: { headers: -1 } }", "2:30", "server.limits.headers: '-1' is no number from 10 to 1000"},
    {V "server: { limits: { headers: many } }", "2:30", "'many' is no number from 10 to 1000"},
    {V "server: { limits: { headers: 99999999999999999999 } }", "2:30", "is no number from 10 to 1000"},
    {V "server: { limits: { headers: \"50\" } }", "2:30", "'50' is no number"},
    {V "server: { limits: { headers: 1e2 } }", "2:30", "'1e2' is no number"},
    {V "server: { limits: { body_bytes: 10X } }", "2:33", "'10X' is no size"},
    {V "server: { limits: { body_bytes: 2G } }", "2:33", "'2G' is out of range: 1K to 1G"},
    {V "server: { limits: { body_bytes: 99999999999G } }", "2:33", "is no size"},
    {V "server: { limits: { body_bytes: 1 } }", "2:33", "out of range"},
    {V "server: { limits: { idle: 1s } }", "2:21", "unknown key 'idle'; known here: body_bytes"},
    {V "server: { tls: { cert: x.crt } }", "2:24", "server.tls.cert: 'x.crt': there is no such file"},
    {V "server: { tls: { key: { env: KEY } } }", "2:16", "server.tls: 'cert' is missing; write `cert: tls.crt`"},
    {V "server: { keys: { name: x } }", "2:17", "server.keys: must be a list: [ ... ], not a mapping"},
    {V "server: { keys: [ x ] }", "2:19", "server.keys[0]: must be a mapping, not 'x'"},
    {V "server: { keys: [ { name: a } ] }", "2:19",
     "server.keys[0]: 'secret' is missing; write `secret: { env: PARLEY_KEY }`"},
    {V "server: { keys: [ { name: A, secret: { env: KEY }, scopes: [admin] } ] }", "2:27",
     "'A' is no name: 1 to 64 of a-z 0-9"},
    {V "server: { keys: [ { name: a, secret: hunter2hunter2, scopes: [admin] } ] }", "2:38",
     "must not stand here in clear"},
    {V "server: { keys: [ { name: a, secret: { env: SHORT }, scopes: [admin] } ] }", "2:38", "8 to 256 characters"},
    {V "server: { keys: [ { name: a, secret: { env: SPACE }, scopes: [admin] } ] }", "2:38", "visible ASCII only"},
    {V "server: { keys: [ { name: a, secret: { env: NONE }, scopes: [admin] } ] }", "2:45",
     "server.keys[0].secret: env NONE: this environment variable is not set"},
    {V "server: { keys: [ { name: a, secret: { env: KEY }, scopes: [] } ] }", "2:60", "not an empty one"},
    {V "server: { keys: [ { name: a, secret: { env: KEY }, scopes: admin } ] }", "2:60", "must be a list such as"},
    {V "server: { keys: [ { name: a, secret: { env: KEY }, scopes: [message:send] } ] }", "2:61",
     "'message:send' is no scope: did you mean 'messages:send'?"},
    {V "server: { keys: [ { name: a, secret: { env: KEY }, scopes: [admin], mode: tset } ] }", "2:75",
     "'tset' is not known: did you mean 'test'? One of: live, test"},
    {V "server: { keys: [ { name: a, secret: { env: KEY }, scopes: [admin] },\n"
       "                  { name: a, secret: { env: KEY2 }, scopes: [admin] } ] }",
     "3:19", "two keys have the name 'a'"},
    {V "server: { keys: [ { name: a, secret: { env: KEY }, scopes: [admin] },\n"
       "                  { name: b, secret: { env: KEY }, scopes: [admin] } ] }",
     "3:19", "same secret as the key in line 2"},
    {V "server: { egress: { allow: [10.0.0.0/33] } }", "2:29", "server.egress.allow: '10.0.0.0/33' is no net"},
    {V "server: { egress: { allow: [shop.example] } }", "2:29", "is no net"},
    {V "server: { egress: { allow: 10.0.0.0/8 } }", "2:28", "must be a list"},
    {V "server: { egress: { ports: [0] } }", "2:29", "'0' is no port"},
    {V "server: { egress: { ports: [65536] } }", "2:29", "'65536' is no port"},
    {V "server: { egress: { ports: [9000-8000] } }", "2:29", "'9000-8000' is no port"},
    {V "server: { origins: [\"https://x/y\"] }", "2:21", "is no origin such as https://desk.example"},
    {V "server: { origins: [\"*\"] }", "2:21", "is no origin"},
    {V "store: { driver: postgres }", "2:18", "store.driver: postgres needs 'url'; write `url: { env: PARLEY_DATABASE_URL }`"},
    {V "store: { driver: postgres, url: \"postgresql://u:pw@h/d\" }", "2:33", "must not stand here in clear"},
    {V "store: { driver: postgres, url: { env: KEY }, path: x.db }", "2:53",
     "store.path: is for the driver sqlite; postgres has a url"},
    {V "store: { driver: sqlit }", "2:18", "'sqlit' is not known: did you mean 'sqlite'?"},
    {V "store: { url: x }", "2:15", "store.url: is for the driver postgres"},
    {V "store: { keep: { bodies: 30 } }", "2:26", "store.keep.bodies: '30' is no time to keep something"},
    {V "store: { keep: { raw: 12h } }", "2:23", "store.keep.raw: '12h' is out of range: 1d to 36500d, or forever"},
    {V "store: { keep: { events: 6d } }", "2:26", "store.keep.events: '6d' is out of range: 7d to 36500d, or forever"},
    {V "store: { keep: { attempts: never } }", "2:28", "'never' is no time to keep something"},
    {V "store: { keep: { attempt: 1d } }", "2:18", "unknown key 'attempt': did you mean 'attempts'?"},
    {V "store: { keep: 30d }", "2:16", "store.keep: must be a mapping"},
    {V "store: { path: }", "2:16", "store.path: must be a text, not nothing"},
    {V "plugins: { dirs: /usr/lib }", "2:18", "plugins.dirs: must be a list"},
    {V "defaults: { timezone: Europe/Atlantis }", "2:23", "defaults.timezone: 'Europe/Atlantis' is no time zone"},
    {V "defaults: { timezone: ../../etc/passwd }", "2:23", "is no time zone"},
    {V "defaults: { country: Spain }", "2:22", "'Spain' is no country of ISO 3166-1: did you mean ES (Spain)?"},
    {V "defaults: { country: UK }", "2:22", "did you mean GB (Britain (UK))?"},
    {V "defaults: { country: es }", "2:22", "did you mean ES (Spain)?"},
    {V "defaults: { country: XX }", "2:22", "is no country of ISO 3166-1: two capital letters such as ES or GB"},
    {V "defaults: { country: [ES] }", "2:22", "is no country of ISO 3166-1"},
    {V "defaults: { locale: english }", "2:21", "'english' is no locale such as es or pt-BR"},
    {V "defaults: { locale: pt_BR }", "2:21", "is no locale"},
    {V "defaults: { locale: es- }", "2:21", "is no locale"},
    {V "channels: [ mail ]", "2:11", "channels: must be a mapping of names, not a list"},
    {V "channels: { Mail: { plugin: email } }", "2:13", "channels.Mail: a name has 1 to 64 of a-z 0-9 _ . -"},
    {V "channels: { mail: {} }", "2:19", "channels.mail: 'plugin' is missing; write `plugin: email`"},
    {V "channels:\n  mail:\n", "3:8", "channels.mail: 'plugin' is missing"},
    {V "channels: { mail: { plugin: ../x } }", "2:29", "'../x' is no name"},
    {V "channels: { mail: { plugin: email, rate: 50 } }", "2:42",
     "channels.mail.rate: '50' has no unit; write 50/s, 50/m or 50/h"},
    {V "channels: { mail: { plugin: email, rate: 0/s } }", "2:42", "'0/s' is no rate"},
    {V "channels: { mail: { plugin: email, rate: 5/d } }", "2:42", "'5/d' is no rate"},
    {V "channels: { mail: { plugin: email, isolation: thread } }", "2:47", "one of: inline, process"},
    {V "plugins: { memory: 1M }", "2:20", "16"},
    {V "plugins: { hang: 1s }", "2:18", "2"},
    {V "channels: { mail: { plugin: email, on_unknown: resnd } }", "2:48",
     "did you mean 'resend'? One of: resend, query, hold"},
    {V "channels: { mail: { plugin: email, in_flight: 0 } }", "2:47", "'0' is no number from 1 to 100000"},
    {V "channels: { mail: { plugin: email, options: x } }", "2:45",
     "channels.mail.options: must be a mapping, not 'x'"},
    {V "channels: { mail: { plugin: email, opions: {} } }", "2:36", "unknown key 'opions': did you mean 'options'?"},
    {V "topics: { orders: {} }", "2:19", "topics.orders: 'class' is missing; write `class: transactional`"},
    {V "topics: { orders: { class: transaction } }", "2:28",
     "'transaction' is not known: did you mean 'transactional'? One of: critical, conversation, transactional, "
     "marketing"},
    {V "topics: { orders: { class: critical, expires_in: 999d } }", "2:50", "out of range: 1s to 90d"},
    {V "topics: { \"or ders\": { class: critical } }", "2:11", "a name has 1 to 64"},
    {V "topics: { orders: { class: critical, track: { click: true } } }", "2:47",
     "topics.orders.track: unknown key 'click': did you mean 'clicks'?"},
    {V "topics: { orders: { class: critical, track: { clicks: yes } } }", "2:55", "topics.orders.track.clicks: must be true or false"},
    {V "topics: { orders: { class: critical, title: '' } }", "2:45", "topics.orders.title: must be a text"},
    {CH "forms: { news: { topic: news, channel: mail } }", "3:25", "there is no topic 'news'; the section topics"},
    {CH "topics: { news: { class: marketing } }\nforms: { n: { topic: nwes, channel: mail } }", "4:22",
     "forms.n.topic: there is no topic 'nwes': did you mean 'news'?"},
    {CH "topics: { news: { class: marketing } }\nforms: { n: { topic: news, channel: mial } }", "4:37", "did you mean 'mail'?"},
    {CH "topics: { news: { class: marketing } }\nforms: { n: { topic: news } }", "4:13", "forms.n: 'channel' is missing"},
    {CH "topics: { news: { class: critical } }\nforms: { n: { topic: news, channel: mail } }", "4:13",
     "forms.n: the topic 'news' is critical: that passes without consent"},
    {CH "topics: { news: { class: marketing } }\nforms: { n: { topic: news, channel: mail, thanks_page: 'javascript:x' } }",
     "4:56", ""},
    {V "server: { proxies: [10.1.2.3/8] }", "2:21", "net such as 10.0.0.0/8"},
    {V "pages: { once_per: 1s }", "2:20", "pages.once_per: '1s' is out of range: 1m to 30d"},
    {V "pages: { confirm_within: 99d }", "2:26", "1m to 30d"},
    {V "tracking: { burst: 2h }", "2:20", "1h"},
    {V "topics: { keywords: { class: marketing } }", "2:11", "'keywords' is the topic of answers to STOP, START and HELP"},
    {V "inbound: { join_wait: 8d }", "2:23", "inbound.join_wait: '8d' is out of range: 1s to 7d"},
    {V "inbound: { join_wait: 2h, join_wait_max: 1h }", "2:10", "join_wait is longer than join_wait_max"},
    {V "keywords: { help_every: 1s }", "2:25", "keywords.help_every: '1s' is out of range: 10s to 7d"},
    {V "keywords: { stp: [baja] }", "2:13", "unknown key 'stp': did you mean 'stop'?"},
    {V "keywords: { stop: baja }", "2:19", "keywords.stop: must be a list"},
    {V "keywords: { texts: { \"e s\": { stop: x } } }", "2:22", "a name has 1 to 64"},
    {V "keywords: { texts: { en_us: { stop: x } } }", "2:22", "'en_us' is no locale"},
    {V "keywords: { texts: { en: { stopp: x } } }", "2:28", "did you mean 'stop'?"},
    {CH "keywords: { channels: { sms: { answer: false } } }", "3:25", "keywords.channels.sms: there is no channel 'sms'"},
    {CH "keywords: { channels: { mail: { answer: no } } }", "3:41", "keywords.channels.mail.answer: must be true or false"},
    {CH "plans: { default: [ { channel: mial } ] }", "3:32",
     "plans.default[0].channel: there is no channel 'mial': did you mean 'mail'?"},
    {CH "plans: { default: [ { channel: telegram } ] }", "3:32",
     "there is no channel 'telegram'; the section channels"},
    {CH "plans: { default: [ mail ] }", "3:21", "a step is a mapping: { channel: mail }"},
    {CH "plans: { default: [] }", "3:19", "plans.default: has no step"},
    {CH "plans: { default: { channel: mail } }", "3:19", "plans.default: must be a list"},
    {CH "plans: { default: [ { channel: mail }, { channel: mail } ] }", "3:40",
     "the channel 'mail' is in this plan twice"},
    {CH "plans: { default: [ { channel: mail, until: seen } ] }", "3:45",
     "'seen' is not known: did you mean 'sent'? One of: sent, delivered, read, replied"},
    {CH "plans: { default: [ { channel: mail, within: 10 } ] }", "3:46", "'10' is no time"},
    {CH "plans: { default: [ { until: sent } ] }", "3:21", "'channel' is missing"},
    {V "subscriptions: { a: { secret: { env: FEED } } }", "2:21", "'url' is missing"},
    {V "subscriptions: { a: { url: \"ftp://x\", secret: { env: FEED } } }", "2:28", "this is no URL"},
    {V "subscriptions: { a: { url: \"https://x\", secret: { env: WEAK } } }", "2:49", "the base64 of 24 to 64 bytes"},
    {V "subscriptions: { a: { url: \"https://x\", secret: { env: RAW } } }", "2:49", "whsec_"},
    {V "subscriptions: { a: { url: \"https://x\", secret: whsec_hunter } }", "2:49", "must not stand here in clear"},
    {V "subscriptions: { a: { url: \"https://x\", secret: { env: FEED }, types: [foo] } }", "2:72",
     "'foo' is no event type"},
    {V "subscriptions: { a: { url: \"https://x\", secret: { env: FEED }, types: [mes.*sage] } }", "2:72",
     "is no event type"},
    {V "log: { level: loud }", "2:15", "log.level: 'loud' is not known; one of: debug, info, warn, error"},
    {V "log: { format: xml }", "2:16", "'xml' is not known"},
    {V "server: { listen: &a 127.0.0.1:80 }", "2:19", "anchors"},
    {V "server: { listen: ${PORT} }", "2:19", "put quotes around"},
    {V "server: { listen: \"${NONE}\" }", "2:19", "the variable NONE is not set"},
};

START_TEST(a_wrong_value_is_refused_with_its_place_and_a_way_out)
{
  struct buf why = BUF_INIT(0), place = BUF_INIT(0);

  ck_assert_ptr_null(parse(bad[_i].source, &why));
  buf_printf(&place, "etc/p.yaml:%s: error: ", bad[_i].place);
  ck_assert_msg(text_starts(buf_as_text(&why), place.at) && strstr(why.at, bad[_i].want) != NULL, "want %s%s\ngot  %s",
                place.at, bad[_i].want, why.at);
  ck_assert_msg(strstr(why.at, "hunter") == NULL, "%s", why.at);
  buf_done(&place);
  buf_done(&why);
}
END_TEST

START_TEST(errors_are_collected_up_to_a_limit)
{
  struct buf source = BUF_INIT(0), why = BUF_INIT(0);
  size_t shown = 0;

  buf_str(&source, V "channels:\n");
  for (int i = 0; i < 30; i++)
    buf_printf(&source, "  c%d: { rate: 50 }\n", i);
  ck_assert_ptr_null(parse(source.at, &why));
  for (const char *at = why.at; (at = strstr(at, ": error: ")) != NULL; at++)
    shown++;
  ck_assert_uint_eq(shown, CONF_ERRORS_MAX);
  ck_assert_ptr_nonnull(strstr(why.at, "etc/p.yaml:3:15: error: channels.c0.rate"));
  ck_assert_ptr_nonnull(strstr(why.at, "etc/p.yaml: 40 errors more are not shown\n"));
  buf_done(&why);
  buf_done(&source);
}
END_TEST

START_TEST(a_failed_load_leaves_the_old_one_in_place)
{
  struct buf why = BUF_INIT(0);
  struct conf *conf = parse(V, &why), *before = conf;

  ck_assert_int_eq(conf_parse("f", PARLEY_LIT("version: 9"), variable, &conf, &why), PARLEY_INVALID);
  ck_assert_ptr_eq(conf, before);
  conf_unref(&conf);
  ck_assert_int_eq(conf_load("/nonexistent/parley.yaml", &conf, &why), PARLEY_INVALID);
  ck_assert_ptr_nonnull(strstr(why.at, "/nonexistent/parley.yaml: error: there is no such file"));
  ck_assert_ptr_null(conf);
  buf_done(&why);
}
END_TEST

static void *hold(void *arg)
{
  for (int i = 0; i < 1000; i++) {
    struct conf *mine = conf_ref(arg);

    ck_assert_uint_eq(mine->server.listen_port, 8080);
    conf_unref(&mine);
  }
  return NULL;
}

START_TEST(threads_share_a_configuration_by_reference)
{
  struct buf why = BUF_INIT(0);
  struct conf *conf = parse(V, &why);
  pthread_t threads[4];

  for (size_t i = 0; i < COUNT_OF(threads); i++)
    ck_assert_int_eq(pthread_create(&threads[i], NULL, hold, conf), 0);
  for (size_t i = 0; i < COUNT_OF(threads); i++)
    pthread_join(threads[i], NULL);
  conf_unref(&conf);
}
END_TEST

START_TEST(the_commented_default_loads)
{
  struct buf why = BUF_INIT(0);
  struct conf *conf = NULL;

  setenv("PARLEY_KEY", "0123456789abcdef", 1);
  setenv("FEED_SECRET", FEED, 1);
  unsetenv("PARLEY_PUBLIC_URL");
  ck_assert_msg(conf_load(PARLEY_SOURCE_DIR "/conf/parley.yaml", &conf, &why) == PARLEY_OK, "%s", why.at);
  ck_assert_uint_eq(conf->n_channels, 2);
  ck_assert_str_eq(conf->store.path.at, PARLEY_SOURCE_DIR "/conf/parley.db");
  conf_unref(&conf);
}
END_TEST

/* What is shown as a default in the commented file is the default. */
START_TEST(the_commented_default_tells_the_defaults)
{
  struct buf why = BUF_INIT(0);
  struct conf *shown = NULL, *plain = parse(V, &why);

  setenv("PARLEY_KEY", "0123456789abcdef", 1);
  setenv("FEED_SECRET", FEED, 1);
  ck_assert_int_eq(conf_load(PARLEY_SOURCE_DIR "/conf/parley.yaml", &shown, &why), PARLEY_OK);
  ck_assert_mem_eq(&shown->server.limits, &plain->server.limits, sizeof(plain->server.limits));
  ck_assert_uint_eq(shown->server.drain_ms, plain->server.drain_ms);
  ck_assert(text_eq(shown->server.listen, plain->server.listen) && text_eq(shown->timezone, plain->timezone) &&
            text_eq(shown->locale, plain->locale) && text_eq(shown->plugin_dirs[0], plain->plugin_dirs[0]));
  ck_assert_uint_eq(shown->log.level, plain->log.level);
  ck_assert_mem_eq(&shown->inbound, &plain->inbound, sizeof(plain->inbound));
  ck_assert(shown->keywords.answer == plain->keywords.answer && shown->keywords.help_every_ms == plain->keywords.help_every_ms);
  conf_unref(&shown);
  conf_unref(&plain);
}
END_TEST

static const struct {
  const char *text;
  bool ok;
  uint64_t bytes;
} sizes[] = {
    {"0", true, 0},
    {"10", true, 10},
    {"1K", true, 1024},
    {"10M", true, 10485760},
    {"1T", true, UINT64_C(1) << 40},
    {"", false, 0},
    {"K", false, 0},
    {"10k", false, 0},
    {"10 M", false, 0},
    {"-1", false, 0},
    {"99999999999999G", false, 0},
};

START_TEST(sizes_are_powers_of_1024)
{
  uint64_t bytes = 77;

  ck_assert_int_eq(conf_size_parse(parley_text_of(sizes[_i].text), &bytes), sizes[_i].ok);
  ck_assert_uint_eq(bytes, sizes[_i].ok ? sizes[_i].bytes : 77);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("config: conf");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, one_line_is_enough_and_defaults_fill_the_rest);
  tcase_add_test(tcase, every_value_arrives);
  tcase_add_loop_test(tcase, a_wrong_value_is_refused_with_its_place_and_a_way_out, 0, COUNT_OF(bad));
  tcase_add_test(tcase, errors_are_collected_up_to_a_limit);
  tcase_add_test(tcase, a_failed_load_leaves_the_old_one_in_place);
  tcase_add_test(tcase, threads_share_a_configuration_by_reference);
  tcase_add_test(tcase, the_commented_default_loads);
  tcase_add_test(tcase, the_commented_default_tells_the_defaults);
  tcase_add_loop_test(tcase, sizes_are_powers_of_1024, 0, COUNT_OF(sizes));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
