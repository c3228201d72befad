/**
 * A process that lets one machine rest and wakes it, again and again, until it is killed, for domain-crash.test.ts.
 * Arguments: the driver's options as JSON, the database's URL, the machine's id and the verbs to go through.
 */
import { createMachines } from '../../src/domains/machines/index.ts';
import { openOciDriver, type OciOptions } from '../../src/domains/machines/drivers/oci/index.ts';
import type { MachineId } from '../../src/kernel/ids.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { openDatabase } from '../../src/platform/db.ts';
import { createLog } from '../../src/platform/log.ts';
import { systemOp } from '../harness/op.ts';

const [options = '', url = '', id = '', verbs = ''] = process.argv.slice(2);
// It does not outlive the test, however that ends.
process.stdin.resume().once('end', () => process.kill(process.pid, 'SIGKILL'));
const driver = await openOciDriver(JSON.parse(options) as OciOptions);
const db = openDatabase({ url, onError: () => {} });
const machines = createMachines({ db, driver, clock: systemClock, log: createLog({ level: 'fatal' }) });
process.stdout.write('ready\n');
for (;;) {
  for (const verb of verbs.split(',') as ('pause' | 'resume' | 'stop' | 'boot' | 'snapshot')[])
    await machines[verb](systemOp(), id as MachineId).catch((error: Error) =>
      process.stderr.write(`${error.message}\n`),
    );
}
