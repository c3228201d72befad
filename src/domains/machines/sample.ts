import type { Usage } from './drivers/driver.ts';

/** What a machine used at one moment. */
export type Sample = Usage & {
  at: Date;
  /** Of all its processors together, since the sample before; 0 for the first one. */
  cpuUsedPercent: number;
};
