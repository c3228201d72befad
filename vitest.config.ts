import { defineConfig } from 'vitest/config';

/** Test files at a time. Many start processes and machines of their own, which share the processors with them. */
const WORKERS = 2;

export default defineConfig({
  test: {
    include: ['{src,skills,test,bin,bench}/**/*.test.ts'],
    globalSetup: ['test/harness/global.ts'],
    pool: 'forks',
    maxWorkers: WORKERS,
    testTimeout: 60_000,
    hookTimeout: 180_000,
    teardownTimeout: 60_000,
    // A rerun that passes would hide a race.
    retry: 0,
    passWithNoTests: false,
  },
});
