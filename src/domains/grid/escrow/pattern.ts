/**
 * Whether a pattern that a customer wrote occurs in a text. It may take for ever: only the court's worker, which can be
 * ended, searches.
 */
export function searchPattern(pattern: string, text: string): 'found' | 'absent' | 'invalid' {
  const compiled = compiledPattern(pattern);
  if (!compiled) return 'invalid';
  return compiled.test(text) ? 'found' : 'absent';
}

/** Undefined where a pattern is none. Patterns come from clients in Python too, whose named groups are spelt `(?P<`. */
export function compiledPattern(pattern: string): RegExp | undefined {
  const flags = /^\(\?([ims]+)\)/.exec(pattern);
  const source = pattern.slice(flags?.[0].length ?? 0).replaceAll('(?P<', '(?<');
  for (const unicode of ['u', ''])
    try {
      return new RegExp(source, unicode + [...new Set(flags?.[1] ?? '')].join(''));
    } catch {
      // Tried without the stricter syntax of `u` before it is called invalid.
    }
  return undefined;
}
