// pgboss.cjs - HTTP in front of pg-boss, as a shop would write it: node pgboss.cjs PORT, the database's address in DATABASE_URL.
// POST / stores the body as a job and answers 202 when its transaction is committed; GET / answers 200.
const http = require('http');
const PgBoss = require('pg-boss');

async function main() {
  const boss = new PgBoss({ connectionString: process.env.DATABASE_URL });
  boss.on('error', (error) => console.error(error.message));
  await boss.start();
  const server = http.createServer((request, response) => {
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', async () => {
      if (request.method !== 'POST') return response.writeHead(200).end('{}');
      try {
        const id = await boss.send('messages', { body: Buffer.concat(pieces).toString() }, { retryLimit: 5, retryBackoff: true });
        const answer = JSON.stringify({ id, status: 'accepted' });
        response.writeHead(202, { 'Content-Type': 'application/json', 'Content-Length': answer.length }).end(answer);
      } catch (error) {
        response.writeHead(503).end(error.message);
      }
    });
  });
  server.listen(Number(process.argv[2]), '127.0.0.1');
}

main();
