import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 200;

/**
 * Runs `work` while no other process of this machine runs work under the same name. The lock is a listening socket:
 * the kernel takes it back from a process that was killed, and needs nothing that Node 20 does not have.
 *
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} work
 */
export async function alone(name, work) {
  const address = addressOf(name);
  let server = await tryListen(address);
  while (!server) {
    await sleep(POLL_MS);
    server = await tryListen(address);
  }
  try {
    return await work();
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Linux has names for sockets that are no files and vanish with their process. @param {string} name */
function addressOf(name) {
  const short = `freehold-${createHash('sha256').update(name).digest('hex').slice(0, 24)}`;
  return process.platform === 'linux' ? `\0${short}` : path.join(os.tmpdir(), `${short}.sock`);
}

/** @param {string} address @returns {Promise<net.Server | undefined>} */
async function tryListen(address) {
  const server = net.createServer((socket) => socket.destroy());
  const taken = await new Promise((resolve, reject) => {
    server.once('listening', () => resolve(false));
    server.once('error', (error) => ('code' in error && error.code === 'EADDRINUSE' ? resolve(true) : reject(error)));
    server.listen(address);
  });
  if (!taken) return server;
  if (!address.startsWith('\0') && !(await answers(address))) await rm(address, { force: true });
  return undefined;
}

/** Whether somebody listens; a socket file outlives a killed process. @param {string} address @returns {Promise<boolean>} */
function answers(address) {
  return new Promise((resolve) => {
    const socket = net.connect(address, () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => socket.destroy());
  });
}
