/**
 * One run of one program: reads its input, writes its result, ends. Each run is a process of its own, so that nothing
 * of one caller is there for the next. `node run.ts PROGRAM` where PROGRAM is the program's file.
 */
import { writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { Refusal } from './input.ts';

/** What a program is: a function of its input. */
type Program = { run(input: unknown): unknown };

/** A result that is longer helps nobody, and would have to pass through the memory of others. */
const MAX_RESULT_BYTES = 8_000_000;

const [, , file = ''] = process.argv;

async function answer(): Promise<string> {
  try {
    const program = (await import(pathToFileURL(file).href)) as Program;
    const result = JSON.stringify({ result: await program.run(JSON.parse(await standardInput())) });
    if (Buffer.byteLength(result) > MAX_RESULT_BYTES) throw new Refusal('The result is too large: ask for less of it');
    return result;
  } catch (error) {
    if (error instanceof Refusal) return JSON.stringify({ refusal: error.message });
    // What a program walks through in itself calls itself as deep as its input is.
    if (error instanceof RangeError) return JSON.stringify({ refusal: 'The input is nested too deeply' });
    throw error;
  }
}

async function standardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

/** Nothing else is printed to standard output: what a library says there would not be a result. */
console.log = console.info = console.debug = console.warn = console.error;

const bytes = Buffer.from(await answer());
for (let sent = 0; sent < bytes.length;) sent += writeSync(1, bytes, sent);
process.exit(0);
