// standard_webhooks.cjs - the library of Standard Webhooks' authors behind lines of JSON.
//   {"do":"verify","secret","headers","body"}  ->  {"ok":true,"type"} or {"ok":false,"why"}
//   {"do":"sign","secret","id","timestamp","body"}  ->  {"signature"}
// body is base64; timestamp is in seconds.
'use strict';
const readline = require('node:readline');
const { Webhook } = require('standardwebhooks');

function verify(request) {
  try {
    const event = new Webhook(request.secret).verify(Buffer.from(request.body, 'base64'), request.headers);
    return { ok: true, type: event.type };
  } catch (error) {
    return { ok: false, why: error.message };
  }
}

function sign(request) {
  const body = Buffer.from(request.body, 'base64').toString('utf8');
  return { signature: new Webhook(request.secret).sign(request.id, new Date(request.timestamp * 1000), body) };
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line);
  process.stdout.write(JSON.stringify(request.do === 'sign' ? sign(request) : verify(request)) + '\n');
});
process.stdout.write('{"ready":true}\n');
