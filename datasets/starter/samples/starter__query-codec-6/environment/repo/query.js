/** Reads a query string. */
export function parse(text) {
  const values = {};
  for (const pair of text.split('&')) {
    const [key, value] = pair.split('=');
    values[decodeURIComponent(key)] = decodeURIComponent(value).replace('+', ' ');
  }
  return values;
}

/** Writes a query string. */
export function format(values) {
  return Object.entries(values)
    .map(([key, value]) => `${key}=${encodeURI(value)}`)
    .join('&');
}
