#include "command.h"

const struct cli_option cli_global_options[] = {
    {"config", "FILE", "the daemon's configuration: address and key are taken from it (also -c)"},
    {"url", "URL", "the daemon's address, else PARLEY_URL; the key comes from PARLEY_KEY or --key-file"},
    {"key-file", "FILE", "a file that holds the API key and nothing else"},
    {"json", NULL, "print the API's own JSON"},
    {"help", NULL, "print help"},
    {NULL, NULL, NULL},
};

static const struct cli_option send_options[] = {
    {"to", "REF", "cus_..., external:KEY or KIND:VALUE such as email:ana@example.org, phone:+34600111222; may be given again"},
    {"topic", "NAME", "what the message is about"},
    {"text", "TEXT", "the message"},
    {"subject", "TEXT", "its subject"},
    {"html", "HTML", "its HTML"},
    {"template", "NAME", "in place of a text: a template"},
    {"data", "FILE", "the template's values as JSON; - is standard input"},
    {"locale", "TAG", "the template's language; without it the customer's"},
    {"channel", "NAME", "try this channel; may be given again, in order"},
    {"plan", "NAME", "a configured plan"},
    {"key", "TEXT", "business key: the same event twice is sent once"},
    {"idempotency-key", "TEXT", "makes a repeat of this request harmless"},
    {"send-at", "TIME", "not before this time (RFC 3339)"},
    {NULL, NULL, NULL},
};
static const struct cli_option resolve_options[] = {
    {"topic", "NAME", "of all held ones: those of this topic"},
    {"channel", "NAME", "of all held ones: those of this channel"},
    {"reason", "WORD", "of all held ones: those held for this reason, such as restored, unknown_outcome or poison"},
    {NULL, NULL, NULL},
};
static const struct cli_option restore_options[] = {
    {"force", "WORDS", "replace-the-store: also when there is one that is not empty (SQLite; it is kept under another name)"},
    {NULL, NULL, NULL},
};
static const struct cli_option doctor_options[] = {
    {"dns", "SERVER", "ask this server about mail domains, such as 127.0.0.1:5353; without it the system's (needs -c)"},
    {NULL, NULL, NULL},
};
static const struct cli_option copy_options[] = {
    {"from", "STORE", "config (that of -c), sqlite:PATH, or env:NAME, a variable that holds a PostgreSQL URL"},
    {"to", "STORE", "likewise; it must be empty, or hold the beginning of this copy"},
    {"rehearse", NULL, "all but the last step: shows how long it takes, and the daemon goes on with the old store"},
    {NULL, NULL, NULL},
};
static const struct cli_option limit_options[] = {{"limit", "N", "how many (1-200)"}, {NULL, NULL, NULL}};
static const struct cli_option login_options[] = {
    {"browser", NULL, "by a browser on this machine, although the provider has codes to type in elsewhere"},
    {"port", "N", "where the browser comes back to on 127.0.0.1; else a free port"},
    {"scope", "WORDS", "what to ask for; else the option oauth.scope, else what is known of Google and Microsoft"},
    {"device-url", "URL", "another provider's device authorization endpoint (RFC 8628)"},
    {"auth-url", "URL", "another provider's authorization endpoint"},
    {NULL, NULL, NULL},
};
static const struct cli_option tail_options[] = {
    {"types", "LIST", "message.received,conversation.*: these only"},
    {"after", "CURSOR", "from this event or cursor on; without it from now"},
    {NULL, NULL, NULL},
};
static const struct cli_option inbox_options[] = {
    {"state", "STATE", "open, pending, snoozed or closed"}, {"limit", "N", "how many (1-200)"}, {NULL, NULL, NULL}};
static const struct cli_option reply_options[] = {
    {"text", "TEXT", "the reply"}, {"channel", "NAME", "not the channel used last, but this one"}, {NULL, NULL, NULL}};
static const struct cli_option subscription_options[] = {
    {"types", "LIST", "message.received,message.status: these only"}, {NULL, NULL, NULL}};
static const struct cli_option replay_options[] = {{"event", "ID", "this event; else all dead ones"},
                                                   {NULL, NULL, NULL}};
static const struct cli_option suppressions_options[] = {
    {"reason", "WORD", "hard_bounce, soft_bounce, complaint, opted_out, manual: these only"},
    {"identity", "KIND:VALUE", "this address only, such as email:ana@example.org"},
    {"lifted", NULL, "those that were lifted, not those in force"},
    {"limit", "N", "how many (1-200)"},
    {NULL, NULL, NULL},
};
static const struct cli_option unsuppress_options[] = {
    {"channel-kind", "KIND", "of one who said STOP: on this kind of channel, such as sms"}, {NULL, NULL, NULL}};
static const struct cli_option suppress_options[] = {
    {"reason", "WORD", "why; else manual"}, {"detail", "TEXT", "what shows it: a ticket, a letter"}, {NULL, NULL, NULL}};
static const struct cli_option template_show_options[] = {{"version", "N", "as it was in this version"}, {NULL, NULL, NULL}};
static const struct cli_option template_put_options[] = {{"name", "NAME", "its name, when it isn't the file's"}, {NULL, NULL, NULL}};
static const struct cli_option template_render_options[] = {
    {"data", "FILE", "the values as JSON; - is standard input"},
    {"locale", "TAG", "such as pt-BR; without it the template's default"},
    {"channel-kind", "KIND", "as it is for email, sms, chat, push, voice or webhook"},
    {NULL, NULL, NULL},
};
static const struct cli_option key_options[] = {{"scopes", "LIST", "messages:send,customers:read,...; admin is all"},
                                                {"topic", "NAME", "of what is handed in with it and names none (mail submission)"},
                                                {"test", NULL, "a test key: nothing leaves the sink"},
                                                {NULL, NULL, NULL}};

static const struct cli_option plugin_new_options[] = {{"dir", "DIR", "make it in this folder, not in the current one"},
                                                       {NULL, NULL, NULL}};
static const struct cli_option plugin_test_options[] = {
    {"only", "PATTERN", "these cases only, such as provider.*"},
    {"seed", "N", "the chance of an earlier run, to repeat it"},
    {"list", NULL, "print the cases and what each holds a plugin to"},
    {"options", "FILE", "the channel's options as YAML; else the examples of its table (or NAME.options.yaml beside it)"},
    {"inbound", "FILE", "a callback as a provider sends it, raw HTTP (or NAME.inbound.http beside it)"},
    {"answer", "FILE", "what its provider answers to a message it takes, raw HTTP (or NAME.answer.http beside it)"},
    {"peer", "FILE", "what the peer of its byte streams says, lines of WORD ANSWER (or NAME.peer beside it)"},
    {"caller", "FILE", "all that somebody says who connects to its listener (or NAME.caller beside it)"},
    {NULL, NULL, NULL},
};

const struct command cli_commands[] = {
    {"send", "", "send a message", 0, 0, false, cli_send, send_options},
    {"status", "MESSAGE", "one message with its deliveries, their parts, and attempts", 1, 1, false, cli_status, NULL},
    {"cancel", "MESSAGE|key:KEY", "cancel what is not yet sent", 1, 1, false, cli_cancel, NULL},
    {"resolve", "MESSAGE|held AS", "decide a held or unknown message, or all held ones: resend, discard or sent", 2, 2, false,
     cli_resolve, resolve_options},
    {"explain", "", "the decision for a message that is not sent, and an SMS's cost (options as send)", 0, 0, false, cli_explain,
     send_options},
    {"tail", "", "follow the event log", 0, 0, false, cli_tail, tail_options},
    {"customer show", "REF", "a customer with identities and consents", 1, 1, false, cli_customer_show, NULL},
    {"customer timeline", "REF", "what happened, over all channels", 1, 1, false, cli_customer_timeline, limit_options},
    {"inbox list", "", "conversations, newest first", 0, 0, false, cli_inbox_list, inbox_options},
    {"inbox show", "CONVERSATION", "a conversation with its timeline", 1, 1, false, cli_inbox_show, limit_options},
    {"inbox reply", "CONVERSATION", "answer on the channel that the customer used last", 1, 1, false, cli_inbox_reply,
     reply_options},
    {"channel list", "", "channels with state and health", 0, 0, false, cli_channel_list, NULL},
    {"channel check", "NAME", "log in at the provider, send nothing", 1, 1, false, cli_channel_check, NULL},
    {"channel login", "NAME", "log in by OAuth and keep the refresh token in the file that the configuration names (needs -c)", 1, 1,
     true, cli_channel_login, login_options},
    {"channel pause", "NAME", "send nothing until resumed; accepting goes on", 1, 1, false, cli_channel_pause, NULL},
    {"channel resume", "NAME", "go on sending", 1, 1, false, cli_channel_resume, NULL},
    {"channel reload", "NAME", "a new instance beside the old, then over to it", 1, 1, false, cli_channel_reload, NULL},
    {"plugin list", "", "plugins in use, their channels and processes", 0, 0, false, cli_plugin_list, NULL},
    {"plugin reload", "NAME", "load the file as it is now; the old one goes on if that fails", 1, 1, false, cli_plugin_reload, NULL},
    {"sink list", "CHANNEL", "what a sink, or the test mode of a channel, was given", 1, 1, false, cli_sink_list,
     limit_options},
    {"subscription list", "", "who gets the feed", 0, 0, false, cli_subscription_list, NULL},
    {"subscription add", "URL", "push the feed to a webhook", 1, 1, false, cli_subscription_add, subscription_options},
    {"subscription remove", "SUBSCRIPTION", "unsubscribe", 1, 1, false, cli_subscription_remove, NULL},
    {"subscription test", "SUBSCRIPTION", "push one signed test event now", 1, 1, false, cli_subscription_test, NULL},
    {"subscription replay", "SUBSCRIPTION", "push dead or single events again", 1, 1, false, cli_subscription_replay,
     replay_options},
    {"suppression list", "", "addresses that nothing is sent to, newest first", 0, 0, false, cli_suppression_list,
     suppressions_options},
    {"suppression add", "KIND:VALUE", "send nothing more to this address", 1, 1, false, cli_suppression_add, suppress_options},
    {"suppression remove", "KIND:VALUE", "send to it again; the list of lifted ones keeps it", 1, 1, false, cli_suppression_remove,
     unsuppress_options},
    {"template list", "", "templates, by name", 0, 0, false, cli_template_list, NULL},
    {"template show", "NAME", "a template as JSON, to change and put back", 1, 1, false, cli_template_show, template_show_options},
    {"template put", "FILE", "a new version, out of NAME.yaml or NAME.json", 1, 1, false, cli_template_put, template_put_options},
    {"template render", "NAME", "what it makes of some data; nothing is sent", 1, 1, false, cli_template_render,
     template_render_options},
    {"template versions", "NAME", "the versions that are kept", 1, 1, false, cli_template_versions, NULL},
    {"template remove", "NAME", "remove it; what was accepted with it goes on", 1, 1, false, cli_template_remove, NULL},
    {"key list", "", "API keys, without their secrets", 0, 0, false, cli_key_list, NULL},
    {"key new", "NAME", "make an API key; it is shown once", 1, 1, false, cli_key_new, key_options},
    {"key capture", "KEY", "the address that files a copy of mail sent elsewhere: its part before the @", 1, 1, false,
     cli_key_capture, NULL},
    {"key revoke", "KEY", "revoke an API key", 1, 1, false, cli_key_revoke, NULL},
    {"config check", "[FILE]", "say what is wrong with a configuration and its channels' options", 0, 1, true, cli_config_check, NULL},
    {"plugin new", "NAME", "a plugin to start from, in a folder of its own", 1, 1, true, cli_plugin_new, plugin_new_options},
    {"doctor", "", "check configuration, store, disk, clock, plugins, channels, and what DNS says of mail domains", 0, 0, true,
     cli_doctor, doctor_options},
    {"store backup", "FILE", "an online copy of the store: made by the daemon, with PostgreSQL by pg_dump (needs -c)", 1, 1, true,
     cli_store_backup, NULL},
    {"store restore", "FILE", "put a backup in the place of the store (needs -c; no daemon runs); its daemon starts paused", 1, 1, true,
     cli_store_restore, restore_options},
    {"store resume", "", "after a restore: send and push again", 0, 0, false, cli_store_resume, NULL},
    {"store copy", "", "carry the store over to the other driver (no daemon runs); called again it goes on where it was", 0, 0, true,
     cli_store_copy, copy_options},
    {"store check", "[FILE]", "whether what stands in the store, or in a backup's file, fits together; writes nothing", 0, 1, true,
     cli_store_check, NULL},
    {"plugin info", "FILE.so", "what a plugin says of itself: options, capabilities, extensions", 1, 1, true, cli_plugin_info, NULL},
    {"plugin test", "FILE.so", "run the conformance kit on a plugin", 1, 1, true, cli_plugin_test, plugin_test_options},
    {"completion", "SHELL", "completion for bash, zsh or fish", 1, 1, true, cli_completion, NULL},
    {"manpage", "[DAEMON]", "parley(1), or with the word parleyd parleyd(8), as roff", 0, 1, true, cli_manpage, NULL},
    {NULL, NULL, NULL, 0, 0, false, NULL, NULL},
};
