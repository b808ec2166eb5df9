// mail_peers.cjs - verifiers and readers of mail that are not ours (npm's mailauth, mailparser, postal-mime) behind lines of JSON.
//   {"do":"verify","raw","dns"}  ->  {"results":[{"domain","selector","algorithm","result","aligned"}],"dmarc"}     mailauth
//   {"do":"read","raw"}          ->  {"mailparser":{subject,from,to,replyTo,text,html,attachments},"postal":{...}}
// raw is base64; dns is host:port of the server to ask.
'use strict';
const dns = require('node:dns');
const readline = require('node:readline');
const { authenticate } = require('mailauth');
const { simpleParser } = require('mailparser');
const PostalMime = require('postal-mime');

async function verify({ raw, dns: server }) {
  const own = new dns.promises.Resolver();
  own.setServers([server]);
  const found = await authenticate(Buffer.from(raw, 'base64'), { ip: '127.0.0.1', helo: 'mx.shop.example',
    sender: 'orders@shop.example', mta: 'mx.example.org', trustReceived: false, resolver: (name, type) => own.resolve(name, type) });
  const results = found.dkim.results.filter((one) => one.signingDomain).map((one) => ({ domain: one.signingDomain,
    selector: one.selector, algorithm: one.algo, result: one.status.result, aligned: Boolean(one.status.aligned) }));
  return { results, spf: found.spf.status.result, dmarc: found.dmarc ? found.dmarc.status.result : null };
}

function attachment(name, type, content, cid, disposition) {
  return { name: name || null, type, sha: require('node:crypto').createHash('sha256').update(Buffer.from(content)).digest('hex'),
    cid: cid ? cid.replace(/[<>]/g, '') : null, disposition };
}

async function read({ raw }) {
  const bytes = Buffer.from(raw, 'base64');
  const one = await simpleParser(bytes, { keepCidLinks: true, skipTextToHtml: true, skipHtmlToText: true });
  const other = await new (PostalMime.default || PostalMime)().parse(bytes);
  return {
    mailparser: { subject: one.subject, from: one.from.text, to: one.to.text, replyTo: one.replyTo ? one.replyTo.text : null,
      text: one.text, html: one.html || null, messageId: one.messageId,
      attachments: one.attachments.map((a) => attachment(a.filename, a.contentType, a.content, a.cid, a.contentDisposition)) },
    postal: { subject: other.subject, from: other.from, to: other.to, text: other.text, html: other.html || null,
      messageId: other.messageId,
      attachments: other.attachments.map((a) => attachment(a.filename, a.mimeType, a.content, a.contentId, a.disposition)) },
  };
}

const jobs = { verify, read };
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
let last = Promise.resolve();
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const job = JSON.parse(line);
  last = last.then(() => jobs[job.do](job)).then(say, (error) => say({ error: String(error.stack) }));
});
say({ ready: true });
