import { once } from 'node:events';
import { createServer } from 'node:net';

/** A range of ports, as many as are asked for, at which nobody listens now. Below those that the kernel gives out. */
export async function freePorts(count: number): Promise<{ first: number; last: number }> {
  for (;;) {
    const first = LEAST + Math.floor(Math.random() * (MOST - LEAST - count));
    const ports = Array.from({ length: count }, (_, index) => first + index);
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return { first, last: first + count - 1 };
  }
}

const LEAST = 21_000;
const MOST = 32_000;

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const opened = once(server, 'listening').then(
    () => true,
    () => false,
  );
  server.listen(port, '127.0.0.1');
  const free = await opened;
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}
