/** One page of a list: the rows, and where the next page starts when there is one. */
export type Page<Row, Cursor = string> = { rows: Row[]; next: Cursor | undefined };

/** Makes a page from up to `limit + 1` rows: the extra row only tells that there is more. */
export function pageOf<Row, Cursor>(found: Row[], limit: number, cursorOf: (row: Row) => Cursor): Page<Row, Cursor> {
  const rows = found.slice(0, limit);
  const last = rows.at(-1);
  return { rows, next: found.length > limit && last ? cursorOf(last) : undefined };
}
