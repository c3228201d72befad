/** Reads PDF documents: the text of each page, and what the document says of itself. */
import { getDocumentProxy } from 'unpdf';
import { count, fieldsOf, optionalText, Refusal, requiredText } from '../input.ts';
import { datesOf, metadataOf } from './metadata.ts';

const FIELDS = ['pdf', 'pdf_base64', 'content', 'password', 'first_page', 'max_pages'];
const MAX_BASE64_LENGTH = 15_000_000;
const MAX_PASSWORD_LENGTH = 200;
const MAX_PAGES = 500;
const FURTHEST_PAGE = 100_000;
/** Of all pages together; what is beyond is left out, and said to be. */
const MAX_CHARACTERS = 3_000_000;
const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

type Document = Awaited<ReturnType<typeof getDocumentProxy>>;
type Page = { page: number; text: string; characters: number; unreadable?: true };

export async function run(input: unknown): Promise<unknown> {
  const fields = fieldsOf(input, FIELDS);
  const bytes = bytesOf(requiredText(fields, ['pdf', 'pdf_base64', 'content'], MAX_BASE64_LENGTH));
  const first = count(fields, 'first_page', { fallback: 1, most: FURTHEST_PAGE });
  const most = count(fields, 'max_pages', { fallback: MAX_PAGES, most: MAX_PAGES });
  const document = await open(bytes, optionalText(fields, 'password', MAX_PASSWORD_LENGTH));
  if (first > document.numPages) throw new Refusal(`The document has ${document.numPages} pages`);
  const { pages, truncated } = await pagesOf(document, first, Math.min(document.numPages, first + most - 1));
  const { info } = await document.getMetadata();
  const characters = pages.reduce((sum, page) => sum + page.characters, 0);
  return {
    total_pages: document.numPages,
    returned_pages: pages.length,
    truncated,
    characters,
    // What is only a picture of text has none.
    has_text: characters > 0,
    metadata: { ...metadataOf(info), ...datesOf(info) },
    pages,
    text: pages.map(({ text }) => text).join('\n\n'),
  };
}

function bytesOf(base64: string): Uint8Array {
  const plain = base64.replace(/^data:[^,]{0,100};base64,/, '').replaceAll(/\s/g, '');
  if (!BASE64.test(plain)) throw new Refusal('The document must be base 64');
  const bytes = new Uint8Array(Buffer.from(plain, 'base64'));
  // Some have a few bytes before their beginning.
  if (!Buffer.from(bytes.subarray(0, 1_024)).includes('%PDF-')) throw new Refusal('This is no PDF document');
  return bytes;
}

async function open(bytes: Uint8Array, password: string | undefined): Promise<Document> {
  try {
    return await getDocumentProxy(bytes, {
      ...(password !== undefined && { password }),
      disableFontFace: true,
      useSystemFonts: false,
      verbosity: 0,
    });
  } catch (error) {
    const name = error instanceof Error ? error.name : '';
    if (name === 'PasswordException')
      throw new Refusal(password === undefined ? 'The document needs a password' : 'The password is wrong');
    throw new Refusal('The document is damaged and cannot be read');
  }
}

async function pagesOf(
  document: Document,
  first: number,
  last: number,
): Promise<{ pages: Page[]; truncated: boolean }> {
  const pages: Page[] = [];
  let left = MAX_CHARACTERS;
  for (let number = first; number <= last; number += 1) {
    const text = await textOf(document, number);
    if (text === undefined) {
      pages.push({ page: number, text: '', characters: 0, unreadable: true });
      continue;
    }
    if (text.length > left) return { pages, truncated: true };
    left -= text.length;
    pages.push({ page: number, text, characters: text.length });
  }
  return { pages, truncated: first + pages.length - 1 < document.numPages };
}

/** Undefined for a page that cannot be read: the others are still worth having. */
async function textOf(document: Document, number: number): Promise<string | undefined> {
  try {
    const page = await document.getPage(number);
    const { items } = await page.getTextContent();
    page.cleanup();
    const text = items.map((item) => ('str' in item ? item.str + (item.hasEOL ? '\n' : '') : '')).join('');
    return text
      .replaceAll('\0', '')
      .replaceAll(/[ \t]+\n/g, '\n')
      .trim();
  } catch (error) {
    console.error(error);
    return undefined;
  }
}
