/**
 * A process that makes or removes one machine and is killed on the way, for crash.test.ts. Arguments: the driver's
 * options as JSON, `create` or `destroy`, the machine's id, and the step or the milliseconds after which it dies.
 */
import type { MachineId } from '../../src/kernel/ids.ts';
import { openOciDriver, type OciOptions } from '../../src/domains/machines/drivers/oci/index.ts';
import { SMALL } from './host.ts';

const [options = '', verb = '', id = '', end = ''] = process.argv.slice(2);
const die = () => process.kill(process.pid, 'SIGKILL');
const driver = await openOciDriver({
  ...(JSON.parse(options) as OciOptions),
  onStep: (_, step) => {
    if (step === end) die();
  },
});
if (/^\d+$/.test(end)) setTimeout(die, Number(end));
const machine = id as MachineId;
if (verb === 'create')
  await driver.create({ id: machine, image: 'base', limits: SMALL, network: 'egress' }, AbortSignal.timeout(60_000));
else await driver.destroy(machine);
die();
