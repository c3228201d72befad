import { createServer, type Socket } from 'node:net';

/** Clients that the kernel keeps waiting for us at one port. */
const BACKLOG = 64;
const KEEP_ALIVE_MS = 60_000;

export type TcpListener = {
  /** Takes no more connections, and ends those that it took. */
  close(): void;
};

/**
 * Listens at a TCP port. A connection is handed over without a byte having been read, with the address that it comes
 * from. Undefined where another program has the port.
 */
export function listenTcp(
  { host, port }: { host: string; port: number },
  onConnection: (socket: Socket, address: string | undefined) => void,
): Promise<TcpListener | undefined> {
  const open = new Set<Socket>();
  const options = {
    pauseOnConnect: true,
    // A client that has sent all may still be answered.
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  };
  const server = createServer(options, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    // Whoever is handed the connection learns of its end; a failure is no more than that.
    socket.on('error', () => socket.destroy());
    onConnection(socket, socket.remoteAddress);
  });
  const listener: TcpListener = {
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error),
    );
    server.listen({ host, port, backlog: BACKLOG }, () => resolve(listener));
  });
}
