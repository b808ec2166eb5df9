// Twilio's and Vonage's own libraries (npm, tests/peers/sms), for tests/contract/sms_sdks.py: each line of JSON gets one back.
"use strict";

const { Vonage } = require("@vonage/server-sdk");
const { Auth } = require("@vonage/auth");
const jsonwebtoken = require("jsonwebtoken");
const readline = require("readline");
const { verifySignature } = require("@vonage/jwt");
const twilio = require("twilio");

// Its client knows the address of Twilio alone: the recorder stands in for it.
class Elsewhere extends twilio.RequestClient {
  constructor(base) {
    super({});
    this.base = base;
  }

  request(options) {
    return super.request({ ...options, uri: options.uri.replace("https://api.twilio.com", this.base) });
  }
}

const verbs = {
  twilioSign: (ask) => twilio.getExpectedTwilioSignature(ask.token, ask.url, ask.fields, ask.algorithm),
  twilioJudge: (ask) =>
    ask.body === undefined
      ? twilio.validateRequest(ask.token, ask.signature, ask.url, ask.fields, ask.algorithm)
      : twilio.validateRequestWithBody(ask.token, ask.signature, ask.url, ask.body),
  twilioSend: async (ask) => {
    const client = twilio(ask.account, ask.token, { httpClient: new Elsewhere(ask.base) });
    return (await client.messages.create(ask.message)).sid;
  },
  vonageJudge: (ask) => new Vonage({ apiKey: "k", apiSecret: "s" }).sms.verifySignature(ask.signature, ask.fields, ask.secret, ask.algorithm),
  vonageSend: async (ask) => {
    const vonage = new Vonage(new Auth({ apiKey: ask.account, apiSecret: ask.token }), { restHost: ask.base });
    return (await vonage.sms.send(ask.message)).messages[0]["message-id"];
  },
  // Messages API: an application's token, and the webhook's.
  vonageMessage: async (ask) => {
    const auth = new Auth({ apiKey: ask.account, apiSecret: ask.token, applicationId: ask.application, privateKey: ask.key });
    return (await new Vonage(auth, { apiHost: ask.base }).messages.send(ask.message)).messageUUID;
  },
  tokenRead: (ask) => jsonwebtoken.verify(ask.token, ask.key, { algorithms: ["RS256"] }),
  tokenMake: (ask) => jsonwebtoken.sign(ask.claims, ask.secret, { algorithm: ask.algorithm, noTimestamp: true }),
  tokenJudge: (ask) => verifySignature(ask.token, ask.secret),
};

async function answer(line) {
  const ask = JSON.parse(line);
  try {
    process.stdout.write(JSON.stringify({ got: await verbs[ask.do](ask) }) + "\n");
  } catch (error) {
    process.stdout.write(JSON.stringify({ error: String(error) }) + "\n");
  }
}

process.stdout.write("{}\n");
let last = Promise.resolve();
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  last = last.then(() => answer(line));
});
