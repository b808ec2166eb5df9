// segments.cjs - three libraries that count SMS segments, behind lines of JSON: {"text"} -> {"twilio","gsm","split"}, each
// {"alphabet","segments","units"?}; with "simplify": {"plain"}, what Twilio's smart encoding makes of the text.
'use strict';
const readline = require('node:readline');
const { SegmentedMessage } = require('sms-segments-calculator');
const gsm = require('gsm');
const split = require('split-sms');

function twilio(text) {
  const message = new SegmentedMessage(text);
  return { alphabet: message.getEncodingName() === 'GSM-7' ? 'gsm7' : 'ucs2', segments: message.segmentsCount };
}

function byGsm(text) {
  const counted = gsm(text);
  return { alphabet: counted.char_set === 'Unicode' ? 'ucs2' : 'gsm7', segments: counted.sms_count };
}

function bySplit(text) {
  const counted = split.split(text);
  const perUnit = counted.characterSet === 'Unicode' ? 2 : 1;
  return {
    alphabet: counted.characterSet === 'Unicode' ? 'ucs2' : 'gsm7',
    segments: counted.parts.length,
    units: counted.parts.map((part) => part.bytes / perUnit),
  };
}

function plain(text) {
  return [...new SegmentedMessage(text, 'auto', true).graphemes].join('');
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const { text, simplify } = JSON.parse(line);
  const answer = simplify ? { plain: plain(text) } : { twilio: twilio(text), gsm: byGsm(text), split: bySplit(text) };
  process.stdout.write(JSON.stringify(answer) + '\n');
});
process.stdout.write('{"ready":true}\n');
