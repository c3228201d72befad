import { elapsedMs, SECOND } from '../../kernel/time.ts';
import type { Session } from '../command.ts';
import { finePrice, plural } from '../layout.ts';
import type { Outcome, SampleRecord } from './record.ts';

const BAR_COLUMNS = 24;
const TICK_MS = SECOND;
const SIXTY = 60;
const COLOURS = { solved: 'green', unsolved: 'yellow', error: 'red', waiting: 'dim' } as const;

export const costOf = ({ attempts }: SampleRecord): number =>
  attempts.reduce((sum, attempt) => sum + attempt.cost_microcents, 0);

export const countOf = (records: readonly SampleRecord[], outcome: Outcome): number =>
  records.filter((record) => record.outcome === outcome).length;

/** `1:02:03`, or `02:03`. */
export function clockTime(seconds: number): string {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / SIXTY) % SIXTY, whole % SIXTY].map((part) => String(part).padStart(2, '0'));
  const hours = Math.floor(whole / SIXTY / SIXTY);
  return [...(hours > 0 ? [String(hours)] : []), ...parts].join(':');
}

/** One line for all of a run: how much is done, how it went, what it has cost, how long it took. */
export function barOf(records: readonly SampleRecord[], seconds: number): string {
  const done = records.length - countOf(records, 'waiting');
  const filled = Math.round((BAR_COLUMNS * done) / Math.max(1, records.length));
  const cost = records.reduce((sum, record) => sum + costOf(record), 0);
  const counts = [`${countOf(records, 'solved')} solved`, `${countOf(records, 'unsolved')} unsolved`];
  const errors = countOf(records, 'error');
  return [
    `[${'#'.repeat(filled)}${'-'.repeat(BAR_COLUMNS - filled)}] ${done}/${records.length}`,
    [...counts, ...(errors > 0 ? [plural(errors, 'error')] : [])].join(', '),
    finePrice(cost),
    clockTime(seconds),
  ].join('  ');
}

export type Progress = { ended(record: SampleRecord): void; say(text: string): void; stop(): void };

/** Tells each sample that is done on a line; below them is a bar where a person watches. */
export function tellProgress({ terminal, now }: Session, records: readonly SampleRecord[]): Progress {
  const begun = now();
  const draw = (): void => {
    const watched = terminal.watched();
    if (watched) terminal.redraw(barOf(records, elapsedMs(begun, now()) / SECOND).slice(0, watched.columns - 1));
  };
  const say = (text: string): void => {
    terminal.redraw('');
    terminal.say(text);
    draw();
  };
  draw();
  const timer = setInterval(draw, TICK_MS);
  return {
    ended: (record) => say(lineOf(record, records, terminal.paintSaid)),
    say,
    stop() {
      clearInterval(timer);
      terminal.redraw('');
    },
  };
}

function lineOf(
  record: SampleRecord,
  records: readonly SampleRecord[],
  paint: Session['terminal']['paintSaid'],
): string {
  const done = records.length - countOf(records, 'waiting');
  const last = record.attempts.at(-1);
  const grade = last?.grade ? `${last.grade.passed}/${last.grade.total} tests` : (last?.failure ?? '');
  const took = last?.agent ? `${last.agent.seconds.toFixed(1)} s${last.agent.timed_out ? ' (its limit)' : ''}` : '';
  const facts = [record.sample_id, took, grade, finePrice(costOf(record))].filter(Boolean).join('  ');
  return `${String(done).padStart(String(records.length).length)}/${records.length}  ${paint(COLOURS[record.outcome], record.outcome.padEnd(8))}  ${facts}`;
}
