import { text as readAll } from 'node:stream/consumers';
import { styleText, stripVTControlCharacters } from 'node:util';

type Style = Parameters<typeof styleText>[0];
export type Paint = (style: Style, text: string) => string;

/** Where a command speaks. What was asked for goes to the output; what is said about it goes to the error stream. */
export type Terminal = {
  print(text: string): void;
  say(text: string): void;
  /** What another program printed, to where it printed it, as it is. */
  copy(printed: { stdout: string; stderr: string }): void;
  /** Colours for `print`: none unless a person looks, and none under NO_COLOR. */
  paint: Paint;
  /** The same for `say`. */
  paintSaid: Paint;
  /** Text of others, which must not steer the terminal of a person; untouched where it goes to a file or a program. */
  foreign(text: string): string;
  /** Whether a person sees what is said as it is said, on so many columns. */
  watched(): { columns: number } | undefined;
  /** Replaces the last line of what was said, where a person watches; nothing elsewhere. */
  redraw(line: string): void;
  readInput(): Promise<string>;
  /** From now on an interrupt does not end the process but this signal. */
  interrupted(): AbortSignal;
};

export function openTerminal(): Terminal {
  const { stdin, stdout, stderr } = process;
  // `freehold task list | head -1` is no failure.
  stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  return {
    print: (text) => void stdout.write(`${text}\n`),
    say: (text) => void stderr.write(`${text}\n`),
    copy: (printed) => {
      stdout.write(printed.stdout);
      stderr.write(printed.stderr);
    },
    paint: (style, text) => styleText(style, text, { stream: stdout }),
    paintSaid: (style, text) => styleText(style, text, { stream: stderr }),
    foreign: (text) => (stdout.isTTY ? harmless(text) : text),
    watched: () => (stderr.isTTY ? { columns: stderr.columns } : undefined),
    redraw: (line) => void (stderr.isTTY && stderr.write(`\r\u001B[2K${line}`)),
    readInput: () => readAll(stdin),
    interrupted: () => {
      const controller = new AbortController();
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => controller.abort());
      return controller.signal;
    },
  };
}

/** Without escape sequences and other control characters; lines and tabs stay. */
export const harmless = (text: string): string =>
  stripVTControlCharacters(text)
    .replaceAll(/\r\n?/g, '\n')
    .replaceAll(/[^\P{Cc}\n\t]/gu, '');
