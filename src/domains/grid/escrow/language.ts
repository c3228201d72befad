import { eld } from 'eld/extrasmall';

/** The ISO 639-1 code of the language that a text is in; undefined where that cannot be told. */
export function detectLanguage(text: string): string | undefined {
  const { language } = eld.detect(text);
  return language === '' ? undefined : language;
}
