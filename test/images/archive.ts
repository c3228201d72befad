import { createHash } from 'node:crypto';
import { cp, lstat, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { must } from '../../src/platform/run.ts';

/** Programs of the host with which a tree is an image that can be looked at from inside. */
const PROGRAMS = [
  'bash',
  'cat',
  'chown',
  'dmesg',
  'env',
  'head',
  'id',
  'ls',
  'mkdir',
  'mknod',
  'mount',
  'nsenter',
  'seq',
  'sleep',
  'stat',
  'touch',
  'umount',
  'unshare',
];

/** A tree with a shell, a few programs and nothing else, made of this host's own. */
export async function tinyTree(): Promise<string> {
  const tree = await mkdtemp(join(tmpdir(), 'freehold-tree-'));
  await mkdir(join(tree, 'bin'));
  const found = (await must(['which', ...PROGRAMS])).trim().split('\n');
  const linked = await must(['ldd', ...found]);
  const libraries = new Set([...linked.matchAll(/(\/\S+\.so\S*) \(/g)].flatMap(([, path]) => path ?? []));
  for (const program of found)
    await cp(program, join(tree, 'bin', program.split('/').at(-1) ?? ''), { dereference: true });
  for (const library of libraries) {
    await mkdir(join(tree, dirname(library)), { recursive: true });
    await cp(library, join(tree, library), { dereference: true });
  }
  await symlink('bash', join(tree, 'bin/sh'));
  return tree;
}

export type ArchiveConfig = {
  Env?: string[];
  WorkingDir?: string;
  User?: string;
  Cmd?: string[];
  Entrypoint?: string[];
};
export type Blob = { digest: string; content: Buffer };
export type ArchivedImage = { manifest: Blob; config: Blob; layers: Blob[] };

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';

const PACKERS = { tar: (content: Buffer) => content, 'tar+gzip': gzipSync, 'tar+zstd': zstdCompressSync };
type Packer = keyof typeof PACKERS;

/** An OCI image whose layers are these trees, one upon the other, each packed in its way. */
export async function imageOf(
  trees: readonly string[],
  config: ArchiveConfig = {},
  packers: readonly Packer[] = [],
): Promise<ArchivedImage> {
  const plain = await Promise.all(trees.map(async (tree) => blobOf(await packed(tree))));
  const packerOf = (index: number): Packer => packers[index] ?? 'tar';
  const layers = plain.map(({ content }, index) => blobOf(PACKERS[packerOf(index)](content)));
  const about = {
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: plain.map(({ digest }) => digest) },
  };
  const configBlob = blobOf(Buffer.from(JSON.stringify(about)));
  const part = (mediaType: string, { digest, content }: Blob) => ({ mediaType, digest, size: content.length });
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: part('application/vnd.oci.image.config.v1+json', configBlob),
    layers: layers.map((layer, index) => part(`application/vnd.oci.image.layer.v1.${packerOf(index)}`, layer)),
  };
  return { manifest: blobOf(Buffer.from(JSON.stringify(manifest))), config: configBlob, layers };
}

/** The image as `skopeo copy … oci-archive:` writes it. */
export const ociArchive = (image: ArchivedImage): Promise<Buffer> =>
  layoutArchive(image, indexOf({ mediaType: MANIFEST, ...described(image.manifest) }));

/** The image among those for other platforms, as builders write them; of the others only their names are there. */
export function ociArchiveOfMany(image: ArchivedImage): Promise<Buffer> {
  const own = process.arch === 'arm64' ? 'arm64' : 'amd64';
  const listed = ['s390x', own, 'riscv64'].map((architecture) => ({
    mediaType: MANIFEST,
    ...described(architecture === own ? image.manifest : blobOf(Buffer.from(architecture))),
    platform: { os: 'linux', architecture },
  }));
  const platforms = blobOf(Buffer.from(JSON.stringify(indexOf(...listed))));
  return layoutArchive(image, indexOf({ mediaType: INDEX, ...described(platforms) }), platforms);
}

const described = ({ digest, content }: Blob) => ({ digest, size: content.length });
const indexOf = (...manifests: object[]) => ({ schemaVersion: 2, mediaType: INDEX, manifests });

async function layoutArchive(
  { manifest, config, layers }: ArchivedImage,
  index: object,
  ...more: Blob[]
): Promise<Buffer> {
  return archived({
    'oci-layout': JSON.stringify({ imageLayoutVersion: '1.0.0' }),
    'index.json': JSON.stringify(index),
    ...Object.fromEntries(
      [manifest, config, ...layers, ...more].map((blob) => [`blobs/${blob.digest.replace(':', '/')}`, blob.content]),
    ),
  });
}

/** The image as `docker save` writes it. */
export async function dockerArchive({ config, layers }: ArchivedImage): Promise<Buffer> {
  const named = layers.map(({ digest, content }) => [`${digest.slice(7)}.tar`, content] as const);
  const configName = `${config.digest.slice(7)}.json`;
  return archived({
    'manifest.json': JSON.stringify([
      { Config: configName, RepoTags: ['test:latest'], Layers: named.map(([name]) => name) },
    ]),
    [configName]: config.content,
    ...Object.fromEntries(named),
  });
}

export const sha256 = (content: Buffer): string => `sha256:${createHash('sha256').update(content).digest('hex')}`;
const blobOf = (content: Buffer): Blob => ({ digest: sha256(content), content });

/** A tar of a directory; every file belongs to root unless it belongs to somebody else than who runs the tests. */
export async function packed(directory: string, ...options: string[]): Promise<Buffer> {
  const file = join(await mkdtemp(join(tmpdir(), 'freehold-tar-')), 'tree.tar');
  await must(['tar', '--create', '--numeric-owner', ...options, '--directory', directory, '--file', file, '.']);
  const content = await readFile(file);
  await rm(dirname(file), { recursive: true });
  return content;
}

/** A tar of files. */
export async function archived(files: Record<string, string | Buffer>): Promise<Buffer> {
  const directory = await mkdtemp(join(tmpdir(), 'freehold-files-'));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), content);
  }
  const content = await packed(directory);
  await rm(directory, { recursive: true });
  return content;
}

export const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    () => false,
  );
