import type { Command } from '../../../platform/run.ts';
import type { ImageConfig } from './image.ts';

/** The commands that make an image, run as root of a machine of the builder image. */

export const SOURCE = '/work/source';
export const DOCKERFILE = '/work/Dockerfile';
export const CONTEXT = '/work/context';
export const REGISTRIES = '/etc/containers/registries.conf.d/freehold.conf';
const LAYOUT = 'oci:/work/layout:image';
const UNPACKED = '/work/unpacked';
const RESULT = 'localhost/freehold-result';

/** Keeps what comes in on its input as a file. */
export const keepCommand = (path: string): Command => [
  '/bin/sh',
  '-c',
  'mkdir -p "$(dirname "$1")" && cat > "$1"',
  'keep',
  path,
];

const sh = (script: string, ...args: string[]): Command => ['/bin/sh', '-e', '-c', script, 'freehold', ...args];

/** Makes room. The tools that map a range of ids ask these files whether they may. */
export const setUp: Command = sh(`mkdir -p /work; echo root:0:65536 > /etc/subuid; cp /etc/subuid /etc/subgid`);

/** Layers may come packed with zstd, which `umoci` does not read. */
const REPACKED = '--dest-compress-format=gzip';

/** An archive as `docker save`, `skopeo`, `buildah` and `podman` write it, packed or not. */
export const readArchive: Command = sh(
  `case "$(head -c 6 "$1" | od -An -tx1 | tr -d ' ')" in
     1f8b*) unpack=gzip ;;
     fd377a585a00) unpack=xz ;;
     28b52ffd*) unpack=zstd ;;
     425a68*) unpack=bzip2 ;;
     *) unpack= ;;
   esac
   if [ -n "$unpack" ]; then "$unpack" -dc < "$1" > "$1.plain"; mv "$1.plain" "$1"; fi
   names=$(tar --list --file "$1" 2>&1) || true
   if printf '%s\\n' "$names" | grep -qx '\\(./\\)\\?manifest.json'; then kind=docker-archive
   elif printf '%s\\n' "$names" | grep -qx '\\(./\\)\\?oci-layout'; then kind=oci-archive
   else echo "This is no image archive: neither manifest.json nor oci-layout is in it." >&2; exit 1; fi
   skopeo --insecure-policy copy "$3" "$kind:$1" "$2"
   rm -f "$1"`,
  SOURCE,
  LAYOUT,
  REPACKED,
);

export const readRegistry = (reference: string): Command => [
  'skopeo',
  '--insecure-policy',
  '--command-timeout=20m',
  'copy',
  '--retry-times=2',
  REPACKED,
  `docker://${reference}`,
  LAYOUT,
];

/** Registries that are spoken to without TLS. */
export const registriesFile = (insecure: readonly string[]): string =>
  insecure.map((location) => `[[registry]]\nlocation = ${JSON.stringify(location)}\ninsecure = true\n`).join('');

/** Puts the layers on each other. */
export const unpackLayers: Command = sh(
  `umoci unpack --image "\${1#oci:}" "$2"
   skopeo inspect --config "$1" > /work/config.json
   rm -rf "\${1%:*}"`,
  LAYOUT,
  UNPACKED,
);
export const UNPACKED_TREE = `${UNPACKED}/rootfs`;

/**
 * Runs a command as root of a user namespace inside the machine's, where it may mount: see decision 0005. All ids stay
 * what they are.
 */
const nested = (...command: string[]): string[] => [
  'unshare',
  '--user',
  '--mount',
  '--map-users=0,0,65536',
  '--map-groups=0,0,65536',
  '--setuid=0',
  '--setgid=0',
  '--',
  ...command,
];
const buildah = (...args: string[]): string[] => nested('buildah', '--storage-driver=vfs', ...args);

export const unpackContext: Command = sh(
  `mkdir -p "$2"; if [ -e "$1" ]; then tar --extract --file "$1" --directory "$2"; rm -f "$1"; fi`,
  SOURCE,
  CONTEXT,
);

/** Prints a Dockerfile. */
export const showFile = (path: string): Command => ['cat', '--', path];

export const LOCAL_TREE = '/work/local.tar';
export const LOCAL_CONFIG = '/work/local.json';
const LOCAL_LAYOUT = '/work/local';
/** Where nested buildah and skopeo keep images. */
const STORE = 'containers-storage:[vfs@/var/lib/containers/storage+/run/containers/storage]';

/** An image's configuration as an OCI image has it. */
export const configFile = ({ env, workdir, user, entrypoint, cmd }: ImageConfig): string =>
  JSON.stringify({
    Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    ...(workdir !== undefined && { WorkingDir: workdir }),
    ...(user !== undefined && { User: user }),
    Entrypoint: entrypoint,
    Cmd: cmd,
  });

/**
 * Makes an image, under a name that a Dockerfile can build on, out of a packed tree and its configuration: they become
 * the only layer of an OCI image, which is written far more quickly than one that is committed.
 */
export const localImage = (name: string): Command =>
  sh(
    `tree=$1 config=$2 layout=$3 arch=$4 store=$5; shift 5
     blobs=$layout/blobs/sha256
     mkdir -p "$blobs"
     blob() { digest=$(sha256sum "$1" | cut -d' ' -f1); size=$(stat -c %s "$1"); mv "$1" "$blobs/$digest"; }
     blob "$tree"
     layer=$(printf '{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%s}' "$digest" "$size")
     printf '{"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
       "$arch" "$(cat "$config")" "$digest" > "$config.whole"
     blob "$config.whole"
     printf '{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[%s]}' \
       "$digest" "$size" "$layer" > "$layout/manifest"
     blob "$layout/manifest"
     printf '{"imageLayoutVersion":"1.0.0"}' > "$layout/oci-layout"
     printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s}]}' \
       "$digest" "$size" > "$layout/index.json"
     "$@" "oci:$layout" "$store" > /dev/null
     rm -rf "$layout"`,
    LOCAL_TREE,
    LOCAL_CONFIG,
    LOCAL_LAYOUT,
    process.arch === 'arm64' ? 'arm64' : 'amd64',
    `${STORE}localhost/${name}`,
    ...nested('skopeo', '--insecure-policy', 'copy', '--quiet'),
  );

export const buildDockerfile = (dockerfile: string): Command =>
  buildah(
    'build',
    '--isolation=chroot',
    '--layers=false',
    '--pull=false',
    `--tag=${RESULT}`,
    `--file=${dockerfile}`,
    CONTEXT,
  );

/** What was built, as a tree whose path is printed, with its configuration beside it. */
export const BUILT_TREE_FILE = '/work/tree';
export const exportBuilt: Command[] = [
  sh(`"$@" > /work/inspected.json`, ...buildah('inspect', '--type=image', RESULT)),
  sh(
    `python3 -I -c 'import json; print(json.dumps(json.load(open("/work/inspected.json"))["OCIv1"]))' > /work/config.json`,
  ),
  sh(`"$@" >/dev/null`, ...buildah('from', '--pull-never', '--name', 'freehold-built', RESULT)),
  sh(`ln -sfn "$("$@")" ${BUILT_TREE_FILE}`, ...buildah('mount', 'freehold-built')),
];

/** Prints the configuration of what was made. */
export const showConfig: Command = ['cat', '/work/config.json'];

/** Writes the finished tree to its output. Devices are left out: no machine may have its own. */
export const packCommand = (tree: string): Command =>
  sh(
    `cd "$1"
     find . -xdev \\( -type b -o -type c \\) -delete
     exec tar --create --format=posix --numeric-owner --xattrs --xattrs-include=security.capability \\
       --xattrs-include='user.*' --one-file-system --file - .`,
    tree,
  );
