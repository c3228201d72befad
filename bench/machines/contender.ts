/** One way to have machines. Everything that both ways can do is measured on both. */
export type Contender = {
  start(): Promise<string>;
  exec(id: string): Promise<void>;
  /** Reads FILE_BYTES. */
  readFile(id: string): Promise<void>;
  /** Copies a disk that has little on it. */
  snapshot(id: string): Promise<() => Promise<void>>;
  /** As many machines from one, each able to work; answers them. */
  fork(id: string, count: number): Promise<string[]>;
  pause(id: string): Promise<void>;
  /** From frozen to the first command done. */
  wake(id: string): Promise<void>;
  destroy(id: string): Promise<void>;
};

export const LIMITS = { vcpus: 1, memoryMb: 256, diskGb: 1, pids: 256 };
export const FILE_BYTES = 1_000_000;
export const FILE_PATH = '/home/user/bench';

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}
