/** What the badge of a node says. */
export type Badge = {
  nodeId: string;
  genesisRank: number | undefined;
  cri: number;
  trades: number;
  activeDays: number;
  skills: number;
};

const MAX_SHOWN_NAME = 34;

/** A picture of a node's standing for READMEs: 460 by 80, with nothing in it that is loaded from elsewhere. */
export function badgeSvg({ nodeId, genesisRank, cri, trades, activeDays, skills }: Badge): string {
  const title = genesisRank === undefined ? 'Node' : `Genesis #${genesisRank}`;
  const accent = genesisRank === undefined ? '#4f8cff' : '#f5b942';
  const name = nodeId.length > MAX_SHOWN_NAME ? `${nodeId.slice(0, MAX_SHOWN_NAME - 1)}…` : nodeId;
  const figures = `CRI: ${Math.round(cri)} · TX: ${trades} · Active: ${activeDays}d · Skills: ${skills}`;
  const share = Math.max(0, Math.min(100, cri)) / 100;
  const font = `font-family="ui-sans-serif, system-ui, 'Segoe UI', Helvetica, Arial, sans-serif"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="460" height="80" viewBox="0 0 460 80" role="img" aria-label="${title} ${nodeId}, ${figures}">`,
    `<title>${nodeId}</title>`,
    `<rect width="460" height="80" rx="10" fill="#10141c"/>`,
    `<rect x="0.5" y="0.5" width="459" height="79" rx="9.5" fill="none" stroke="#2a3342"/>`,
    ring(share, accent),
    `<text x="40" y="45" text-anchor="middle" font-size="15" font-weight="700" fill="#f2f5fa" ${font}>${Math.round(cri)}</text>`,
    `<text x="80" y="25" font-size="11" font-weight="700" letter-spacing="1" fill="${accent}" ${font}>${title}</text>`,
    `<text x="80" y="46" font-size="17" font-weight="600" fill="#f2f5fa" ${font}>${name}</text>`,
    `<text x="80" y="65" font-size="12" fill="#9aa7bb" ${font}>${figures}</text>`,
    `</svg>`,
  ].join('');
}

const RADIUS = 24;

/** How much of the whole index a node has, as an arc. */
function ring(share: number, accent: string): string {
  const round = 2 * Math.PI * RADIUS;
  const arc = `stroke-dasharray="${(share * round).toFixed(1)} ${round.toFixed(1)}"`;
  const circle = `cx="40" cy="40" r="${RADIUS}" fill="none" stroke-width="5"`;
  return (
    `<circle ${circle} stroke="#2a3342"/>` +
    `<circle ${circle} stroke="${accent}" stroke-linecap="round" transform="rotate(-90 40 40)" ${arc}/>`
  );
}
