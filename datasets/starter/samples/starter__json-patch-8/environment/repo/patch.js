/** Applies a JSON Patch and answers the changed document. */
export function applyPatch(document, operations) {
  for (const { op, path, value } of operations) {
    const steps = path.split('/').slice(1);
    const last = steps.pop();
    const target = steps.reduce((place, step) => place[step], document);
    if (op === 'add' || op === 'replace') target[last] = value;
  }
  return document;
}
