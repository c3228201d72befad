/** `npm run bench [-- NAME]`: runs the benchmarks, prints their tables and keeps them under bench/results/. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { basename, join } from 'node:path';

export type Row = {
  measure: string;
  unit: string;
  median: number;
  min: number;
  max: number;
  baseline?: number;
  ratio?: number;
};
export type Bench = { run(options: { rounds?: number }): Promise<{ rounds: number; rows: Row[] }> };

const HERE = import.meta.dirname;
const RESULTS = join(HERE, 'results');
const GIB = 2 ** 30;

const machine = (): string =>
  `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}, ${Math.round(totalmem() / GIB)} GiB, ${process.platform}`;

const figure = (value: number | undefined): string =>
  value === undefined ? '' : value.toLocaleString('en-US', { maximumSignificantDigits: 4 });

function print(name: string, rows: Row[]): void {
  const head = ['measure', 'unit', 'median', 'min', 'max', 'baseline', 'ratio'];
  const lines = rows.map((row) => [
    row.measure,
    row.unit,
    ...[row.median, row.min, row.max, row.baseline].map(figure),
    row.ratio === undefined ? '' : row.ratio.toFixed(2),
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...lines.map((line) => line[column]?.length ?? 0)));
  const show = (cells: string[]) =>
    console.log(
      cells
        .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  '),
    );
  console.log(`\n${name}`);
  show(head);
  for (const line of lines) show(line);
}

const known = (await readdir(HERE))
  .filter((file) => file.endsWith('.ts') && file !== 'run.ts')
  .map((file) => basename(file, '.ts'))
  .toSorted();
const wanted = process.argv.slice(2);
const strange = wanted.filter((name) => !known.includes(name));
if (strange.length > 0) {
  console.error(`There is no benchmark ${strange.join(', ')}; there are: ${known.join(', ')}.`);
  process.exit(1);
}
await mkdir(RESULTS, { recursive: true });
for (const name of wanted.length > 0 ? wanted : known) {
  const bench = (await import(`./${name}.ts`)) as Bench;
  const { rounds, rows } = await bench.run({});
  print(name, rows);
  const result = { name, at: new Date().toISOString(), machine: machine(), rounds, rows };
  await writeFile(join(RESULTS, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
}
