// smtp_peers.cjs - npm's smtp-server behind lines of JSON: servers that refuse, drop, wait and hide what they can do.
//   {"do":"listen", ...options, "pem"?, "user"?, "password"?}  ->  {"port"}     options are smtp-server's own
//   {"do":"fail","port","stage","code","text","times"}         ->  {}           stage: connect, auth, mail, rcpt, dot
//   {"do":"fail","port","stage":"drop"|"slow","ms","times"}    ->  {}           after the mail was taken
//   {"do":"listen", ..., "authMethods": ["XOAUTH2"], "tokens": [...]}, {"do":"tokens","port","tokens"}   access tokens that it takes
//   {"do":"oauth"}                                             ->  {"port"}     npm's oauth2-mock-server: /authorize and /token
//   {"do":"seen","port"}                                       ->  {"sessions","refused","mails":[{from,to,raw,secure,user,session}]}
// raw is base64.
'use strict';
const fs = require('node:fs');
const readline = require('node:readline');
const { pathToFileURL } = require('node:url');
const { SMTPServer } = require('smtp-server');

const servers = new Map();

// The next fault scripted for this stage, null for none.
function faultOf(state, stage) {
  const fault = state.faults.find((one) => one.stage === stage && one.times > 0);
  if (!fault) return null;
  fault.times--;
  state.refused.push(stage);
  return fault;
}

function errorOf(fault) {
  return Object.assign(new Error(fault.text), { responseCode: fault.code });
}

function step(state, stage) {
  return (...words) => {
    const fault = faultOf(state, stage);
    words.pop()(fault ? errorOf(fault) : null);
  };
}

function login(state, options) {
  return (auth, session, done) => {
    const fault = faultOf(state, 'auth');
    if (fault) return done(errorOf(fault));
    state.logins.push({ user: auth.username, secure: session.secure, token: auth.accessToken });
    if (auth.accessToken) {
      if (state.tokens.includes(auth.accessToken) || state.tokens.includes('*')) return done(null, { user: auth.username });
      return done(null, { data: { status: '401', schemes: 'bearer', scope: 'mail' } });
    }
    if (auth.username !== options.user || auth.password !== options.password) {
      return done(Object.assign(new Error('5.7.8 wrong user or password'), { responseCode: 535 }));
    }
    return done(null, { user: auth.username });
  };
}

function keep(state, session, chunks) {
  const { mailFrom, rcptTo } = session.envelope;
  state.mails.push({ from: mailFrom.address, to: rcptTo.map((one) => one.address), secure: session.secure,
    user: session.user || null, session: session.id, raw: Buffer.concat(chunks).toString('base64') });
}

function take(state) {
  return (stream, session, done) => {
    const chunks = [];
    stream.on('data', (chunk) => chunks.push(chunk));
    stream.on('end', () => {
      const refused = faultOf(state, 'dot');
      if (refused) return done(errorOf(refused));
      keep(state, session, chunks);
      if (faultOf(state, 'drop')) return state.sockets.get(session.remotePort).destroy();
      const slow = faultOf(state, 'slow');
      return slow ? setTimeout(() => done(null, 'kept, at last'), slow.ms) : done(null, 'kept');
    });
  };
}

function listen(options, answer) {
  const state = { faults: [], refused: [], mails: [], logins: [], tokens: options.tokens || [], sockets: new Map(), sessions: 0 };
  const pem = options.pem ? fs.readFileSync(options.pem) : undefined;
  const server = new SMTPServer({ disableReverseLookup: true, authOptional: !options.user && !options.tokens, logger: false, key: pem, cert: pem,
    ...options,
    onAuth: login(state, options),
    onConnect: (session, done) => { state.sessions++; step(state, 'connect')(session, done); },
    onMailFrom: step(state, 'mail'), onRcptTo: step(state, 'rcpt'), onData: take(state) });
  server.on('error', () => {}); // a peer that leaves in the middle is what is being tested
  server.server.on('connection', (socket) => state.sockets.set(socket.remotePort, socket));
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.server.address();
    servers.set(port, state);
    answer({ port });
  });
}

async function oauth(answer) {
  const { OAuth2Server } = await import(pathToFileURL(require.resolve('oauth2-mock-server')));
  const server = new OAuth2Server();
  await server.issuer.keys.generate('RS256');
  await server.start(0, '127.0.0.1');
  answer({ port: server.address().port });
}

function seen(state) {
  return { sessions: state.sessions, refused: state.refused, logins: state.logins, mails: state.mails };
}

function handle(request, answer) {
  const { do: what, port, ...rest } = request;
  if (what === 'listen') return listen(rest, answer);
  if (what === 'oauth') return oauth(answer);
  if (what === 'tokens') servers.get(port).tokens = rest.tokens;
  if (what === 'fail') servers.get(port).faults.push({ times: 1, ...rest });
  return answer(what === 'seen' ? seen(servers.get(port)) : {});
}

const say = (object) => process.stdout.write(JSON.stringify(object) + '\n');
readline.createInterface({ input: process.stdin }).on('line', (line) => handle(JSON.parse(line), say));
say({ ready: true });
