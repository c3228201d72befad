import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, Server, type Socket } from 'node:net';
import { SYSTEM_PATH } from '../run.ts';

/** A connection that its opener believes to have with `address`. */
export type Taken = { from: string; address: string; port: number; socket: Socket };

const START_TIMEOUT_MS = 20_000;
const BACKLOG = 512;
/** IP_TRANSPARENT, by its number; the socket goes on to the program that follows, whose IPC channel stays open. */
const OPEN_SOCKET = `
use Socket;
my ($host, $port, @next) = @ARGV;
$^F = 255;
socket(my $s, AF_INET, SOCK_STREAM, 0) or die "socket: $!";
setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1) or die "reuse: $!";
setsockopt($s, SOL_SOCKET, 15, 1) or die "share: $!";
setsockopt($s, 0, 19, pack("i", 1)) or die "transparent: $!";
bind($s, pack_sockaddr_in($port, inet_aton($host))) or die "bind: $!";
$ENV{LISTENER} = fileno($s);
exec @next or die "exec: $!";
`;
/** Hands the socket to its parent and is gone at once: as long as it lived, it would have a part of what comes. */
const HAND_OVER = `
require('node:net').createServer().listen({ fd: Number(process.env.LISTENER), backlog: ${BACKLOG} }, function () {
  process.send('listening', this, () => process.exit());
});
`;

/**
 * Listens for connections that the firewall takes out of their way (TPROXY): each socket has the address of its own
 * that its opener wanted to reach. Node cannot set the option that this needs, so a child opens the socket and passes
 * it over. Several processes may listen at one place, and each connection comes to one of them.
 */
export async function listenTransparent(
  place: { host: string; port: number },
  onTaken: (taken: Taken) => void,
): Promise<{ close(): void }> {
  const child = spawn(
    'perl',
    ['-e', OPEN_SOCKET, place.host, String(place.port), process.execPath, '-e', HAND_OVER],
    // Nothing of this process's own environment is passed on; Node names its channel by itself.
    { stdio: ['ignore', 'ignore', 'pipe', 'ipc'], env: { PATH: SYSTEM_PATH } },
  );
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS);
  const received = await Promise.race([
    once(child, 'message').then(([, handle]) => handle as unknown),
    once(child, 'exit').then(() => undefined),
  ]).finally(() => clearTimeout(timer));
  if (!(received instanceof Server)) throw new Error(`No connections can be taken over: ${said.trim()}`);
  return serveOn(received, onTaken);
}

function serveOn(received: Server, onTaken: (taken: Taken) => void): Promise<{ close(): void }> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    socket.on('error', () => socket.destroy());
    const { remoteAddress, localAddress, localPort } = socket;
    if (!remoteAddress || !localAddress || !localPort) return void socket.destroy();
    onTaken({ from: remoteAddress, address: localAddress, port: localPort, socket });
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(received, () =>
      resolve({
        close() {
          server.close();
          received.close();
          for (const socket of open) socket.destroy();
        },
      }),
    );
  });
}
