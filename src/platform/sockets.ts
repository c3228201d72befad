import { createConnection, type Socket } from 'node:net';

/** Connects to what listens on a socket of this host. Rejects with the system's own error. */
export function connectLocal(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path });
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}
