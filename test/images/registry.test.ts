import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PLACE_PORT, placeAt, type Place } from '../machines/world.ts';
import { imageOf, tinyTree } from './archive.ts';
import { imagesWorld } from './images-world.ts';

const TIMEOUT = { timeout: 120_000 };
/** Of a range for documentation (RFC 5737): public as machines see it, and nobody's. */
const ADDRESS = '203.0.113.77';
const REGISTRY = `${ADDRESS}:${PLACE_PORT}`;

/** The part of the registry protocol that fetching an image takes, over files named by what they are. */
const SERVER = `
const { createReadStream, existsSync, statSync } = require('node:fs');
const directory = process.argv[1];
require('node:http').createServer((request, response) => {
  const [, name, kind, reference] = /^\\/v2\\/(.+)\\/(manifests|blobs)\\/([^/]+)$/.exec(request.url) ?? [];
  const file = directory + '/' + kind + '-' + reference?.replace(':', '-');
  if (request.url === '/v2/') return response.end('{}');
  if (name?.startsWith('secret')) return response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}');
  if (name !== 'team/tool' || !existsSync(file)) return response.writeHead(404, { 'content-type': 'application/json' }).end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}');
  response.writeHead(200, { 'content-type': kind === 'manifests' ? 'application/vnd.oci.image.manifest.v1+json' : 'application/octet-stream', 'content-length': statSync(file).size });
  createReadStream(file).pipe(response);
}).listen(${PLACE_PORT}, '0.0.0.0', () => console.log('listening'));
`;

const world = imagesWorld({ insecureRegistries: [REGISTRY] });
let tree: string;
let directory: string;
let place: Place;

beforeAll(async () => {
  tree = await tinyTree();
  directory = await mkdtemp(join(tmpdir(), 'freehold-registry-'));
  const { manifest, config, layers } = await imageOf([tree], { Env: ['CAME=by registry'] });
  await writeFile(join(directory, 'manifests-1.0'), manifest.content);
  await writeFile(join(directory, `manifests-${manifest.digest.replace(':', '-')}`), manifest.content);
  for (const { digest, content } of [config, ...layers])
    await writeFile(join(directory, `blobs-${digest.replace(':', '-')}`), content);
  place = await placeAt(ADDRESS, SERVER, directory);
});
afterAll(async () => {
  await place.remove();
  await Promise.all([tree, directory].map((path) => rm(path, { recursive: true })));
});

async function fetched(reference: string) {
  const op = world.asOwner();
  const { id } = await world.images.request(op, { name: 'mine', from: { kind: 'registry', reference } });
  await world.build();
  return world.images.get(op, id);
}

describe('a registry', () => {
  test('gives an image by its reference', TIMEOUT, async () => {
    const image = await fetched(`${REGISTRY}/team/tool:1.0`);
    expect(image).toMatchObject({ state: 'ready', config: { env: { CAME: 'by registry' } } });
    expect(await world.printed(image, 'echo $CAME')).toBe('by registry\n');
  });

  test.each([
    ['team/tool:2.0', (name: string) => `The registry has no image ${name}.`],
    ['secret/tool:1.0', (name: string) => `The registry has no public image ${name}.`],
  ])('that does not give %s is told in a sentence', TIMEOUT, async (path, sentence) => {
    const reference = `${REGISTRY}/${path}`;
    const image = await fetched(reference);
    expect(image.failure).toBe(sentence(reference));
  });

  test('that cannot be reached is told in a sentence, and so is one within the walls', TIMEOUT, async () => {
    const image = await fetched(`127.0.0.1:9/team/tool:1.0`);
    expect(image.failure).toBe('The registry of 127.0.0.1:9/team/tool:1.0 cannot be reached from a machine.');
  });
});
