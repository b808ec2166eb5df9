// smpp_centre.cjs - npm's smpp as a message centre behind lines of JSON: it refuses, throttles, falls silent, drops and reorders as told.
//   {"do":"listen", "user", "password", "key"?, "cert"?, "port"?}   ->  {"port"}       key, cert: PEM, for TLS
//   {"do":"bind","statuses":[13, ...]}                     ->  {}      what the next binds are answered with; then 0
//   {"do":"submit","rules":[{"status"|"silent"|"drop"|"empty": ..., "times": n}, ...]}  ->  {}   one after the other; then accepted.
//                   status: refused with it; silent: no answer; drop: the connection is cut instead; empty: accepted without an id;
//                   hold: answered at {"do":"release"}, the last first
//   {"do":"ids","form":"hex"|"decimal"|"text","first":n}   ->  {}      of answers
//   {"do":"receipts","state":word|null,"spelling":"hex"|"decimal"|"text","early":bool,"tlv":bool}  ->  {}   sent by itself for each message
//   {"do":"send","pdu":{...},"hex"?,"times"?}              ->  {"sequence"}   deliver_sm to the newest receiving bind; hex: short_message
//   {"do":"raw","hex"}  ->  {}     {"do":"release","count"?}, {"do":"drop","gently"?}, {"do":"stop"}  ->  {}
//   {"do":"seen"}  ->  {"binds":[{kind,user,password,type,status}],"live","submits":[{...,"hex","id"}],"replies":[{sequence,status,command}],
//                       "enquiries","unbinds","nacks","window"}        window: most submits without an answer at a time
'use strict';
const readline = require('node:readline');
const smpp = require('smpp');

const KINDS = ['bind_transceiver', 'bind_transmitter', 'bind_receiver'];
const seen = { binds: [], live: 0, submits: [], replies: [], enquiries: 0, unbinds: 0, nacks: 0, window: 0 };
const state = { options: {}, bind: [], rules: [], form: 'hex', next: 0x3039, receipts: null, held: [], sessions: [], sequence: 0, open: 0 };
let server = null;

function idWritten(number, form) {
  return form === 'hex' ? number.toString(16).toUpperCase().padStart(8, '0') : form === 'decimal' ? String(number) : `smsc-${number}`;
}

function receiver() {
  return [...state.sessions].reverse().find((session) => session.kind && session.kind !== 'bind_transmitter');
}

function deliver(pdu) {
  const session = receiver();
  if (!session) return 0;
  state.sequence += 1;
  session.send(new smpp.PDU('deliver_sm', { ...pdu, sequence_number: state.sequence }));
  return state.sequence;
}

function receiptFor(submit, number) {
  const { state: word, spelling, tlv } = state.receipts;
  const id = idWritten(number, spelling || state.form);
  const numbers = { DELIVRD: 2, EXPIRED: 3, UNDELIV: 5, REJECTD: 8, ACCEPTD: 6 };
  deliver({ esm_class: 4, source_addr_ton: 1, source_addr_npi: 1, source_addr: submit.destination_addr, destination_addr: submit.source_addr,
    short_message: `id:${id} sub:001 dlvrd:001 submit date:2611271842 done date:2611271843 stat:${word} err:000 text:hello`,
    ...(submit.user_message_reference !== undefined ? { user_message_reference: submit.user_message_reference } : {}),
    ...(tlv ? { receipted_message_id: id, message_state: numbers[word] } : {}) });
}

function ruleNext() {
  while (state.rules.length && (state.rules[0].times || 1) <= 0) state.rules.shift();
  if (!state.rules.length) return null;
  const rule = state.rules[0];
  rule.times = (rule.times === undefined ? 1 : rule.times) - 1;
  if (rule.times <= 0) state.rules.shift();
  return rule;
}

function accept(session, pdu, row, empty) {
  const number = state.next;
  state.next += 1;
  state.open -= 1;
  row.id = empty ? '' : idWritten(number, state.form);
  if (state.receipts && state.receipts.early) receiptFor(pdu, number);
  session.send(pdu.response({ message_id: row.id }));
  if (state.receipts && !state.receipts.early) setImmediate(receiptFor, pdu, number);
}

function submitted(session, pdu) {
  const octets = pdu.message_payload && pdu.message_payload.message !== undefined ? pdu.message_payload : pdu.short_message;
  const raw = pdu.rawText || Buffer.alloc(0);
  const row = { from: pdu.source_addr, from_ton: pdu.source_addr_ton, from_npi: pdu.source_addr_npi, to: pdu.destination_addr,
    to_ton: pdu.dest_addr_ton, to_npi: pdu.dest_addr_npi, esm: pdu.esm_class, coding: pdu.data_coding, registered: pdu.registered_delivery,
    validity: pdu.validity_period, service: pdu.service_type, reference: pdu.user_message_reference, sar: [pdu.sar_msg_ref_num,
      pdu.sar_total_segments, pdu.sar_segment_seqnum], text: octets && octets.message !== undefined ? String(octets.message) : null,
    hex: raw.toString('hex'), command: pdu.command, session: session.number };
  seen.submits.push(row);
  state.open += 1;
  seen.window = Math.max(seen.window, state.open);
  const rule = ruleNext();
  if (!rule || rule.empty) return accept(session, pdu, row, rule !== null);
  if (rule.status !== undefined) {
    state.open -= 1;
    row.status = rule.status;
    return session.send(pdu.response({ command_status: rule.status }));
  }
  if (rule.hold) return state.held.push([session, pdu, row]);
  state.open -= 1;
  row.silent = true;
  return rule.drop ? session.destroy() : undefined;
}

function bound(session, kind, pdu) {
  const { user, password } = state.options;
  let status = state.bind.length ? state.bind.shift() : 0;
  if (!status && (pdu.system_id !== user || pdu.password !== password)) status = pdu.system_id !== user ? 15 : 14;
  seen.binds.push({ kind, user: pdu.system_id, password: pdu.password, type: pdu.system_type, version: pdu.interface_version, status });
  session.send(pdu.response({ command_status: status, system_id: 'centre' }));
  if (status) return session.close();
  session.kind = kind;
  seen.live += 1;
  return session.on('close', () => { seen.live -= 1; });
}

function session(one) {
  one.number = state.sessions.push(one);
  one.on('error', () => one.destroy());
  one.on('close', () => { state.sessions = state.sessions.filter((other) => other !== one); });
  for (const kind of KINDS) one.on(kind, (pdu) => bound(one, kind, pdu));
  one.on('submit_sm', (pdu) => submitted(one, pdu));
  one.on('data_sm', (pdu) => submitted(one, pdu));
  one.on('enquire_link', (pdu) => { seen.enquiries += 1; one.send(pdu.response()); });
  one.on('unbind', (pdu) => { seen.unbinds += 1; one.send(pdu.response()); one.close(); });
  one.on('generic_nack', () => { seen.nacks += 1; });
  for (const name of ['deliver_sm_resp', 'data_sm_resp', 'generic_nack'])
    one.on(name, (pdu) => seen.replies.push({ sequence: pdu.sequence_number, status: pdu.command_status, command: name }));
}

// The octets of the text as they came: the library decodes them by its own idea of the data coding.
const fromBuffer = smpp.PDU.prototype.fromBuffer;
smpp.PDU.prototype.fromBuffer = function withText(buffer) {
  const result = fromBuffer.call(this, buffer);
  if (this.command === 'submit_sm') {
    let at = 16;
    const string = () => { while (buffer[at] !== 0) at += 1; at += 1; };
    string(); at += 2; string(); at += 2; string(); at += 3; string(); string(); at += 4;
    this.rawText = buffer.subarray(at + 1, at + 1 + buffer[at]);
    const tlv = at + 1 + buffer[at];
    for (let i = tlv; i + 4 <= buffer.length; i += 4 + buffer.readUInt16BE(i + 2))
      if (buffer.readUInt16BE(i) === 0x0424) this.rawText = buffer.subarray(i + 4, i + 4 + buffer.readUInt16BE(i + 2));
  }
  return result;
};

const commands = {
  listen(asked, answer) {
    state.options = asked;
    server = smpp.createServer(asked.key ? { key: asked.key, cert: asked.cert } : {}, session);
    server.on('error', () => {});
    server.listen(asked.port || 0, '127.0.0.1', () => answer({ port: server.address().port }));
  },
  bind(asked, answer) { state.bind = asked.statuses; answer({}); },
  submit(asked, answer) { state.rules = asked.rules; answer({}); },
  ids(asked, answer) { state.form = asked.form; if (asked.first) state.next = asked.first; answer({}); },
  receipts(asked, answer) { state.receipts = asked.state ? asked : null; answer({}); },
  send(asked, answer) {
    const text = asked.hex === undefined ? {} : { short_message: Buffer.from(asked.hex, 'hex') };
    for (let i = 1; i < (asked.times || 1); i += 1) deliver({ ...asked.pdu, ...text });
    answer({ sequence: deliver({ ...asked.pdu, ...text }) });
  },
  raw(asked, answer) { receiver().socket.write(Buffer.from(asked.hex, 'hex'), () => answer({})); },
  release(asked, answer) {
    for (const [one, pdu, row] of state.held.splice(0, asked.count || state.held.length).reverse()) accept(one, pdu, row, false);
    answer({});
  },
  drop(asked, answer) { for (const one of [...state.sessions]) if (asked.gently) one.close(); else one.destroy(); answer({}); },
  stop(asked, answer) { server.close(() => answer({})); for (const one of [...state.sessions]) one.destroy(); },
  seen(asked, answer) { answer(seen); },
};

console.log(JSON.stringify({ ready: true }));
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const asked = JSON.parse(line);
  commands[asked.do](asked, (answer) => console.log(JSON.stringify(answer)));
});
