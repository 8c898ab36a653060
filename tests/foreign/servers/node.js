// A pod of the foreign servers: Node's http or http2.
// node node.js PROTOCOL IP PORT LOG [CHAIN KEY]
'use strict';
const fs = require('fs');
const [, , protocol, ip, port, log, chain, key] = process.argv;
const file = fs.openSync(log, 'a');

function answer(request, response) {
  const id = request.headers['x-id'] ?? '';
  const url = new URL(request.url, 'http://pod');
  const number = (name) => Number(url.searchParams.get(name) ?? 0);
  fs.writeSync(file, `${request.method} ${id}\n`);
  response.setHeader('x-id', id);
  if (url.pathname === '/early') {
    response.statusCode = 413;
    response.end();
    return;
  }
  let length = 0;
  request.on('data', (data) => { length += data.length; });
  request.on('error', () => {});
  request.on('end', () => {
    switch (url.pathname) {
      case '/id': {
        const text = `${id} ${length}\n`;
        response.setHeader('content-length', Buffer.byteLength(text));
        return response.end(text);
      }
      case '/big':
        response.setHeader('content-length', number('bytes'));
        return response.end(Buffer.alloc(number('bytes'), 'x'));
      case '/stream': return stream(response, number('bytes'));
      case '/slow': return setTimeout(() => response.end(`${id} ${length}\n`), number('ms'));
      case '/trailers':
        response.setHeader('trailer', 'x-trailer');
        response.write('body');
        response.addTrailers({ 'x-trailer': id });
        return response.end();
      case '/none':
        response.statusCode = 204;
        return response.end();
      case '/same':
        response.statusCode = 304;
        return response.end();
      default:
        response.statusCode = 404;
        return response.end();
    }
  });
}

function stream(response, left) {
  while (left > 0) {
    const size = Math.min(left, 16384);
    left -= size;
    if (!response.write(Buffer.alloc(size, 'x'))) {
      return response.once('drain', () => stream(response, left));
    }
  }
  return response.end();
}

const tls = chain && { cert: fs.readFileSync(chain), key: fs.readFileSync(key) };
const server = {
  http: () => (tls ? require('https').createServer(tls, answer) : require('http').createServer(answer)),
  http2: () => (tls ? require('http2').createSecureServer(tls, answer) : require('http2').createServer(answer)),
}[protocol]();
if (process.env.IDLE_MS) server.keepAliveTimeout = Number(process.env.IDLE_MS);
const sessions = new Set();
server.on('session', (session) => {
  sessions.add(session);
  session.on('close', () => sessions.delete(session));
});
server.listen(Number(port), ip);
process.on('SIGTERM', () => {
  server.close();
  for (const session of sessions) session.close();
});
