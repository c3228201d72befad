import { AppError } from '../../../kernel/errors.ts';
import { MAX_TEST_NAME_LENGTH, MAX_TESTS } from '../sample.ts';

/**
 * Test names, which come as a list or as a list that was written as JSON once more. Throws `invalid` for anything else.
 */
export function testNames(value: unknown, name: string): string[] {
  const list = typeof value === 'string' ? listIn(value, name) : (value ?? []);
  if (!Array.isArray(list) || !list.every((test) => typeof test === 'string'))
    throw new AppError('invalid', `${name} is no list of test names`);
  if (list.length > MAX_TESTS || list.some((test) => test === '' || test.length > MAX_TEST_NAME_LENGTH))
    throw new AppError('invalid', `${name} has too many or too long names`);
  return [...new Set(list)];
}

function listIn(text: string, name: string): unknown {
  if (text.trim() === '') return [];
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AppError('invalid', `${name} is no list of test names`, { cause });
  }
}
