import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { authorityOf } from '../../src/platform/egress/authority.ts';
import { placeAt, type Place } from '../machines/world.ts';

/** Addresses that the internet could have and does not (they were never announced); routes to them end on this host. */
export const HERE = '21.213.77.10';
export const ELSEWHERE = '21.213.77.20';
const NAMES: Record<string, string> = {
  'allowed.example': HERE,
  'deep.below.wild.example': HERE,
  'wild.example': HERE,
  'secret.example': HERE,
  'evil.example': ELSEWHERE,
  'proxy.example': ELSEWHERE,
  'inner.example': '10.213.77.9',
  'ours.example': '127.0.0.1',
};

/** Web servers that tell what came to them, and a SOCKS5 proxy that tells whom it was asked for. */
const PROGRAM = `
const { address, certificates } = JSON.parse(process.argv[1]);
const tell = (scheme) => (request, response) =>
  response.end(JSON.stringify({ at: address, scheme, url: request.url, headers: request.headers }));
require('node:http').createServer(tell('http')).listen(80);
require('node:http').createServer(tell('other')).listen(8080);
const { createSecureContext } = require('node:tls');
const SNICallback = (name, done) => done(null, createSecureContext(certificates[name] ?? certificates['allowed.example']));
require('node:https').createServer({ SNICallback, ...certificates['allowed.example'] }, tell('https')).listen(443);
require('node:net').createServer((socket) => {
  socket.on('error', () => {});
  let stage = 0, user = '', asked = '';
  socket.on('data', (data) => {
    if (stage === 0) { stage = 1; socket.write(Buffer.from([5, 2])); }
    else if (stage === 1) {
      const length = data[1];
      user = data.subarray(2, 2 + length) + ':' + data.subarray(3 + length);
      stage = 2; socket.write(Buffer.from([1, 0]));
    } else if (stage === 2) {
      asked = data[3] === 3 ? data.subarray(5, 5 + data[4]).toString() : [...data.subarray(4, 8)].join('.');
      asked += ':' + data.readUInt16BE(data.length - 2);
      stage = 3; socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
    } else {
      const body = JSON.stringify({ at: 'proxy', user, asked });
      socket.end('HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: ' + body.length + '\\r\\n\\r\\n' + body);
    }
  });
}).listen(1080, () => console.log('listening'));
`;

export type Outside = { nameServer: string; stop(): Promise<void> };

/** A piece of the internet of the test's own: two hosts, and the names that lead to them and elsewhere. */
export async function startOutside(): Promise<Outside> {
  const authority = authorityOf(Buffer.alloc(32, 9), () => new Date());
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, authority.certificate]);
  const certificates = Object.fromEntries(Object.keys(NAMES).map((name) => [name, authority.issue(name)]));
  const places: Place[] = [];
  for (const address of [HERE, ELSEWHERE])
    places.push(await placeAt(address, PROGRAM, JSON.stringify({ address, certificates })));
  const server = createSocket('udp4');
  server.on('message', (question, { port, address }) => server.send(answerTo(question), port, address));
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    nameServer: `127.0.0.1:${server.address().port}`,
    async stop() {
      server.close();
      setDefaultCACertificates(before);
      await Promise.all(places.map((place) => place.remove()));
    },
  };
}

const HEADER_BYTES = 12;

/** One A record, or that there is no such name. */
function answerTo(question: Buffer): Buffer {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = question.readUInt8(at); length > 0; length = question.readUInt8(at)) {
    labels.push(question.subarray(at + 1, at + 1 + length).toString());
    at += 1 + length;
  }
  const asked = question.subarray(HEADER_BYTES, at + 5);
  const found = NAMES[labels.join('.').toLowerCase()];
  const flags = found === undefined ? [0x81, 0x83] : [0x81, 0x80];
  const head = Buffer.from([...question.subarray(0, 2), ...flags, 0, 1, 0, found === undefined ? 0 : 1, 0, 0, 0, 0]);
  const record = found?.split('.').map(Number) ?? [];
  const answer = found === undefined ? [] : [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...record];
  return Buffer.concat([head, asked, Buffer.from(answer)]);
}
