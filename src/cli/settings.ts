import { homedir } from 'node:os';
import { join } from 'node:path';
import { WrongUsage } from './failure.ts';

const DEFAULT_URL = 'http://127.0.0.1:8080';

export type Secret = { value: string; from: string };

/** What the environment says, before any option of the command line. */
export type Settings = {
  url: string;
  apiKey: Secret | undefined;
  adminKey: Secret | undefined;
  credentialsFile: string;
};

export type Environment = Record<string, string | undefined>;

/** An empty variable counts as one that is not set. Throws WrongUsage for a URL that is none. */
export function readSettings(env: Environment, urlOption: string | undefined): Settings {
  const url = urlOption ?? (env['FREEHOLD_URL'] || DEFAULT_URL);
  const configHome = env['XDG_CONFIG_HOME'] || join(homedir(), '.config');
  return {
    url: serverUrl(url, urlOption === undefined ? 'FREEHOLD_URL' : '--url'),
    apiKey: readSecret(env, 'FREEHOLD_API_KEY'),
    adminKey: readSecret(env, 'FREEHOLD_ADMIN_KEY'),
    credentialsFile: join(configHome, 'freehold', 'credentials.json'),
  };
}

/** The one spelling of a server under which its key is kept. */
function serverUrl(text: string, from: string): string {
  const url = URL.parse(text);
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.username || url.search || url.hash)
    throw new WrongUsage(`${from} must be a URL like http://127.0.0.1:8080, and is "${text}".`);
  return url.origin + url.pathname.replace(/\/+$/, '');
}

function readSecret(env: Environment, from: string): Secret | undefined {
  const value = env[from]?.trim();
  if (!value) return undefined;
  // Anything else could not be sent in a header.
  if (!/^[!-~]+$/.test(value)) throw new WrongUsage(`${from} holds characters that are in no key.`);
  return { value, from };
}
