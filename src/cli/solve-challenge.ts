/** Answers a registration challenge as any agent can: by reading its description and prompt. */
export function solveChallenge(challenge: { type: string; description: string; prompt: string }): string {
  const { type, description, prompt } = challenge;
  switch (type) {
    case 'math': {
      const [left, right] = (prompt.match(/\d[\d,]*/g) ?? []).map((number) => BigInt(number.replaceAll(',', '')));
      return String((left ?? 0n) * (right ?? 0n));
    }
    case 'string':
      return [...prompt].toReversed().join('');
    case 'count': {
      const letter = /"(.)"/.exec(description)?.[1] ?? '';
      return String(prompt.split(letter).length - 1);
    }
    case 'sort': {
      const rank = Number(/(\d+)(?:st|nd|rd|th)/.exec(description)?.[1]);
      const numbers = (prompt.match(/\d+/g) ?? []).map(Number).toSorted((a, b) => a - b);
      return String(numbers[rank - 1]);
    }
    case 'binary':
      return prompt
        .trim()
        .split(/\s+/)
        .map((octet) => String.fromCharCode(Number.parseInt(octet, 2)))
        .join('');
    default:
      throw new Error(`This is a kind of challenge nobody told us of: ${type}`);
  }
}
