/* border.h - the words that parleyd (near) and a parley-plugin-host (far) say to each other; link.h carries them.
 *
 * One process a channel. Near trusts nothing that far says: a frame that does not decode, a type that is not far's to say, an id
 * that is open already, too many open calls or too many frames a second end the process. Far trusts near.
 * Ids: SUBMIT, QUERY, PROBE and SETTLE carry the attempt's token; CALLED and ANSWER the callback's number, made near; all other
 * calls a number made by who asks, open until its one answer. */
#ifndef CORE_BORDER_BORDER_H
#define CORE_BORDER_BORDER_H
#include "link.h"

#define BORDER_CALLS_MAX 256            /* calls of the plugin's process that wait for an answer; beyond, it says BUSY itself */
#define BORDER_CALLS_BYTES_MAX ((size_t)32 << 20) /* what they carry together: parleyd holds it until it has answered */
#define BORDER_FAR_BODY_MAX ((uint32_t)4 << 20) /* of a frame from the plugin's process: inline_max and what stands around it */
#define BORDER_FRAMES_PER_S 100000      /* from the plugin's process; above, it is taken for mad */
#define BORDER_LINES_PER_S 500          /* log and trace lines; more are dropped and counted */
#define BORDER_HEALTHS_PER_S 20         /* health(): of more, the last one counts, with the next heartbeat */
#define BORDER_WINDOWS_PER_S 5000       /* window(): the same */
#define BORDER_STRIKES_PER_S 100        /* settlements of unknown tokens and the like; above, it is taken for mad */
#define BORDER_BEAT_MS 1000             /* PING */
#define BORDER_START_MS 30000           /* for create and for start, each */
#define BORDER_FD 3                     /* of the link in the plugin's process */
#define BORDER_PLUGIN_FD 4              /* of the .so, a sealed copy */

enum frame_type {
  /* near to far */
  FRAME_CREATE = 1, /* words: one channel, two public_url, three version, number in_flight, amount log level, options */
  FRAME_START,
  FRAME_DRAIN,      /* words: number within_ms */
  FRAME_STOP,
  FRAME_PING,
  FRAME_SUBMIT,     /* message */
  FRAME_QUERY,      /* message */
  FRAME_PROBE,
  FRAME_RESULT,     /* result: of INBOUND, RECEIPT, EVENT, STATE_*, MEDIA_*, LOGIN, SUBMISSION */
  FRAME_PAGE,       /* page: of TIMELINE */
  FRAME_RESPONSE,   /* http response: of HTTP */
  FRAME_CALLED,     /* http call */
  FRAME_SOCKET,     /* words: number status, one address, two reason; with it a socket when OK. Of DIAL and LISTEN */
  FRAME_MAIL_LIST,  /* mail query */
  FRAME_MAIL_CLEAR,
  /* far to near */
  FRAME_FACTS = 64, /* plugin facts: of a process that was only asked what it holds */
  FRAME_REFUSED,    /* words: one why it cannot be loaded: instead of FACTS, or before all else */
  FRAME_CREATED,    /* words: number status, amount window, one cause, two remedy, three the sandbox, capabilities */
  FRAME_STARTED,    /* words: number status, amount health, one cause, two remedy */
  FRAME_STOPPED,
  FRAME_PONG,
  FRAME_SETTLE,     /* outcome */
  FRAME_WINDOW,     /* words: number in_flight */
  FRAME_HEALTH,     /* words: number level, one cause, two remedy */
  FRAME_LOG,        /* words: number level, one line */
  FRAME_METRIC,     /* words: one name, two label, value, amount how often: what came together since the last one */
  FRAME_MISBEHAVED, /* words: one how: what the far channel counted */
  FRAME_INBOUND,    /* inbound */
  FRAME_RECEIPT,    /* receipt */
  FRAME_EVENT,      /* touchpoint */
  FRAME_TIMELINE,   /* query */
  FRAME_STATE_GET,  /* words: one key */
  FRAME_STATE_PUT,  /* words: one key, two value */
  FRAME_HTTP,       /* http request */
  FRAME_ANSWER,     /* http answer */
  FRAME_CANCEL,     /* of HTTP, MEDIA_CREATE, DIAL, LISTEN */
  FRAME_MEDIA_READ, /* words: one media, amount offset */
  FRAME_MEDIA_CREATE, /* words: one type, two name; the upload's id is this frame's */
  FRAME_MEDIA_APPEND, /* words: amount the upload, two bytes */
  FRAME_MEDIA_FINISH, /* words: amount the upload */
  FRAME_DIAL,       /* words: one address, number connect_ms */
  FRAME_LISTEN,     /* words: one address, number backlog */
  FRAME_MAIL_PAGE,  /* mail page */
  FRAME_LOGIN,      /* words: one API key, two peer */
  FRAME_SUBMISSION, /* submission */
  FRAME_TYPES
};
#endif
