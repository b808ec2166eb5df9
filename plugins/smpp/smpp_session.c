#include "smpp_session.h"
#include "smpp_status.h"
#include <stdio.h>
#include <stdlib.h>

enum { UNBIND_MS = 2000 /* the answer to unbind changes nothing */, WHY_MAX = 256 };

static int64_t now_ms(const struct smpp_session *session) { return session->owner->now_ms(session->arg); }

/* --- Leaving ------------------------------------------------------------------------------------------------------ */
static void slot_end(struct smpp_session *session, struct smpp_slot *slot, const struct smpp_answer *answer)
{
  void *ref = slot->ref;

  *slot = (struct smpp_slot){0};
  session->n_open--;
  session->owner->answered(ref, answer, session->arg);
}

/* What was sent is lost; a bind that never stood has failed. */
static void session_over(struct smpp_session *session, const struct smpp_failure *failure)
{
  const struct smpp_answer lost = {.fate = SMPP_LOST, .why = failure->why};
  bool was_bound = session->state == SMPP_BOUND || session->state == SMPP_UNBINDING;

  if (session->state == SMPP_OVER)
    return;
  session->state = SMPP_OVER;
  session->deadline_ms = 0;
  session->out.len = 0;
  for (uint32_t i = 0; i < session->n_slots && session->n_open > 0; i++)
    if (session->slots[i].sequence != 0)
      slot_end(session, &session->slots[i], &lost);
  if (!was_bound)
    session->owner->failed(failure, session->arg);
}

void smpp_session_drop(struct smpp_session *session, parley_text why)
{
  session_over(session, &(struct smpp_failure){.why = why});
  session->owner->close(true, session->arg);
}

void smpp_session_closed(struct smpp_session *session, parley_text why)
{
  session_over(session, &(struct smpp_failure){.why = why});
}

/* --- Speaking ----------------------------------------------------------------------------------------------------- */
void smpp_session_flush(struct smpp_session *session)
{
  size_t len = session->out.len;

  session->out.len = 0;
  if (len > 0 && session->state != SMPP_OVER)
    session->owner->write((parley_bytes){session->out.at, len}, session->arg);
}

static void room_make(struct smpp_session *session, size_t bytes)
{
  if (session->out.room - session->out.len < bytes)
    smpp_session_flush(session);
}

static uint32_t sequence_next(struct smpp_session *session)
{
  session->sequence = session->sequence >= SMPP_SEQUENCE_MAX ? 1 : session->sequence + 1;
  return session->sequence;
}

static void head_say(struct smpp_session *session, uint32_t command, uint32_t status, uint32_t sequence)
{
  room_make(session, SMPP_HEAD_BYTES);
  smpp_put_head(&session->out, command, status, sequence);
}

static void enquire(struct smpp_session *session)
{
  session->enquire_sequence = sequence_next(session);
  session->deadline_ms = now_ms(session) + session->config->timeout_ms;
  head_say(session, SMPP_ENQUIRE_LINK, SMPP_ROK, session->enquire_sequence);
}

bool smpp_session_ask(struct smpp_session *session)
{
  if (session->state != SMPP_BOUND)
    return false;
  if (session->enquire_sequence == 0)
    enquire(session);
  smpp_session_flush(session);
  return true;
}

bool smpp_session_room(const struct smpp_session *session)
{
  return session->state == SMPP_BOUND && session->command != SMPP_BIND_RECEIVER && session->n_open < session->config->window;
}

/* An old answer that is still awaited keeps its number: it is passed over. */
static struct smpp_slot *slot_take(struct smpp_session *session)
{
  struct smpp_slot *slot;

  do {
    sequence_next(session);
    slot = &session->slots[session->sequence % session->n_slots];
  } while (slot->sequence != 0);
  return slot;
}

bool smpp_session_send(struct smpp_session *session, uint32_t command, const struct smpp_message *message, void *ref)
{
  struct smpp_slot *slot = slot_take(session);

  if (!smpp_put_message(&session->out, command, session->sequence, message)) {
    smpp_session_flush(session);
    if (!smpp_put_message(&session->out, command, session->sequence, message))
      return false;
  }
  *slot = (struct smpp_slot){session->sequence, ref, now_ms(session) + session->config->timeout_ms};
  if (session->n_open++ == 0 || slot->due_ms < session->slots_due_ms)
    session->slots_due_ms = slot->due_ms;
  return true;
}

void smpp_session_reply(struct smpp_session *session, uint32_t command, uint32_t sequence, uint32_t status)
{
  if (session->state != SMPP_BOUND && session->state != SMPP_UNBINDING)
    return;
  room_make(session, SMPP_HEAD_BYTES + 1);
  smpp_put_response(&session->out, command, status, sequence, PARLEY_LIT(""));
}

void smpp_session_quit(struct smpp_session *session)
{
  if (session->state == SMPP_OVER || session->state == SMPP_UNBINDING)
    return;
  if (session->state != SMPP_BOUND) {
    session->state = SMPP_OVER; /* leaving by our own will is no failure */
    session->owner->close(true, session->arg);
    return;
  }
  session->state = SMPP_UNBINDING;
  session->unbind_sequence = sequence_next(session);
  session->deadline_ms = now_ms(session) + UNBIND_MS;
  head_say(session, SMPP_UNBIND, SMPP_ROK, session->unbind_sequence);
  smpp_session_flush(session);
}

/* --- Answers ------------------------------------------------------------------------------------------------------ */
static bool is_bind(uint32_t command)
{
  return command == SMPP_BIND_TRANSCEIVER || command == SMPP_BIND_TRANSMITTER || command == SMPP_BIND_RECEIVER;
}

static void bind_answered(struct smpp_session *session, const struct smpp_head *head)
{
  session->bind_sequence = 0;
  session->deadline_ms = 0;
  if (head->status != SMPP_ROK) {
    session_over(session, &(struct smpp_failure){.refused = true, .status = head->status,
                                                 .why = parley_text_of(smpp_status_of(head->status)->words)});
    session->owner->close(true, session->arg);
    return;
  }
  session->state = SMPP_BOUND;
  session->owner->bound(session->arg);
}

/* A submit_sm_resp, a data_sm_resp, or the generic_nack to one. */
static void message_answered(struct smpp_session *session, const struct smpp_head *head, parley_bytes pdu, struct smpp_slot *slot)
{
  struct smpp_response response = {0};
  uint32_t fault = head->command == SMPP_RESPONSE ? SMPP_ROK : smpp_response_read(pdu, &response);
  struct smpp_answer answer = {.fate = SMPP_ANSWERED, .status = head->status, .id = response.id, .why = response.tlvs.status_text};

  if (head->command == SMPP_RESPONSE && head->status == SMPP_ROK)
    answer.status = SMPP_RUNKNOWNERR; /* a refusal, whatever its status says */
  if (answer.status == SMPP_ROK && fault != SMPP_ROK)
    answer.id = PARLEY_LIT(""); /* it has the message; its name is lost */
  slot_end(session, slot, &answer);
}

static void enquire_answered(struct smpp_session *session)
{
  session->enquire_sequence = 0;
  if (session->state != SMPP_UNBINDING) /* the leave has a time of its own, which this does not prolong */
    session->deadline_ms = 0;
  session->owner->alive(session->arg);
}

static bool slot_awaits(const struct smpp_slot *slot, const struct smpp_head *head)
{
  return slot->sequence != 0 && slot->sequence == head->sequence &&
         (head->command == SMPP_RESPONSE || head->command == (SMPP_SUBMIT_SM | SMPP_RESPONSE) ||
          head->command == (SMPP_DATA_SM | SMPP_RESPONSE));
}

static void response_take(struct smpp_session *session, const struct smpp_head *head, parley_bytes pdu)
{
  struct smpp_slot *slot = &session->slots[head->sequence % session->n_slots];
  bool nack = head->command == SMPP_RESPONSE;
  uint32_t asked = head->command & ~SMPP_RESPONSE, sequence = head->sequence;

  if (sequence == 0 && nack) /* it could not even read a head of ours: nothing that was sent can be relied upon */
    smpp_session_drop(session, PARLEY_LIT("the centre does not understand what it is sent"));
  else if (sequence != 0 && sequence == session->bind_sequence && (nack || is_bind(asked)))
    bind_answered(session, head);
  else if (sequence != 0 && sequence == session->unbind_sequence && (nack || asked == SMPP_UNBIND))
    smpp_session_drop(session, PARLEY_LIT("the channel took its leave"));
  else if (sequence != 0 && sequence == session->enquire_sequence && (nack || asked == SMPP_ENQUIRE_LINK))
    enquire_answered(session);
  else if (slot_awaits(slot, head))
    message_answered(session, head, pdu, slot);
  else
    session->owner->ignored("response_unasked", session->arg);
}

/* --- Requests ----------------------------------------------------------------------------------------------------- */
static void message_take(struct smpp_session *session, const struct smpp_head *head, parley_bytes pdu)
{
  struct smpp_message message;
  uint32_t status = smpp_message_read(pdu, &message);

  if (session->state != SMPP_BOUND && session->state != SMPP_UNBINDING)
    status = SMPP_RINVBNDSTS;
  else if (status == SMPP_ROK && session->command == SMPP_BIND_TRANSMITTER)
    status = SMPP_RINVBNDSTS;
  else if (status == SMPP_ROK && session->state == SMPP_UNBINDING)
    status = SMPP_RX_T_APPN;
  if (status == SMPP_ROK) {
    session->owner->received(head, &message, session->arg);
    return;
  }
  session->owner->ignored("message_unreadable", session->arg);
  room_make(session, SMPP_HEAD_BYTES + 1);
  smpp_put_response(&session->out, head->command, status, head->sequence, PARLEY_LIT(""));
}

static void request_take(struct smpp_session *session, const struct smpp_head *head, parley_bytes pdu)
{
  switch (head->command) {
  case SMPP_DELIVER_SM:
  case SMPP_DATA_SM: message_take(session, head, pdu); break;
  case SMPP_ENQUIRE_LINK: head_say(session, SMPP_ENQUIRE_LINK | SMPP_RESPONSE, SMPP_ROK, head->sequence); break;
  case SMPP_UNBIND:
    head_say(session, SMPP_UNBIND | SMPP_RESPONSE, SMPP_ROK, head->sequence);
    smpp_session_flush(session);
    session_over(session, &(struct smpp_failure){.why = PARLEY_LIT("the centre took its leave")});
    session->owner->close(false, session->arg);
    break;
  case SMPP_ALERT_NOTIFICATION: session->owner->ignored("alert", session->arg); break; /* has no answer */
  case SMPP_OUTBIND: session->owner->ignored("outbind", session->arg); break;          /* has none either */
  default:
    session->owner->ignored("request_unknown", session->arg);
    head_say(session, SMPP_RESPONSE, SMPP_RINVCMDID, head->sequence);
  }
}

static void pdu_take(struct smpp_session *session, const struct smpp_head *head, parley_bytes pdu)
{
  session->heard_ms = now_ms(session);
  if ((head->command & SMPP_RESPONSE) == 0)
    request_take(session, head, pdu);
  else if (smpp_command_known(head->command))
    response_take(session, head, pdu);
  else
    session->owner->ignored("response_unknown", session->arg);
}

static void broken(struct smpp_session *session, const struct smpp_head *head)
{
  char why[WHY_MAX];
  int len = snprintf(why, sizeof why, "the centre sent a PDU of %u bytes: 16 to %d can be", (unsigned)head->length, SMPP_PDU_MAX);

  head_say(session, SMPP_RESPONSE, SMPP_RINVCMDLEN, head->sequence);
  smpp_session_flush(session);
  session_over(session, &(struct smpp_failure){.why = {why, (size_t)len}});
  session->owner->close(false, session->arg);
}

size_t smpp_session_data(struct smpp_session *session, parley_bytes bytes)
{
  size_t at = 0;

  while (session->state != SMPP_OVER && at < bytes.len) {
    parley_bytes rest = {bytes.at + at, bytes.len - at};
    struct smpp_head head;
    enum smpp_found found = smpp_head_read(rest, &head);

    if (found == SMPP_FOUND_NOTHING)
      break;
    if (found == SMPP_FOUND_BROKEN) {
      broken(session, &head);
      break;
    }
    pdu_take(session, &head, (parley_bytes){rest.at, head.length});
    at += head.length;
  }
  smpp_session_flush(session);
  return session->state == SMPP_OVER ? bytes.len : at;
}

/* --- The stream --------------------------------------------------------------------------------------------------- */
bool smpp_session_init(struct smpp_session *session, const struct smpp_config *config, uint32_t command, const struct smpp_owner *owner,
                       void *arg)
{
  uint32_t n_slots = 4;

  while (n_slots < 2 * config->window)
    n_slots *= 2;
  *session = (struct smpp_session){.config = config, .owner = owner, .arg = arg, .command = command, .n_slots = n_slots,
                                   .slots = calloc(n_slots, sizeof *session->slots),
                                   .out = {.at = malloc(SMPP_GATHER_ROOM), .room = SMPP_GATHER_ROOM}};
  return session->slots != NULL && session->out.at != NULL;
}

void smpp_session_done(struct smpp_session *session)
{
  free(session->slots);
  free(session->out.at);
  *session = (struct smpp_session){.state = SMPP_OVER};
}

void smpp_session_restart(struct smpp_session *session)
{
  session->state = SMPP_CONNECTING;
  session->n_open = 0;
  session->sequence = session->bind_sequence = session->enquire_sequence = session->unbind_sequence = 0;
  session->deadline_ms = 0;
  session->out.len = 0;
  memset(session->slots, 0, session->n_slots * sizeof *session->slots);
}

void smpp_session_opened(struct smpp_session *session)
{
  if (session->state != SMPP_CONNECTING)
    return;
  session->state = SMPP_BINDING;
  session->heard_ms = now_ms(session);
  session->deadline_ms = session->heard_ms + session->config->timeout_ms;
  session->bind_sequence = sequence_next(session);
  if (!smpp_put_bind(&session->out, session->command, session->bind_sequence, &session->config->login)) {
    smpp_session_drop(session, PARLEY_LIT("user, password or system_type is too long"));
    return;
  }
  smpp_session_flush(session);
}

static void slots_sweep(struct smpp_session *session)
{
  static const struct smpp_answer late = {.fate = SMPP_TIMED_OUT, .why = {"no answer in time", 17}};
  int64_t now = now_ms(session), next = INT64_MAX;

  if (session->n_open == 0 || now < session->slots_due_ms)
    return;
  for (uint32_t i = 0; i < session->n_slots; i++) {
    struct smpp_slot *slot = &session->slots[i];

    if (slot->sequence != 0 && slot->due_ms <= now)
      slot_end(session, slot, &late);
    else if (slot->sequence != 0 && slot->due_ms < next)
      next = slot->due_ms;
  }
  session->slots_due_ms = next;
}

void smpp_session_sweep(struct smpp_session *session)
{
  int64_t now = now_ms(session);

  if (session->state == SMPP_OVER || session->state == SMPP_CONNECTING)
    return;
  if (session->deadline_ms != 0 && now >= session->deadline_ms) {
    smpp_session_drop(session, session->state == SMPP_BINDING ? PARLEY_LIT("no answer to the bind in time")
                                                              : PARLEY_LIT("the centre does not answer any more"));
    return;
  }
  slots_sweep(session);
  if (session->state == SMPP_BOUND && session->enquire_sequence == 0 && session->config->enquire_ms > 0 &&
      now - session->heard_ms >= session->config->enquire_ms)
    enquire(session);
  smpp_session_flush(session);
}
