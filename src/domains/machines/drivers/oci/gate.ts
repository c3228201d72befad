import { readFile } from 'node:fs/promises';
import { listenTransparent } from '../../../../platform/egress/transparent.ts';
import type { MachineId } from '../../../../kernel/ids.ts';
import type { GateCall } from '../driver.ts';
import { gateOf } from './gate-rules.ts';
import { isMachineName } from './layout.ts';
import { linkOf } from './network.ts';

/** Takes what gated machines open. A machine cannot change its address, and its link bears its name. */
export const openGate = (instance: string, take: (call: GateCall) => void): Promise<{ close(): void }> =>
  listenTransparent(gateOf(instance), ({ from, address, port, socket }) => {
    void machineAt(from).then((machine) => {
      if (machine === undefined) socket.destroy();
      else take({ machine, address, port, stream: socket });
    });
  });

async function machineAt(address: string): Promise<MachineId | undefined> {
  const link = linkOf(address);
  // It may be gone by now, and nobody knows it then.
  const alias = link && (await readFile(`/sys/class/net/${link.name}/ifalias`, 'utf8').catch(() => ''));
  const name = alias?.trim() ?? '';
  return isMachineName(name) ? (name as MachineId) : undefined;
}
