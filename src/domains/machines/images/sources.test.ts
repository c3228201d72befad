import { describe, expect, test } from 'vitest';
import { linesFor, parseLines, parseStanzas } from './sources.ts';

describe("the host's package archives", () => {
  test('are read from the one-line form', () => {
    const text = `
# deb http://commented.example/debian bookworm main
deb http://mirror.example/debian bookworm main contrib # remark
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] https://user:secret@mirror.example/debian-security bookworm-security main
deb-src http://mirror.example/debian bookworm main
`;
    expect(parseLines(text)).toEqual([
      {
        uri: 'http://mirror.example/debian',
        suite: 'bookworm',
        components: ['main', 'contrib'],
        signedBy: undefined,
      },
      {
        uri: 'https://user:secret@mirror.example/debian-security',
        suite: 'bookworm-security',
        components: ['main'],
        signedBy: '/usr/share/keyrings/debian-archive-keyring.gpg',
      },
    ]);
  });

  test('are read from the stanza form, without those that are switched off', () => {
    const text = `Types: deb deb-src
# a remark
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://off.example
Suites: bookworm
Components: main
`;
    expect(parseStanzas(text).map(({ uri, suite }) => `${uri} ${suite}`)).toEqual([
      'http://mirror.example/debian bookworm',
      'http://mirror.example/debian bookworm-updates',
    ]);
  });

  test("give the image's release from the same mirrors, and nothing of third parties", () => {
    const archive = (suite: string, signedBy?: string, components = ['main']) => ({
      uri: 'http://m',
      suite,
      components,
      signedBy,
    });
    const lines = linesFor(
      [
        archive('trixie', '/usr/share/keyrings/debian-archive-keyring.gpg'),
        archive('trixie-security'),
        archive('trixie-pgdg'),
        archive('trixie', '/etc/apt/keyrings/docker.asc'),
        archive('trixie', undefined, ['stable']),
      ],
      'trixie',
      'bookworm',
    );
    expect(lines).toEqual(['deb http://m bookworm main', 'deb http://m bookworm-security main']);
  });
});
