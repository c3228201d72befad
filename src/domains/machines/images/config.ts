import { z } from 'zod';
import { Unbuildable } from './failure.ts';
import type { ImageConfig } from './image.ts';

const MAX_TEXT_LENGTH = 32_768;
const MAX_PARTS = 1_000;
const VARIABLE = /^([A-Za-z_][A-Za-z0-9_]*)=([^\0]*)$/s;
/** Bytes of an image's configuration, with its whole history. */
export const MAX_CONFIG_BYTES = 512 * 1_024;

const Text = z
  .string()
  .max(MAX_TEXT_LENGTH)
  .regex(/^[^\0]*$/);
const Texts = z.array(Text).max(MAX_PARTS).nullish();
/** The part of an OCI image configuration that a machine has use for. */
const OciConfig = z.object({
  config: z
    .object({ Env: Texts, WorkingDir: Text.nullish(), User: Text.nullish(), Entrypoint: Texts, Cmd: Texts })
    .nullish(),
});

/** Reads what an image says of its processes. The text comes out of a machine in which a tenant's programs ran. */
export function readConfig(text: string): ImageConfig {
  const { config } = parsed(text);
  return {
    env: Object.fromEntries(
      (config?.Env ?? []).flatMap((line) => {
        const [, name, value] = VARIABLE.exec(line) ?? [];
        return name === undefined || value === undefined ? [] : [[name, value]];
      }),
    ),
    workdir: config?.WorkingDir || undefined,
    user: config?.User || undefined,
    entrypoint: config?.Entrypoint ?? [],
    cmd: config?.Cmd ?? [],
  };
}

function parsed(text: string): z.output<typeof OciConfig> {
  try {
    return OciConfig.parse(JSON.parse(text));
  } catch (cause) {
    throw new Unbuildable('The configuration of the image cannot be read.', { cause });
  }
}
