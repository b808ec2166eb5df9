// http2_shop.cjs - a receiver of webhooks that speaks HTTP/2 where it is asked to, and answers slowly, so that requests meet.
//   usage: http2_shop.cjs PEM (certificate and key)   first line out: {"port"}
//   any line in  ->  {"requests","ids","sessions","versions","most"}: how many requests, different webhook-ids and connections,
//   the versions spoken, and the most requests open at once
'use strict';
const fs = require('node:fs');
const http2 = require('node:http2');
const readline = require('node:readline');

const ANSWER_MS = 20;
const pem = fs.readFileSync(process.argv[2]);
const server = http2.createSecureServer({ key: pem, cert: pem, allowHTTP1: true });
const ids = new Set();
const versions = new Set();
let requests = 0, sessions = 0, open = 0, most = 0;

server.on('session', () => { sessions += 1; });
server.on('request', (request, response) => {
  requests += 1;
  open += 1;
  most = Math.max(most, open);
  ids.add(request.headers['webhook-id']);
  versions.add(request.httpVersion);
  request.resume();
  request.on('end', () => setTimeout(() => {
    open -= 1;
    response.setHeader('x-long', 'y'.repeat(3000));
    response.end('z'.repeat(5000));
  }, ANSWER_MS));
});
server.listen(0, 'localhost', () => process.stdout.write(JSON.stringify({ port: server.address().port }) + '\n'));
readline.createInterface({ input: process.stdin }).on('line', () => {
  process.stdout.write(JSON.stringify({ requests, ids: ids.size, sessions, versions: [...versions], most }) + '\n');
});
