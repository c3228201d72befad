import { z } from 'zod';
import { languageNamed, type CodeContext, type Language } from '../../../domains/sandboxes/index.ts';
import { AppError } from '../../../kernel/errors.ts';
import { within } from '../envd/access.ts';
import { readMessage } from '../envd/protocol.ts';
import type { CodeVisit } from './access.ts';

/** /contexts (clause 6 of the sheet): where code runs, and what it did stays. */

const MAX_LANGUAGE = 64;
const MAX_PATH = 4_096;
export const LanguageName = z.string().max(MAX_LANGUAGE).nullish();
const NewContext = z.object({
  language: LanguageName,
  cwd: z
    .string()
    .max(MAX_PATH)
    .refine((path) => !path.includes('\0'), { error: 'must not contain NUL' })
    .nullish(),
});

export const notThere = (name: string): string => `${name} is not there: code is run in python, javascript and bash`;

export const listContexts = (visit: CodeVisit): Promise<CodeContext[]> =>
  within(visit, () => visit.sandboxes.interpreter.contexts(visit.op, visit.place.machineId));

export const createContext = (visit: CodeVisit): Promise<CodeContext> =>
  within(visit, async () => {
    const { language, cwd } = await readMessage(visit, NewContext);
    return visit.sandboxes.interpreter.create(visit.op, visit.place, {
      language: language ? known(language) : undefined,
      cwd: cwd || undefined,
    });
  });

function known(name: string): Language {
  const language = languageNamed(name);
  if (!language) throw new AppError('invalid', notThere(name));
  return language;
}

const idOf = ({ request }: CodeVisit): string => request.params['id'] ?? '';

export const removeContext = (visit: CodeVisit): Promise<void> =>
  within(visit, () => visit.sandboxes.interpreter.remove(visit.op, visit.place.machineId, idOf(visit)));

export const restartContext = (visit: CodeVisit): Promise<void> =>
  within(visit, () => visit.sandboxes.interpreter.restart(visit.op, visit.place, idOf(visit)));
