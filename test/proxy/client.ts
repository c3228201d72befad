import { request, type IncomingHttpHeaders, type RequestOptions } from 'node:http';
import { connect } from 'node:net';
import { textOf } from './world.ts';

export type Seen = { status: number; headers: IncomingHttpHeaders; body: string; trailers: NodeJS.Dict<string> };

/** One request as a client makes it that was sent to a name and found this server. */
export const visit = (
  port: number,
  host: string,
  path = '/',
  { body, ...options }: RequestOptions & { body?: string } = {},
): Promise<Seen> =>
  new Promise((resolve, reject) => {
    const headers = { host, ...(options.headers as Record<string, string>) };
    const asked = request({ agent: false, ...options, port, host: '127.0.0.1', path, headers });
    asked.once('error', reject);
    asked.once('response', (answer) => {
      textOf(answer).then(
        (text) =>
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            body: text,
            trailers: answer.trailers,
          }),
        reject,
      );
    });
    asked.end(body);
  });

/** Sends bytes as they are, and answers everything that comes back until the other side closes or nothing comes. */
export const raw = (port: number, text: string, quietMs = 300): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let seen = '';
    const done = () => {
      socket.destroy();
      resolve(seen);
    };
    socket.setTimeout(quietMs, done);
    socket.on('data', (chunk) => (seen += chunk.toString()));
    socket.on('error', done);
    socket.on('end', done);
  });
