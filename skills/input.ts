/** What a program cannot work with; its message tells the caller why. */
export class Refusal extends Error {}

export type Fields = Readonly<Record<string, unknown>>;

/** The input's fields. Throws `Refusal` where it is no object, or has a field that the program does not know. */
export function fieldsOf(input: unknown, known: readonly string[]): Fields {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw new Refusal('The input must be an object');
  const unknown = Object.keys(input).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Refusal(`There is no field ${unknown}: the fields are ${known.join(', ')}`);
  return input as Fields;
}

/** The text of the first of these names that is given. Throws where none is. */
export function requiredText(fields: Fields, names: readonly string[], maxLength: number): string {
  const name = names.find((candidate) => fields[candidate] !== undefined && fields[candidate] !== null);
  if (name === undefined) throw new Refusal(`${names[0]} is required`);
  return checkedText(name, fields[name], maxLength);
}

export function optionalText(fields: Fields, name: string, maxLength: number): string | undefined {
  const value = fields[name];
  return value === undefined || value === null ? undefined : checkedText(name, value, maxLength);
}

function checkedText(name: string, value: unknown, maxLength: number): string {
  if (typeof value !== 'string') throw new Refusal(`${name} must be a string`);
  if (value.length > maxLength) throw new Refusal(`${name} may have ${maxLength} characters`);
  return value;
}

/** A whole number from 1 to the most; `fallback` where none is given. */
export function count(fields: Fields, name: string, { fallback, most }: { fallback: number; most: number }): number {
  const value = fields[name] ?? fallback;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > most)
    throw new Refusal(`${name} must be a whole number from 1 to ${most}`);
  return value;
}

export function choice<const Choice extends string>(
  fields: Fields,
  name: string,
  choices: readonly Choice[],
): Choice | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  const found = choices.find((candidate) => candidate === value);
  if (found === undefined) throw new Refusal(`${name} must be one of ${choices.join(', ')}`);
  return found;
}

export function flag(fields: Fields, name: string): boolean | undefined {
  const value = fields[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'boolean') throw new Refusal(`${name} must be true or false`);
  return value;
}
