import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Refusal } from '../input.ts';
import { shapeFindings, type Review } from './finding.ts';

const PARSER = fileURLToPath(new URL('./review.py', import.meta.url));
const TIME_LIMIT_MS = 20_000;
const MAX_OUTPUT_BYTES = 8_000_000;
const TOO_DEEP = 3;

/** Python reads Python best: its own parser looks at the code, and never runs it. */
export function reviewPython(code: string): Review {
  const { status, signal, stdout, error } = spawnSync('python3', ['-I', PARSER], {
    input: code,
    encoding: 'utf8',
    timeout: TIME_LIMIT_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  // What it cannot count on its own stack, it ends by.
  if (status === TOO_DEEP || signal === 'SIGSEGV') throw new Refusal('The code is nested too deeply to be read');
  if (error || status !== 0) throw new Error(`The parser ended with ${status ?? signal}`, { cause: error });
  const review = JSON.parse(stdout) as Review;
  return { ...review, findings: [...review.findings, ...shapeFindings(review.functions)] };
}
