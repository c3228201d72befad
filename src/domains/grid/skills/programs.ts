import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { findPackageJSON, stripTypeScriptTypes } from 'node:module';
import { dirname, join, posix } from 'node:path';
import type { HouseSkill } from './skill.ts';

/** A file as it is in the machine, below the folder of the skill. */
export type ShippedFile = { path: string; content: Buffer };
export type Shipment = { files: ShippedFile[]; version: string };

/** What every program is run by. */
const SHARED = ['server.ts', 'run.ts', 'input.ts'];
/** Anything that changes here makes a new machine necessary. */
const FORM = 1;

/**
 * Everything that a skill's machine is given. Its Node.js is Debian's, older than ours, and knows nothing of types:
 * they are taken out, and what remains are modules of JavaScript.
 */
export async function shipmentOf(programs: string, { id, packages }: HouseSkill): Promise<Shipment> {
  const own = (await readdir(join(programs, id))).filter((name) => !/(\.test|\.d)\.ts$/.test(name)).toSorted();
  const sources = [...SHARED, ...own.map((name) => posix.join(id, name))];
  const files = [
    ...(await Promise.all(sources.map((path) => programFile(programs, path)))),
    ...(await Promise.all(Object.entries(packages).map(([name, wanted]) => packageFiles(name, wanted)))).flat(),
  ];
  const hash = createHash('sha256').update(String(FORM));
  for (const { path, content } of files) hash.update(`\0${path}\0${content.length}\0`).update(content);
  return { files, version: hash.digest('hex') };
}

/** Where the program's own file is in the machine. */
export const programPath = ({ id }: HouseSkill): string => `${id}/main.mjs`;

async function programFile(programs: string, path: string): Promise<ShippedFile> {
  const content = await readFile(join(programs, path));
  if (!path.endsWith('.ts')) return { path, content };
  const script = stripTypeScriptTypes(content.toString('utf8')).replaceAll(/(from\s+'\.{1,2}\/[^']+)\.ts'/g, "$1.mjs'");
  return { path: path.replace(/\.ts$/, '.mjs'), content: Buffer.from(script) };
}

async function packageFiles(name: string, wanted: readonly string[]): Promise<ShippedFile[]> {
  const manifest = findPackageJSON(name, import.meta.url);
  if (manifest === undefined) throw new Error(`The package ${name} is not installed`);
  return Promise.all(
    wanted.map(async (file) => ({
      path: posix.join('node_modules', name, file),
      content: await readFile(join(dirname(manifest), file)),
    })),
  );
}
