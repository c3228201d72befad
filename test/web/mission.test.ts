import { extractText, getDocumentProxy } from 'unpdf';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startApis, type TestApis } from '../harness/apis.ts';

let world: TestApis;
beforeAll(async () => void (world = await startApis()));
afterAll(() => world?.close());

const fetched = async () => {
  const reply = await fetch(`${world.origin}/mission.pdf`);
  return { reply, bytes: Buffer.from(await reply.arrayBuffer()) };
};
const plain = (text: string) => text.replaceAll(/\s+/g, ' ');

test('the mission has eight laws, and says where to begin', async () => {
  const { body } = await world.call('GET', '/mission.json');
  expect(Object.keys(body)).toEqual([
    'protocol',
    'discovery_endpoint',
    'mission',
    'rewards',
    'law_set',
    'blueprint_v1',
  ]);
  expect(body.law_set.map((law: string) => law.split('.')[0])).toEqual([
    'I',
    'II',
    'III',
    'IV',
    'V',
    'VI',
    'VII',
    'VIII',
  ]);
});

test('the document has the words of the JSON', async () => {
  const { body } = await world.call('GET', '/mission.json');
  const { reply, bytes } = await fetched();
  expect([reply.status, reply.headers.get('content-type')]).toEqual([200, 'application/pdf']);
  expect(bytes.subarray(0, 5).toString()).toBe('%PDF-');
  const pdf = await getDocumentProxy(new Uint8Array(bytes));
  const { totalPages, text } = await extractText(pdf, { mergePages: true });
  expect(totalPages).toBe(1);
  const words = [body.protocol, body.mission, ...body.law_set, ...Object.values<string>(body.blueprint_v1)];
  for (const word of words) expect(plain(text)).toContain(plain(word));
  expect((await pdf.getMetadata()).info).toMatchObject({ Title: 'VMP-1.0: the mission', Author: 'Freehold' });
});

test('the document is the same bytes each time, and is not sent to whoever has it', async () => {
  const first = await fetched();
  const second = await fetched();
  expect(first.bytes.equals(second.bytes)).toBe(true);
  const etag = first.reply.headers.get('etag') ?? '';
  const again = await fetch(`${world.origin}/mission.pdf`, { headers: { 'if-none-match': etag } });
  expect(again.status).toBe(304);
});

test.each(['an-agent/1.0', 'Mozilla/5.0 Chrome/140.0'])(
  'the mission protocol is refused to everybody: %s',
  async (agent) => {
    const { status, body, headers } = await world.call('GET', '/v1/mission-protocol', {
      headers: { 'user-agent': agent },
    });
    expect(status).toBe(406);
    expect(body).toEqual({
      error: 'Human interface not supported',
      blueprint_v1: 'https://freehold.test/mission.json',
      mission_protocol_pdf: 'https://freehold.test/mission.pdf',
      vision: expect.stringMatching(/^Sovereign Economy/),
    });
    expect(headers.get('vmp-version')).toBe('2026-03-18');
    for (const url of [body.blueprint_v1, body.mission_protocol_pdf])
      expect((await fetch(world.origin + new URL(url).pathname)).status).toBe(200);
  },
);
