import { asNumber, type DayFigures, type Desk } from '../../domains/grid/index.ts';
import { html, type Html } from '../html.ts';
import { dayChart, type Bar } from './charts.ts';
import { counted, dayShown, grouped, percent, plainTck, tckOf } from './format.ts';

type Tile = { figure: string; name: string; value: Html | string; note: Html | string };

const WEEK = 7;
const sumOf = (days: readonly DayFigures[], of: (day: DayFigures) => number): number =>
  days.reduce((sum, day) => sum + of(day), 0);
const amountOf = (days: readonly DayFigures[], of: (day: DayFigures) => bigint): bigint =>
  days.reduce((sum, day) => sum + of(day), 0n);

/** The figures one looks at first. */
export function tileRow(desk: Desk): Html {
  return html`<ul class="tiles">
    ${[...peopleTiles(desk), ...moneyTiles(desk)].map(
      ({ figure, name, value, note }) =>
        html`<li>
          <h3>${name}</h3>
          <p class="value" data-figure="${figure}">${value}</p>
          <p class="fine">${note}</p>
        </li>`,
    )}
  </ul>`;
}

function peopleTiles({ nodes, skillsOnOffer, days }: Desk): Tile[] {
  const today = days.at(-1);
  return [
    {
      figure: 'nodes',
      name: 'Nodes',
      value: grouped(nodes.active),
      note: `${grouped(today?.newNodes ?? 0)} new today · ${grouped(nodes.banned)} banned · ${grouped(nodes.sandbox)} sandbox`,
    },
    {
      figure: 'skills',
      name: 'Skills on offer',
      value: grouped(skillsOnOffer),
      note: `${grouped(sumOf(days, ({ skills }) => skills))} published in ${days.length} days`,
    },
    {
      figure: 'tasks-today',
      name: 'Tasks today',
      value: grouped(today?.tasksCreated ?? 0),
      note: `${grouped(sumOf(days.slice(-WEEK), ({ tasksCreated }) => tasksCreated))} in ${WEEK} days · ${grouped(sumOf(days, ({ tasksCreated }) => tasksCreated))} in ${days.length}`,
    },
    {
      figure: 'active-today',
      name: 'Active today',
      value: grouped(today?.activeNodes ?? 0),
      note: `nodes that bought or sold · ${counted(
        sumOf(days, ({ firstTrades }) => firstTrades),
        'first purchase',
      )} in ${days.length} days`,
    },
  ];
}

function moneyTiles({ days, books }: Desk): Tile[] {
  const today = days.at(-1);
  const [settled, refunded] = [sumOf(days, (day) => day.settled), sumOf(days, (day) => day.refunded)];
  return [
    {
      figure: 'volume',
      name: `Settled in ${days.length} days`,
      value: tckOf(amountOf(days, ({ volume }) => volume)),
      note: html`${plainTck(today?.volume ?? 0n)} today`,
    },
    {
      figure: 'tax',
      name: `Tax in ${days.length} days`,
      value: tckOf(amountOf(days, ({ tax }) => tax)),
      note: html`${plainTck(today?.tax ?? 0n)} today`,
    },
    {
      figure: 'vault',
      name: 'Vault',
      value: tckOf(books.vault),
      note: 'tax, listing fees and what was confiscated, less what pioneers were paid',
    },
    {
      figure: 'settle-rate',
      name: 'Settlement rate',
      value: percent(settled, settled + refunded) ?? '–',
      note: `${grouped(settled)} settled · ${grouped(refunded)} given back in ${days.length} days`,
    },
  ];
}

/** How the last days went. */
export const courseSection = ({ days }: Desk): Html =>
  html`<section class="course" aria-labelledby="course">
    <h2 id="course">The last ${days.length} days</h2>
    <div class="charts">
      <figure class="wide green">
        <figcaption>Volume settled</figcaption>
        ${volumeChart(days)}
      </figure>
      <figure class="blue">
        <figcaption>Tasks ordered</figcaption>
        ${countChart(days, 'Tasks ordered', ({ tasksCreated }) => tasksCreated, 'No task was ordered.')}
      </figure>
      <figure class="clay">
        <figcaption>Active nodes</figcaption>
        ${countChart(days, 'Active nodes', ({ activeNodes }) => activeNodes, 'No node bought or sold.')}
      </figure>
    </div>
  </section>`;

function volumeChart(days: readonly DayFigures[]): Html {
  const bars = days.map(({ day, volume, tax, settled }) => ({
    day,
    value: asNumber(volume),
    label: `${plainTck(volume)} in ${counted(settled, 'escrow')}, tax ${plainTck(tax)}`,
  }));
  const best = days.reduce<DayFigures | undefined>(
    (top, day) => (day.volume > (top?.volume ?? 0n) ? day : top),
    undefined,
  );
  const peak = best ? `Most on ${dayShown(best.day)}: ${plainTck(best.volume)}` : '';
  return dayChart({ title: 'Volume settled', bars, peak, empty: 'Nothing has been settled.' });
}

function countChart(days: readonly DayFigures[], title: string, of: (day: DayFigures) => number, empty: string): Html {
  const bars: Bar[] = days.map((day) => ({ day: day.day, value: of(day), label: grouped(of(day)) }));
  const best = bars.reduce<Bar | undefined>((top, bar) => (bar.value > (top?.value ?? 0) ? bar : top), undefined);
  return dayChart({ title, bars, peak: best ? `Most on ${dayShown(best.day)}: ${best.label}` : '', empty });
}
