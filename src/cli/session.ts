import { openApi } from './api.ts';
import type { Session } from './command.ts';
import { readCredentials } from './credentials.ts';
import { Failure } from './failure.ts';
import type { Secret, Settings } from './settings.ts';

type Given = Pick<Session, 'terminal' | 'settings' | 'output' | 'environment' | 'now'>;

export const openSession = ({ settings, ...given }: Given): Session => ({
  ...given,
  settings,
  stranger: () => openApi(settings.url),
  key: async () => settings.apiKey ?? (await keptKey(settings)),
  account: async () => openApi(settings.url, settings.apiKey ?? (await keptKey(settings))),
  operator: () => {
    if (settings.adminKey) return openApi(settings.url, settings.adminKey);
    throw new Failure('Set FREEHOLD_ADMIN_KEY first: the server keeps it as admin.key in its data directory.');
  },
});

async function keptKey({ url, credentialsFile }: Settings): Promise<Secret> {
  const credentials = await readCredentials(credentialsFile);
  const kept = credentials[url];
  if (kept) return { value: kept.api_key, from: credentialsFile };
  const others = Object.keys(credentials);
  const elsewhere = others.length > 0 ? ` There are keys for ${others.join(', ')}: choose with --url.` : '';
  throw new Failure(
    `There is no key for ${url} here: run \`freehold register --name NAME\`, or set FREEHOLD_API_KEY.${elsewhere}`,
  );
}
