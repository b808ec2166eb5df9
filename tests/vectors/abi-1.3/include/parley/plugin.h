/* parley/plugin.h - all that the router and a channel plugin know of each other. ABI 1.3; C11 and C++17.
 *
 * Terms       A plugin is one .so, a channel one configured instance of it. The host is whoever loaded the .so: parleyd,
 *             parley-plugin-host (a process of its own) or the test kit. A plugin cannot tell which.
 * Life        create -> start -> submit* -> drain -> stop -> destroy. A failed create ends it, a failed start leaves destroy.
 * Threads     [loop] on the channel's loop thread only; [any] on any thread. The loop never waits: a call over 50 ms is
 *             logged and counted, and a process that stays away is killed. Callbacks and plugin functions are all [loop].
 * Re-entry    None. A host function never calls the plugin before it returns, and what a plugin reports within a call
 *             (say, settle within submit) takes effect after it: no completion comes inside the call that asked for it.
 * Completion  Each `done` comes exactly once: with PARLEY_BUSY if the host is full, PARLEY_CANCELLED after cancel() or stop.
 *             There is no second error path. NULL is allowed for a `done` nobody waits for.
 * Ownership   What a pointer shows belongs to the side that passed it and ends with the call, unless its comment names a
 *             longer life: copy what you keep. Neither side frees, or grows, the other's memory.
 * Values      Text is UTF-8 with a length, no NUL; `const char *` stands only in static tables and extension ids. Times are
 *             int64_t ms since 1970 UTC, spans uint32_t ms. 0, NULL and empty mean "not given". Ids are never 0, never reused.
 * Growth      Structs begin with `size` and gain members at their end; lists are arrays of pointers, so that elements grow
 *             too. Ask PARLEY_HAS for a member newer than the minor you require. New behaviour is an extension.
 *             A constant you do not know: ignore a feature, option flag or receipt, count an inbound kind, fail a status.
 * Border      Every call is a value that can be framed for another process; an fd, a callback and its arg stay in the
 *             plugin's own. A call carries up to host->inline_max bytes; larger content goes by ext/media.h. */
#ifndef PARLEY_PLUGIN_H
#define PARLEY_PLUGIN_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __cplusplus
extern "C" {
#define PARLEY_LIT(s) (parley_text{"" s, sizeof(s) - 1})
#else
#define PARLEY_LIT(s) ((parley_text){"" s, sizeof(s) - 1})
/* A pointer to a filled struct with its size set; static at file scope, else it lives until the block ends. */
#define PARLEY_REF(type, ...) (&(const type){.size = sizeof(type), __VA_ARGS__})
#define PARLEY_LIST(type, ...) ((const type *const[]){__VA_ARGS__})
#define PARLEY_ONE(type, ...) PARLEY_LIST(type, PARLEY_REF(type, __VA_ARGS__)) /* a list of one */
#endif
#define PARLEY_ABI_MAJOR 1 /* part of the entry symbol's name */
#define PARLEY_ABI_MINOR 3 /* one more whenever a member, constant or function is appended */
#define PARLEY_BIT(n) (UINT32_C(1) << (n))
#define PARLEY_HAS(type, object, member) ((object)->size >= offsetof(type, member) + sizeof((object)->member))

typedef struct parley_text { const char *at; size_t len; } parley_text; /* frozen: never grows */
typedef parley_text parley_bytes;                                       /* the same, any bytes */
typedef struct parley_pair { parley_text name, value; } parley_pair;    /* frozen */
typedef struct parley_host parley_host;
typedef struct parley_channel parley_channel; /* the plugin's own: its .c file says what is in it */
/* What became of a call. parley_again(): may the same succeed later? TIMEOUT and CANCELLED leave open whether it was done. */
typedef int32_t parley_status;
enum { PARLEY_OK = 0, PARLEY_RETRY = -1, PARLEY_REJECTED = -2, PARLEY_BUSY = -3, PARLEY_INVALID = -4, PARLEY_FAILED = -5,
       PARLEY_NOT_FOUND = -6, PARLEY_DENIED = -7, PARLEY_TIMEOUT = -8, PARLEY_CLOSED = -9, PARLEY_CANCELLED = -10 };

/* --- Options: from this table the host checks the configuration and makes the editor schema. ------------------------- */
enum { PARLEY_OPTION_TEXT = 1, PARLEY_OPTION_INT, PARLEY_OPTION_BOOL, PARLEY_OPTION_URL, PARLEY_OPTION_CHOICE,
       PARLEY_OPTION_DURATION /* "30s" -> ms */, PARLEY_OPTION_SIZE /* "25M" -> bytes */, PARLEY_OPTION_GROUP /* fields: members */,
       PARLEY_OPTION_LIST /* fields: one, the element */, PARLEY_OPTION_MAP /* fields: one, the value of every key */ };
enum { PARLEY_REQUIRED = 1, PARLEY_SECRET = 2 /* given by reference only, masked wherever it would be shown */ };
typedef struct parley_option {
  uint32_t size, type, flags, reserved;
  int64_t min, max; /* of the number, the text's bytes or the list's length; both 0: the type's own limits */
  const char *name, *doc; /* doc: one line for a person */
  const char *default_text, *example; /* as in the file; example: a valid value, which the test kit uses */
  const char *const *choices; const struct parley_option *const *fields; /* both end with NULL */
} parley_option;
typedef struct parley_value { /* what the operator wrote: checked, defaults and secrets filled in */
  uint32_t size, type; /* type 0: an optional one that was not given */
  int64_t number; parley_text name, text; /* number: INT, BOOL, DURATION, SIZE; CHOICE: its place in choices */
  uint64_t n_items; const struct parley_value *const *items; /* GROUP: every declared member; LIST, MAP: what was given */
} parley_value;

/* --- Content. Outbound, the core has fitted it to the capabilities: a plugin gets only what the channel can carry. ---- */
enum { PARLEY_PART_TEXT = 1, PARLEY_PART_HTML, PARLEY_PART_MEDIA, PARLEY_PART_BUTTONS, PARLEY_PART_LOCATION,
       PARLEY_PART_CONTACT /* vCard in data */, PARLEY_PART_TEMPLATE /* the provider's; name, fields */ };
enum { PARLEY_PART_INLINE = 1 /* shown within the HTML, by name */, PARLEY_PART_QUOTED = 2 /* quoted text or signature */ };
enum { PARLEY_BUTTON_REPLY = 1 /* comes back as POSTBACK with id */, PARLEY_BUTTON_URL, PARLEY_BUTTON_CALL };
typedef struct parley_button { uint32_t size, action; parley_text id, label, target; } parley_button;
typedef struct parley_part {
  uint32_t size, kind, flags, unit, n_buttons, n_fields; /* unit: the PARLEY_UNIT_* that a TEXT was fitted to */
  uint64_t total_bytes; /* MEDIA: its whole size */
  double latitude, longitude;
  parley_text text, type, name; /* TEXT, HTML: the text; MEDIA: caption, MIME type, file name; LOCATION: address, -, name */
  parley_bytes data;            /* MEDIA, CONTACT: the bytes, or when larger than inline_max: */
  parley_text media, url;       /* its id for ext/media.h and ext/http.h; url: for providers that fetch, signed, short-lived */
  parley_text provider_id;      /* outbound: not empty = went out in an earlier attempt, do not send it again */
  const parley_button *const *buttons; const parley_pair *fields;
} parley_part;
enum { PARLEY_CLAIMED = 1, PARLEY_OBSERVED, PARLEY_VERIFIED };
/* kind: email, phone, telegram, ... or your own; value: what you send to, 1-255 bytes (an e-mail address: 320). A phone number that
 * you report begins with '+', or is as your network has it: one in national format is read where the operator names a country; with
 * channel_kind "sms" 3 to 8 digits stay a short code, and what is no number ("Parcels") becomes a `sender`, who cannot be answered. */
typedef struct parley_identity { uint32_t size, assurance; parley_text kind, value, name; } parley_identity;
/* What a message is, both ways. target: provider id of the message meant; payload and fields as noted. */
enum { PARLEY_KIND_CONTENT = 32, PARLEY_KIND_EDIT /* target, new parts */, PARLEY_KIND_DELETE /* target */,
       PARLEY_KIND_REACTION /* target, payload: emoji, empty = withdrawn */, PARLEY_KIND_POSTBACK /* payload: button id */,
       PARLEY_KIND_TYPING, PARLEY_KIND_READ /* target and all before it */, PARLEY_KIND_CALL /* fields: state, duration_ms */,
       PARLEY_KIND_START /* chat opened, followed; payload: where from */, PARLEY_KIND_LEAVE /* blocked us, unfollowed */,
       PARLEY_KIND_FORM /* fields: what was filled in */, PARLEY_KIND_COMMENT /* public; target: the post it stands under */,
       PARLEY_KIND_MOVED /* the provider gave them another address: `from` is the new one, then the old one, which ends */ };

/* --- Capabilities ---------------------------------------------------------------------------------------------------- */
enum { PARLEY_LEVEL_NATIVE = 1, PARLEY_LEVEL_FALLBACK /* the core turns it into text */, PARLEY_LEVEL_DROP /* noted */,
       PARLEY_LEVEL_REJECT /* the plan goes to its next step */ };
enum { PARLEY_UNIT_BYTES = 1, PARLEY_UNIT_CODE_POINTS, PARLEY_UNIT_UTF16, PARLEY_UNIT_GSM7 /* septets, escapes are two */ };
enum { PARLEY_FEATURE_SUBJECT = 64, PARLEY_FEATURE_REPLY /* may name the message it answers */ };
typedef struct parley_feature { /* Not listed: parts and SUBJECT are FALLBACK, TYPING and READ are DROP, the rest is REJECT. */
  uint32_t size, what, level, count_max; /* what: PARLEY_PART_, _KIND_ or _FEATURE_*; count_max: how many parts of it, 0: one;
                                          * BUTTONS: how many buttons, 0: no limit */
  uint32_t unit, length_max;     /* of a TEXT, SUBJECT, caption or button label; 0: no limit */
  uint32_t joined_max, reserved; /* TEXT cut into several: length of each (153 septets); 0: as length_max */
  uint64_t bytes_max;            /* MEDIA: largest of these types */
  const char *types; /* MEDIA: "image/jpeg audio/...", NULL: any; several entries for several sizes. */
} parley_feature;    /* Several TEXT entries: the first whose alphabet holds the text counts. */
enum { PARLEY_ORDERED = 1 /* one at a time per conversation */, PARLEY_RESEND_SAFE = 2 /* same id twice = sent once */,
       PARLEY_INBOUND = 4, PARLEY_ONE_NODE = 8 /* runs on one node at a time, moves when that fails */,
       PARLEY_EXCLUSIVE = 16 /* and never two instances: a reload stops the old one before it starts the new */,
       PARLEY_SPAWNS = 32 /* starts programs of its own: its process may fork and exec */,
       PARLEY_SIMPLIFY = 64 /* 1.3. Typographic characters of a TEXT (curly quotes, dashes, ellipses, odd spaces) may become plain ones
                             * if all of it then fits the alphabet of an earlier TEXT entry; noted in the message */ };
/* 1.3. What one TEXT part costs, or one SMS segment of a text that the provider cuts itself; shown before sending. */
typedef struct parley_price {
  uint32_t size, reserved;
  int64_t micros;               /* millionths of the currency's unit: EUR 0.075 is 75000 */
  const char *prefix, *currency; /* the longest that the address starts with counts ("+34", "": all others); ISO 4217 "EUR" */
} parley_price;
typedef struct parley_capabilities {
  uint32_t size, flags, in_flight, receipts; /* tokens open at once, 0: host's default; PARLEY_BIT(PARLEY_RECEIPT_READ) | ... */
  uint32_t session_ms, reserved; /* free content only so long after the customer's last message, else TEMPLATE; 0: always */
  const char *address_kind;      /* the identity kind it sends to: "email"; "none": a fixed endpoint */
  const char *channel_kind;      /* the unit of consent: email, sms, chat, push, voice, webhook */
  const parley_feature *const *features; /* ends with NULL */
  const parley_price *const *prices;     /* 1.3. Ends with NULL; NULL: not said */
} parley_capabilities;

/* --- Out ------------------------------------------------------------------------------------------------------------- */
typedef struct parley_customer { uint32_t size, reserved; parley_text id, name, locale, timezone; } parley_customer;
/* How urgent, and who asked for it: a code to log in, an answer to somebody, news of an order, a newsletter. All but CONVERSATION
 * was written by no person. 0: the host does not say. */
enum { PARLEY_CLASS_CRITICAL = 1, PARLEY_CLASS_CONVERSATION, PARLEY_CLASS_TRANSACTIONAL, PARLEY_CLASS_MARKETING };
typedef struct parley_message { /* lives until its token has settled. resent: 1 = an earlier attempt may have gone out */
  uint32_t size, kind, attempt, resent, n_parts, n_thread, n_fields, topic_class; /* topic_class: PARLEY_CLASS_* of topic */
  int64_t accepted_ms, expires_ms, session_until_ms;
  parley_text id; /* msg_...: the same in every attempt; idempotency key, Message-ID */
  parley_text conversation_id, topic, subject, target, payload, reply_to; /* reply_to: provider id */
  parley_text reply_address, unsubscribe_url, traceparent, override_json; /* override: content.channels.<this one> */
  const parley_identity *to; const parley_customer *customer; const parley_part *const *parts;
  const parley_text *thread; const parley_pair *fields; /* thread: provider ids of this conversation here, oldest first */
  /* 1.1. Names this message to the host when it comes back from outside (a return path, a trace header, a provider's reference): 29
   * characters of a-z and 0-9, which nobody can make up. To be given back as parley_receipt.message_id or parley_inbound.token. */
  parley_text token;
  /* 1.3. The same for places that more people see, each good for one thing: reply_token (a reply address) as parley_inbound.token,
   * unsubscribe_token (beside unsubscribe_url, or empty) as parley_receipt.message_id of UNSUBSCRIBED. */
  parley_text reply_token, unsubscribe_token;
  int64_t handed_ms; /* 1.3. When it was first handed over, the same in every attempt: Date of a mail */
} parley_message;
/* What the core does next. The core, never the plugin, decides on retries, the next channel and suppression. */
enum { PARLEY_OUTCOME_ACCEPTED = 1, /* the provider has it; receipts may follow */
       PARLEY_OUTCOME_DELIVERED, PARLEY_OUTCOME_RETRY, /* final at once; temporary, retry_ms is a hint */
       PARLEY_OUTCOME_REJECTED, PARLEY_OUTCOME_BAD_ADDRESS, /* for good: this message; this address, suppress it here */
       PARLEY_OUTCOME_THROTTLED,    /* not out: hold the destination for retry_ms; costs no attempt */
       PARLEY_OUTCOME_CHANNEL_DOWN, /* not out (credentials, account, link): pause until health() or probe() is good; no attempt */
       PARLEY_OUTCOME_UNKNOWN,      /* it, or a part without an id, may have gone out */
       PARLEY_OUTCOME_DIED };       /* as UNKNOWN, and what you run for it (a program, a device) died with it in hand: it is then
                                     * offered alone, and held as poison at the third time */
typedef struct parley_outcome {
  uint32_t size, result, retry_ms, n_ids;
  const parley_text *ids; /* provider ids; with as many as parts, ids[i] is parts[i]'s, empty = that part is not out */
  parley_text code, detail; /* the provider's own code; one line for a person, without secrets */
  parley_text destination;  /* what THROTTLED and breakers apply to (a mail domain); empty: the whole channel */
} parley_outcome;
enum { PARLEY_RECEIPT_SENT = 1, PARLEY_RECEIPT_DELIVERED, PARLEY_RECEIPT_READ, PARLEY_RECEIPT_FAILED, PARLEY_RECEIPT_OPENED,
       PARLEY_RECEIPT_CLICKED, PARLEY_RECEIPT_UNSUBSCRIBED, PARLEY_RECEIPT_COMPLAINED };
typedef struct parley_receipt { /* early, late, twice, in any order: the core folds them */
  uint32_t size, kind, outcome, up_to; /* outcome: FAILED, what it means; up_to: 1 = all sent to `to` until at_ms as well */
  int64_t at_ms;
  parley_text provider_id, message_id, code, detail, link; /* one id is enough; provider_id may be that of one part */
  const parley_identity *to; /* NULL: that of the message. message_id: its id or (1.1) its token or (1.3) its unsubscribe_token */
} parley_receipt;

/* --- In -------------------------------------------------------------------------------------------------------------- */
typedef struct parley_segment { uint32_t size, index, total, wait_ms; parley_text key; } parley_segment;
enum { PARLEY_AUTOMATIC = 1 /* vacation note, bot */, PARLEY_ECHO = 2 /* sent by us through another tool */,
       PARLEY_ASK = 4 /* store nothing: would it be taken, and whose is it? from and to, which may be empty, are enough (SMTP: at
                       * RCPT, before DATA). OK, value: the cus_ id that owns from[0], empty = it would be a new customer */ };
typedef struct parley_inbound {
  uint32_t size, kind, flags, n_parts, n_from, n_to, n_references, n_fields;
  int64_t at_ms; /* the provider's time */
  parley_text event_id;    /* dedupe key within the channel; empty: kind and provider_id are */
  parley_text provider_id; /* of the message, which replies, edits and receipts will name */
  parley_text subject, thread_id, reply_to, target, payload;
  const parley_identity *const *from; /* one customer; the first one is where an answer goes */
  const parley_identity *const *to;   /* ours; each gets its own verdict */
  const parley_part *const *parts;
  const parley_text *references; const parley_pair *fields; /* references: provider ids, oldest first */
  const parley_part *raw;        /* as it came (MEDIA: type, data or media), kept beside the message */
  const parley_segment *segment; /* one piece (index from 1) of a longer text: the host keeps it durably and joins them */
  /* 1.1. A parley_message.token or (1.3) .reply_token that came back: the message it answers. One that the host did not make is as if
   * none were given. */
  parley_text token;
} parley_inbound;
/* A touchpoint that no channel carries (a call ended, a cart left): one entry of the customer's timeline. */
enum { PARLEY_STAGE_BEFORE = 1, PARLEY_STAGE_DURING, PARLEY_STAGE_AFTER }; /* of the purchase; 0: not said */
typedef struct parley_touchpoint {
  uint32_t size, stage, n_fields, reserved;
  int64_t at_ms;
  parley_text type;     /* "checkout", "call.ended": 1-64 of a-z 0-9 . _ -; the feed shows it as touchpoint.<type> */
  parley_text event_id; /* dedupe key within the channel; empty: none */
  const parley_identity *who;
  const parley_pair *fields;
} parley_touchpoint;
typedef struct parley_result {
  uint32_t size; parley_status status; uint32_t retry_ms, count;
  parley_text value, reason; /* value: what was asked for; reason: for a person */
  const parley_status *each; /* inbound with several `to`: `count` verdicts in their order, else NULL */
} parley_result;
typedef void parley_done(const parley_result *result, void *arg);
typedef void parley_call(void *arg);
enum { PARLEY_READABLE = 1, PARLEY_WRITABLE = 2, PARLEY_HANGUP = 4 };
typedef void parley_ready(uint32_t events, void *arg);
/* The customer's timeline, over all channels and both directions. */
typedef struct parley_query { uint32_t size, limit, oldest_first, this_channel; const parley_identity *who; parley_text customer_id,
  conversation_id, cursor; } parley_query; /* one of who, customer_id, conversation_id; cursor: go on from there */
typedef struct parley_event { uint32_t size, inbound, n_parts, reserved; int64_t at_ms; parley_text id, type, channel, message_id,
  provider_id, state; const parley_part *const *parts; } parley_event; /* type: as in the feed, message.received, ... */
typedef struct parley_page { uint32_t size; parley_status status; uint64_t n_events; const parley_event *const *events;
  parley_text cursor; const parley_customer *customer; } parley_page;
typedef void parley_page_done(const parley_page *page, void *arg);

/* --- The host, to one channel: valid from create() until destroy() has returned --------------------------------------- */
enum { PARLEY_DEBUG = 1, PARLEY_INFO, PARLEY_WARN, PARLEY_ERROR, /* health: */ PARLEY_UP = 1, PARLEY_DEGRADED, PARLEY_DOWN };
struct parley_host {
  uint32_t size; uint16_t abi_major, abi_minor;
  void *impl; uint64_t inline_max; /* impl: private */
  parley_text version, channel, public_url; /* public_url: where this channel's callbacks come in, .../in/<channel> */
  int64_t (*now_ms)(const parley_host *);  /* [any] wall clock; never time(2): tests move it */
  int64_t (*mono_ms)(const parley_host *); /* [any] for waits and spans */
  void (*random)(const parley_host *, void *to, size_t len);                                    /* [any] cryptographic */
  void (*log)(const parley_host *, uint32_t level, parley_text line);    /* [any] "event=... key=value"; ids, never bodies */
  void (*metric)(const parley_host *, const char *name, parley_text label, double value);       /* [any] a declared one */
  void (*post)(const parley_host *, parley_call *run, void *arg);                               /* [any] run it on the loop */
  uint64_t (*timer)(const parley_host *, uint32_t after_ms, uint32_t every_ms, parley_call *due, void *arg);       /* [loop] */
  uint64_t (*watch)(const parley_host *, int32_t fd, uint32_t events, parley_ready *ready, void *arg);   /* [loop] fd: yours */
  uint64_t (*work)(const parley_host *, parley_call *blocking, parley_done *done, void *arg);  /* [loop] `blocking`: pool */
  void (*cancel)(const parley_host *, uint64_t id); /* [loop] timers, watches: not called again; else `done` comes soon */
  void (*settle)(const parley_host *, uint64_t token, const parley_outcome *);  /* [loop] once a token; a second is counted */
  void (*window)(const parley_host *, uint32_t in_flight); /* [loop] tokens it can hold from now on; 0: none until more */
  void (*trace)(const parley_host *, uint64_t token, parley_text line); /* [loop] talk with the provider, kept for 7 days */
  /* [loop] The message is committed when `done` says PARLEY_OK: acknowledge it then, not before. value: its msg_ id; for a
   * repeated event_id that of the first, and count: 1 = repeated event_id, nothing new was stored (without several `to`).
   * BUSY and RETRY: let the provider come again; REJECTED: refuse it for good. */
  void (*inbound)(const parley_host *, const parley_inbound *, parley_done *done, void *arg);
  void (*receipt)(const parley_host *, const parley_receipt *, parley_done *done, void *arg);  /* [loop] as inbound */
  void (*event)(const parley_host *, const parley_touchpoint *, parley_done *done, void *arg); /* [loop] as inbound; value: evt_ id */
  void (*timeline)(const parley_host *, const parley_query *, parley_page_done *done, void *arg); /* [loop] */
  /* [loop] Small durable state of this channel: keys to 128 bytes, values to 64 KiB; NOT_FOUND; an empty value removes.
   * It outlives restarts and reloads; with `done` it is committed. Calls are carried out in the order they were made. */
  void (*state_get)(const parley_host *, parley_text key, parley_done *done, void *arg);
  void (*state_put)(const parley_host *, parley_text key, parley_bytes value, parley_done *done, void *arg);
  /* [loop] After start() a channel counts as UP. DOWN: nothing is submitted until UP. cause and remedy: for the operator. */
  void (*health)(const parley_host *, uint32_t level, parley_text cause, parley_text remedy);
  const void *(*extension)(const parley_host *, const char *id); /* [loop] "parley.http/1": its table; NULL: not offered */
};

/* --- The plugin -------------------------------------------------------------------------------------------------------- */
enum { PARLEY_COUNTER = 1 /* add */, PARLEY_GAUGE /* set */, PARLEY_HISTOGRAM /* observe: sum and count are kept */ };
/* name, label: letters, digits and _, at most 64; /metrics has parley_plugin_<name>{channel="...",<label>="..."}. label may be NULL */
typedef struct parley_metric { uint32_t size, kind; const char *name, *help, *label; } parley_metric;
typedef struct parley_extension { uint64_t size; const char *id; const void *table; } parley_extension;
typedef struct parley_plugin { /* const: reading it runs no code. All lists end with NULL; what may be NULL says so */
  uint32_t size, abi_major, abi_minor, abi_minor_needed; /* built against; at least needed of the host */
  const char *name, *version, *summary;
  const parley_capabilities *capabilities;
  const parley_option *const *options;   /* NULL: none */
  const parley_metric *const *metrics;   /* NULL: none */
  const char *const *requires_ids;       /* NULL: none; the loader refuses a host that lacks one */
  const parley_extension *const *offers; /* NULL: none; tables the host calls (ext/http-in.h, ext/live.h) */
  /* No I/O yet. options live until destroy(). On failure *ret stays as it was and health() has said why. */
  parley_status (*create)(const parley_host *, const parley_value *options, parley_channel **ret);
  parley_status (*start)(parley_channel *);
  /* NULL: takes in only. PARLEY_OK: taken, settle() follows; the message lives until then. BUSY: not taken, offered again when
   * a token settles or the window opens. Anything else counts as OUTCOME_RETRY. A token not settled in time becomes UNKNOWN. */
  parley_status (*submit)(parley_channel *, uint64_t token, const parley_message *);
  void (*drain)(parley_channel *, uint32_t within_ms); /* NULL: none. No more submits; take in nothing new, finish the rest */
  /* NULL: nothing to say. Take leave of the peer, then call done(arg), once, also from here. After it the host settles what is
   * open as UNKNOWN, ends timers, closes streams, completes calls (PARLEY_CANCELLED), waits for work; then destroy(). */
  void (*stop)(parley_channel *, parley_call *done, void *arg);
  void (*destroy)(parley_channel *);
  const parley_capabilities *(*capable)(parley_channel *); /* NULL: as declared. After create(): narrowed by options */
  parley_status (*query)(parley_channel *, uint64_t token, const parley_message *); /* NULL. Sends nothing: settle what became of it */
  parley_status (*probe)(parley_channel *, uint64_t token); /* NULL. `parley channel check`: log in, send nothing, settle */
} parley_plugin;
extern __attribute__((visibility("default"))) const parley_plugin parley_plugin_v1; /* the one symbol looked up */

static inline parley_text parley_text_of(const char *s) { parley_text t; t.at = s; t.len = s ? strlen(s) : 0; return t; }
static inline int parley_text_is(parley_text t, const char *s) { return t.len == strlen(s) && (!t.len || !memcmp(t.at, s, t.len)); }
static inline int parley_again(parley_status s)
{ return s == PARLEY_RETRY || s == PARLEY_BUSY || (s <= PARLEY_TIMEOUT && s >= PARLEY_CANCELLED); }
/* The member of a GROUP or MAP by its name; of a declared one never NULL. */
static inline const parley_value *parley_find(const parley_value *in, const char *name)
{
  for (uint64_t i = 0; in && i < in->n_items; i++)
    if (parley_text_is(in->items[i]->name, name))
      return in->items[i];
  return NULL;
}
#ifdef __cplusplus
}
#endif
#endif
