/** How many lines there are of each kind. A comment is one where nothing else is on its line. */
export function linesOf(code: string, mark: '#' | '//') {
  const lines = code.replace(/\r?\n$/, '').split(/\r?\n/);
  let [blank, comments, inBlock] = [0, 0, false];
  for (const line of lines.map((text) => text.trim())) {
    if (line === '') blank += 1;
    else if (inBlock || line.startsWith(mark) || (mark === '//' && line.startsWith('/*'))) comments += 1;
    if (mark === '//' && (inBlock || line.startsWith('/*'))) inBlock = !line.includes('*/');
  }
  return {
    lines: lines.length,
    code_lines: lines.length - blank - comments,
    comment_lines: comments,
    blank_lines: blank,
    longest_line: lines.reduce((most, { length }) => Math.max(most, length), 0),
  };
}
