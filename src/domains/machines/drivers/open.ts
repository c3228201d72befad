import { randomBytes } from 'node:crypto';
import { AppError } from '../../../kernel/errors.ts';
import type { MachineId } from '../../../kernel/ids.ts';
import { idRange, isInstalled } from '../host.ts';
import { baseImageDir, importedImagesDir } from '../images/base.ts';
import { builderImageDir } from '../images/builder.ts';
import { initLayerDir } from '../init/build.ts';
import { createInit, type RunEvent } from '../init/index.ts';
import type { MachineDriver } from './driver.ts';
import type { RuntimeName } from './oci/commands.ts';
import { openOciDriver, type OciOptions } from './oci/index.ts';

/** What `FREEHOLD_MACHINE_DRIVER` may say. */
export type DriverSetting = 'auto' | 'oci' | 'oci-crun' | 'oci-runc';

export type DriverOptions = {
  setting: DriverSetting;
  /** Names this installation on its host. */
  instance: string;
  dataDir: string;
  cacheDir: string;
  onStep?: OciOptions['onStep'];
};

const RUNTIMES = {
  auto: ['crun', 'runc'],
  oci: ['crun', 'runc'],
  'oci-crun': ['crun'],
  'oci-runc': ['runc'],
} as const satisfies Record<DriverSetting, readonly RuntimeName[]>;

const PROBE = { vcpus: 1, memoryMb: 64, diskGb: 0.05, pids: 32 };
const PROBE_TIMEOUT_MS = 20_000;
const PROBE_ATTEMPTS = 2;

/** The first driver that the setting allows and that really runs a machine here. Throws `unconfigured` if none does. */
export async function openDriver(options: DriverOptions): Promise<MachineDriver> {
  const ids = await idRange();
  const images = {
    base: baseImageDir(options.cacheDir, ids),
    builder: builderImageDir(options.cacheDir, ids),
    imported: importedImagesDir(options.dataDir),
  };
  const initLayer = await initLayerDir(options.cacheDir);
  const failures: { runtime: RuntimeName; cause: unknown }[] = [];
  for (const runtime of RUNTIMES[options.setting]) {
    if (!(await isInstalled(runtime))) continue;
    const driver = await openOciDriver({ ...options, runtime, images, initLayer, ids });
    const cause = await failureOf(driver);
    if (cause === undefined) return driver;
    failures.push({ runtime, cause });
    await driver.close();
  }
  const tried = failures.map(({ runtime }) => runtime).join(' and ') || 'no container runtime was found';
  throw new AppError('unconfigured', `No machine can be run on this host (${tried}).`, { cause: failures[0]?.cause });
}

/** Why it runs no machine. A sweep of another process takes the probe for an orphan, so one failure proves nothing. */
async function failureOf(driver: MachineDriver): Promise<unknown> {
  let cause: unknown;
  for (let attempt = 0; attempt < PROBE_ATTEMPTS; attempt++) {
    try {
      await probe(driver);
      return undefined;
    } catch (error) {
      cause = error;
    }
  }
  return cause;
}

/** A host may have everything that is asked for and still refuse: only a machine that ran proves that machines run. */
async function probe(driver: MachineDriver): Promise<void> {
  const id = `mch_probe${randomBytes(8).toString('hex')}` as MachineId;
  const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  try {
    await driver.create({ id, image: 'base', limits: PROBE, network: 'egress' }, signal);
    const run = await createInit(() => driver.connect(id)).start({
      argv: ['true'],
      cwd: '/',
      env: {},
      user: 'user',
      stdin: false,
      timeoutMs: PROBE_TIMEOUT_MS,
      onDisconnect: 'kill',
    });
    const events: RunEvent[] = [];
    for await (const event of run) events.push(event);
    const last = events.at(-1);
    if (last?.kind !== 'exit' || last.exit.exitCode !== 0)
      throw new Error('A machine was made but runs nothing.', { cause: events });
  } finally {
    await driver.destroy(id);
  }
}
