const MAX_VALUE_LENGTH = 2_000;

const NAMES = {
  title: 'Title',
  author: 'Author',
  subject: 'Subject',
  keywords: 'Keywords',
  creator: 'Creator',
  producer: 'Producer',
  language: 'Language',
  pdf_version: 'PDFFormatVersion',
} as const;

type Info = object;

const textIn = (info: Info, name: string): string | null => {
  const value: unknown = Reflect.get(info, name);
  return typeof value === 'string' && value.trim() !== '' ? value.trim().slice(0, MAX_VALUE_LENGTH) : null;
};

/** What the document says of itself; null where it does not. */
export const metadataOf = (info: Info): Record<string, string | null> =>
  Object.fromEntries(Object.entries(NAMES).map(([name, key]) => [name, textIn(info, key)]));

export const datesOf = (info: Info): Record<string, string | null> => ({
  created_at: isoOf(textIn(info, 'CreationDate')),
  modified_at: isoOf(textIn(info, 'ModDate')),
});

/** PDF writes D:YYYYMMDDHHmmSS with a zone behind, of which all after the year may be left out. */
const PDF_DATE = /^(?:D:)?(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(?:Z|([+-])(\d{2})'?(\d{2})?'?)?/;

export function isoOf(text: string | null): string | null {
  const found = PDF_DATE.exec(text ?? '');
  if (!found) return null;
  const [, year, month = '01', day = '01', hour = '00', minute = '00', second = '00', sign, hours, minutes = '00'] =
    found;
  const zone = sign && hours ? `${sign}${hours}:${minutes}` : 'Z';
  const at = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}${zone}`);
  return Number.isNaN(at.getTime()) ? null : at.toISOString();
}
