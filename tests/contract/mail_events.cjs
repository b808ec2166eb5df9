// The providers' own verifiers (npm, tests/peers/mailhooks), for tests/contract/mail_events.py: each line of JSON gets one back.
"use strict";

const { EventWebhook } = require("@sendgrid/eventwebhook");
const https = require("https");
const MessageValidator = require("sns-validator");
const readline = require("readline");
const { Readable } = require("stream");

let certificate = "";

// sns-validator fetches the certificate: it gets the one that the test gave.
https.get = (_url, done) => {
  const answer = Readable.from([certificate]);
  answer.statusCode = 200;
  done(answer);
  return { on: () => {} };
};

function sendgrid(ask) {
  const webhook = new EventWebhook();
  try {
    return webhook.verifySignature(webhook.convertPublicKeyToECDSA(ask.key), ask.body, ask.signature, ask.timestamp);
  } catch (error) {
    return false;
  }
}

function sns(ask) {
  certificate = ask.certificate;
  return new Promise((resolve) => new MessageValidator().validate(ask.message, (error) => resolve(!error)));
}

async function answer(line) {
  const ask = JSON.parse(line);
  const good = ask.do === "sendgrid" ? sendgrid(ask) : await sns(ask);
  process.stdout.write(JSON.stringify({ good }) + "\n");
}

process.stdout.write("{}\n");
readline.createInterface({ input: process.stdin }).on("line", answer);
