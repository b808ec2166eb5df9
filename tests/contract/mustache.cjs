// mustache.cjs - mustache.js behind lines of JSON: {"template","data","partials"} -> {"result"} or {"error"}. It escapes what the
// specification names and no more.
'use strict';
const readline = require('node:readline');
const mustache = require('mustache');

const references = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
mustache.escape = (text) => String(text).replace(/[&<>"']/g, (found) => references[found]);

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const asked = JSON.parse(line);
  let answer;
  try {
    answer = { result: mustache.render(asked.template, asked.data, asked.partials) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
});
process.stdout.write('{"ready":true}\n');
