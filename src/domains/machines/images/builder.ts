import type { IdRange } from '../drivers/oci/bundle.ts';
import { FINISH } from './base.ts';
import { debianImageDir, ensureDebianImage, type DebianImage, type ImageBuildOptions } from './debian.ts';

const PACKAGES = [
  'bash',
  'buildah',
  'bzip2',
  'ca-certificates',
  'coreutils',
  'gzip',
  'iproute2',
  'procps',
  'python3',
  'skopeo',
  'sudo',
  'tar',
  'tini',
  'umoci',
  'xz-utils',
  'zstd',
];

/** The image of the machines in which images are made. */
const BUILDER: DebianImage = { name: 'builder', packages: PACKAGES, finish: FINISH };

/** Where the builder image is, or will be. */
export const builderImageDir = (cacheDir: string, ids: IdRange): string => debianImageDir(BUILDER, cacheDir, ids);

/** Builds the builder image unless it is there. */
export const ensureBuilderImage = (options: ImageBuildOptions): Promise<{ built: boolean }> =>
  ensureDebianImage(BUILDER, options);
