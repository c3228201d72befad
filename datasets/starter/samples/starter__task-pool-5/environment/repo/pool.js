/** Calls `work` for every item, at most `limit` at a time; answers the results in the order of the items. */
export async function mapLimited(items, limit, work) {
  const results = [];
  let batch = [];
  for (const item of items) {
    batch.push(work(item).then((result) => results.push(result)));
    if (batch.length > limit) {
      await Promise.all(batch);
      batch = [];
    }
  }
  return results;
}
