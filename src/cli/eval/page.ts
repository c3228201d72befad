import { finePrice, moment } from '../layout.ts';
import { columns, escaped, ring } from './chart.ts';
import { clockTime } from './progress.ts';
import type { Report, ReportedSample } from './report.ts';

const STYLE = `
:root { color-scheme: light dark; --back: #fff; --text: #1c2024; --dim: #60646c; --line: #e3e5e8; --card: #f7f8f9;
  --solved: #2a8f5b; --unsolved: #d08b1d; --error: #c8383a; --waiting: #9aa0a6; }
@media (prefers-color-scheme: dark) { :root { --back: #14161a; --text: #e7e9ec; --dim: #9aa1ab; --line: #2c3037;
  --card: #1b1e24; --solved: #3fb37a; --unsolved: #e0a53c; --error: #e5605f; --waiting: #6c727b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1rem; margin: 0 0 .75rem; }
p { margin: 0; color: var(--dim); } code { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1.5rem 0; }
.card, figure { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 1rem; margin: 0; }
.card b { display: block; font-size: 1.4rem; } .card span { color: var(--dim); font-size: .85rem; }
.charts { display: grid; grid-template-columns: minmax(12rem, 1fr) 2fr; gap: .75rem; }
.charts figure:first-child { grid-row: span 2; }
@media (max-width: 45rem) { .charts { grid-template-columns: 1fr; } }
svg { display: block; width: 100%; height: auto; } .key { list-style: none; padding: 0; margin: 1rem 0 0; }
.key i, td i { display: inline-block; width: .75rem; height: .75rem; border-radius: 2px; margin-right: .5rem; }
rect.solved { fill: var(--solved); } rect.unsolved { fill: var(--unsolved); } rect.error { fill: var(--error); }
rect.waiting { fill: var(--waiting); } circle.solved { stroke: var(--solved); } circle.unsolved { stroke: var(--unsolved); }
circle.error { stroke: var(--error); } circle.waiting { stroke: var(--waiting); } circle.empty { stroke: var(--line); }
i.solved { background: var(--solved); } i.unsolved { background: var(--unsolved); } i.error { background: var(--error); }
i.waiting { background: var(--waiting); } .grid { stroke: var(--line); } .axis { fill: var(--dim); font-size: 11px; }
.middle { fill: var(--text); font-size: 28px; font-weight: 600; }
.wide { overflow-x: auto; margin-top: 1.5rem; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .75rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--dim); font-weight: 500; font-size: .85rem; } .number { text-align: right; font-variant-numeric: tabular-nums; }
td.reason { white-space: normal; min-width: 12rem; color: var(--dim); }
`;
const OUTCOMES = ['solved', 'unsolved', 'error', 'waiting'] as const;
const WORDS = {
  solved: 'solved',
  unsolved: 'not solved',
  error: 'without a verdict',
  waiting: 'not done yet',
} as const;

const percent = (share: number): string => `${(share * 100).toFixed(1).replace(/\.0$/, '')} %`;
const seconds = (value: number): string => (value < 10 ? `${Number(value.toFixed(1))} s` : `${Math.round(value)} s`);

/** The report as one page that needs nothing else. It runs no script, and what others wrote is text in it. */
export function pageOf(report: Report): string {
  const { totals, samples } = report;
  const cards: [string, string][] = [
    [percent(totals.solve_rate), 'solved'],
    [`${totals.solved} of ${totals.samples}`, 'samples'],
    [finePrice(totals.cost_microcents), 'for all sessions'],
    [seconds(totals.agent_seconds.median), 'median time of the agent'],
    [clockTime(totals.session_seconds), 'of machines in all'],
  ];
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(report.dataset)}: ${percent(totals.solve_rate)} solved</title><style>${STYLE}</style></head><body>
<h1>${escaped(report.dataset)}</h1>
<p><code>${escaped(report.agent)}</code>${report.in_session ? ' in the session' : ''}</p>
<p>Begun ${moment(report.started_at)} UTC, told ${moment(report.reported_at)} UTC. At most ${report.timeout_seconds} s for each sample. Run ${escaped(report.run_id)} on ${escaped(report.server)}.</p>
<div class="cards">${cards.map(([value, name]) => `<div class="card"><b>${escaped(value)}</b><span>${escaped(name)}</span></div>`).join('')}</div>
${chartsOf(report)}
<div class="wide"><table><thead><tr><th>Sample</th><th>Outcome</th><th>Language</th><th class="number">Tests passed</th><th class="number">Agent</th><th class="number">Session</th><th class="number">Cost</th><th class="number">Attempts</th><th>Remark</th></tr></thead>
<tbody>${samples.map(rowOf).join('\n')}</tbody></table></div>
</body></html>
`;
}

function chartsOf({ totals, samples }: Report): string {
  const counts = { solved: totals.solved, unsolved: totals.unsolved, error: totals.errors, waiting: totals.waiting };
  const key = OUTCOMES.filter((name) => counts[name] > 0).map(
    (name) => `<li><i class="${name}"></i>${counts[name]} ${WORDS[name]}</li>`,
  );
  const parts = OUTCOMES.map((name) => ({ name, count: counts[name] }));
  const worked = samples.filter(({ agent_seconds }) => agent_seconds !== null);
  const time = columns(worked, (sample) => sample.agent_seconds ?? 0, seconds, 'Time of the agent for each sample');
  const cost = columns(samples, (sample) => sample.cost_microcents, finePrice, 'Cost of each sample');
  return `<div class="charts"><figure><h2>Solve rate</h2>${ring(parts, percent(totals.solve_rate))}<ul class="key">${key.join('')}</ul></figure>
<figure><h2>Time of the agent</h2>${time}</figure><figure><h2>Cost</h2>${cost}</figure></div>`;
}

function rowOf(sample: ReportedSample): string {
  const { tests } = sample;
  const remark = sample.timed_out ? 'The agent was ended at its limit' : (sample.failure ?? exitRemark(sample));
  return `<tr><td>${escaped(sample.sample_id)}</td><td><i class="${sample.outcome}"></i>${WORDS[sample.outcome]}</td><td>${escaped(sample.language)}</td><td class="number">${tests ? `${tests.passed}/${tests.total}` : '–'}</td><td class="number">${sample.agent_seconds === null ? '–' : seconds(sample.agent_seconds)}</td><td class="number">${seconds(sample.session_seconds)}</td><td class="number">${finePrice(sample.cost_microcents)}</td><td class="number">${sample.attempts}</td><td class="reason">${escaped(remark)}</td></tr>`;
}

const exitRemark = ({ agent_exit_code: code }: ReportedSample): string =>
  code === null || code === 0 ? '' : `The agent ended with ${code}`;
