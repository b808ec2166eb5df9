// Hands mails in by nodemailer: one line of JSON asks, one answers.
"use strict";
const nodemailer = require("nodemailer");

async function answer({ transport, mail }) {
  const mailer = nodemailer.createTransport(transport);
  try {
    const sent = await mailer.sendMail(mail);
    return { accepted: sent.accepted, rejected: sent.rejected, response: sent.response };
  } catch (error) {
    return { error: error.message, code: error.responseCode || 0 };
  } finally {
    mailer.close();
  }
}

console.log(JSON.stringify({ ready: true }));
require("readline")
  .createInterface({ input: process.stdin })
  .on("line", async (line) => console.log(JSON.stringify(await answer(JSON.parse(line)))));
