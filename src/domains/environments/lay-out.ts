import { posix } from 'node:path';
import { AppError } from '../../kernel/errors.ts';
import type { MachineId } from '../../kernel/ids.ts';
import type { Op } from '../../kernel/op.ts';
import { MINUTE } from '../../kernel/time.ts';
import type { Sha256 } from './blobs.ts';
import { tarOf } from './archive.ts';
import type { Sample } from './sample.ts';
import { archiveOf, readTree } from './tree.ts';
import type { EnvironmentsWorld } from './world.ts';

type Hands = Pick<EnvironmentsWorld, 'machines' | 'blobs'>;

/** The user in a machine whose the workspace is. */
export const AGENT = 'user';
const SETUP_TIMEOUT_MS = 5 * MINUTE;
/** A repository of root's own, of the workspace as it was: what the difference is told from. */
export const BASELINE = '/var/lib/freehold/baseline.git';

/** Puts the sample's workspace into a new machine: as a repository of its user's, with one commit. */
export async function layOut(hands: Hands, op: Op, machineId: MachineId, { recipe, trees }: Sample): Promise<void> {
  // The image has what such a sample works on; where it has not even the folder, there is one to begin in.
  if (trees.workspace === undefined) {
    await asRoot(hands, op, machineId, ENSURE_FOLDER, [recipe.workdir]);
    if (recipe.grades === 'workspace') await asRoot(hands, op, machineId, KEEP_BASELINE, [recipe.workdir]);
    return;
  }
  await asRoot(hands, op, machineId, CLEAR_FOLDER, [recipe.workdir]);
  await placeTree(hands, op, machineId, trees.workspace, recipe.workdir);
  await asRoot(hands, op, machineId, HAND_OVER + KEEP_BASELINE, [recipe.workdir]);
}

const ENSURE_FOLDER = '[ -d "$1" ] || { mkdir -p -- "$1" && chown "user:$(id -g user)" -- "$1"; }';

/** An empty folder of the user's. */
export const CLEAR_FOLDER = 'rm -rf -- "$1"; mkdir -p -- "$1" && chown "user:$(id -g user)" -- "$1"';
const HAND_OVER = 'chown -R -h "user:$(id -g user)" -- "$1" || exit 1';

/** A kept tree, unpacked as root's below a folder. */
export async function placeTree(hands: Hands, op: Op, machineId: MachineId, tree: Sha256, path: string): Promise<void> {
  const entries = archiveOf(hands.blobs, await readTree(hands.blobs, tree));
  await hands.machines.uploadTree(op, machineId, path, tarOf(entries), { user: 'root' });
}

/** The user's own repository begins as a copy of it, unless the workspace brings one. */
const KEEP_BASELINE = `
set -e
command -v git > /dev/null || exit 0
baseline=${BASELINE}
rm -rf -- "$baseline"
mkdir -p -- "${posix.dirname(BASELINE)}"
chmod 700 -- "${posix.dirname(BASELINE)}"
git init --quiet --bare --initial-branch=main "$baseline"
keep() { git -C "$1" -c user.name=Freehold -c user.email=freehold@localhost -c core.fileMode=true --git-dir="$baseline" --work-tree="$@"; }
keep "$1" add --all --force .
keep "$1" commit --quiet --allow-empty -m base
[ -e "$1/.git" ] || {
  cp -a -- "$baseline" "$1/.git"
  git config --file "$1/.git/config" core.bare false
  chown -R -h "user:$(id -g user)" -- "$1/.git"
}
`;

/** Runs a script of ours as the machine's root. Throws where it fails. */
export async function asRoot(
  { machines }: Pick<EnvironmentsWorld, 'machines'>,
  op: Op,
  machineId: MachineId,
  script: string,
  args: readonly string[],
): Promise<void> {
  const command = ['/bin/sh', '-c', script, 'sh', ...args];
  const outcome = await machines.exec(op, machineId, { command, cwd: '/', user: 'root', timeoutMs: SETUP_TIMEOUT_MS });
  if (outcome.kind === 'exited' && outcome.exitCode === 0) return;
  const cause = `${outcome.kind}: ${outcome.stderr.toString()}`;
  throw new AppError('conflict', 'The machine could not be prepared', { cause });
}
