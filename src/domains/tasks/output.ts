/** Keeps the beginning and the end of a stream, up to so many bytes together, and counts what lies between. */
export function headAndTail(maxBytes: number) {
  const half = Math.floor(maxBytes / 2);
  const head: Buffer[] = [];
  const tail: Buffer[] = [];
  let headBytes = 0;
  let tailBytes = 0;
  let leftOut = 0;

  const shorten = () => {
    for (let first = tail[0]; first && tailBytes - first.length >= half; first = tail[0]) {
      tail.shift();
      tailBytes -= first.length;
      leftOut += first.length;
    }
  };
  return {
    add(chunk: Buffer) {
      const kept = chunk.subarray(0, half - headBytes);
      // A copy: a chunk is a view of a larger buffer, which would be kept whole.
      if (kept.length > 0) head.push(Buffer.from(kept));
      headBytes += kept.length;
      const rest = chunk.subarray(kept.length);
      if (rest.length === 0) return;
      tail.push(Buffer.from(rest));
      tailBytes += rest.length;
      shorten();
    },
    text(): string {
      const end = Buffer.concat(tail);
      const cut = Math.max(0, end.length - half);
      const between = leftOut + cut > 0 ? `\n[… ${leftOut + cut} bytes left out …]\n` : '';
      if (between === '') return Buffer.concat([...head, end]).toString();
      return `${Buffer.concat(head).toString()}${between}${end.subarray(cut).toString()}`;
    },
  };
}
