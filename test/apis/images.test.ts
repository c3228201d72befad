import { afterAll, expect, test } from 'vitest';
import { startApis } from '../harness/apis.ts';

const world = await startApis();
const [owner, other] = [await world.register('owner'), await world.register('other')];
afterAll(() => world.close());

const as = ({ key }: { key: string }) => ({ key });

test('an image is asked for, shown by id and name, and removed', async () => {
  const body = { name: 'python-tools', from: { registry: 'docker.io/library/python:3.12' } };
  const asked = await world.call('POST', '/v1/images', { ...as(owner), body });
  expect(asked).toMatchObject({
    status: 202,
    body: { name: 'python-tools', status: 'building', source: 'registry', registry: body.from.registry, error: null },
  });
  const { id } = asked.body;
  for (const name of [id, 'python-tools'])
    expect(await world.call('GET', `/v1/images/${name}`, as(owner))).toMatchObject({ status: 200, body: { id } });
  expect((await world.call('GET', '/v1/images', as(owner))).body.images).toMatchObject([{ id }]);
  expect((await world.call('GET', '/v1/images', as(other))).body).toEqual({ images: [] });
  expect(await world.call('GET', `/v1/images/${id}/log`, as(owner))).toMatchObject({ status: 200, body: { log: '' } });
  expect(await world.call('POST', '/v1/images', { ...as(owner), body })).toMatchObject({ status: 409 });
  expect(await world.call('DELETE', `/v1/images/${id}`, as(owner))).toMatchObject({
    status: 200,
    body: { status: 'removed' },
  });
  expect(await world.call('GET', `/v1/images/${id}`, as(owner))).toMatchObject({ status: 404 });
});

test('an archive is taken in as it comes, whatever its type, and a context with the path of its Dockerfile', async () => {
  const upload = (query: string) =>
    fetch(`${world.origin}/v1/images/upload?${query}`, {
      method: 'POST',
      body: Buffer.alloc(5_000_000),
      headers: { authorization: `Bearer ${owner.key}`, 'content-type': 'application/x-tar' },
    });
  const archive = await upload('name=archive');
  expect([archive.status, await archive.json()]).toMatchObject([202, { source: 'archive', status: 'building' }]);
  const context = await upload('name=context&dockerfile=docker/Dockerfile');
  expect([context.status, await context.json()]).toMatchObject([202, { source: 'context' }]);
  for (const query of ['', 'name=No', 'name=context2&dockerfile=../Dockerfile', 'name=base'])
    expect((await upload(query)).status).toBe(400);
  expect((await upload('name=archive')).status).toBe(409);
});

test('what is no source of an image is refused', async () => {
  for (const from of [
    {},
    { registry: 'docker://x' },
    { registry: 'UPPER/case' },
    { registry: 'a b' },
    { registry: '--all' },
    { dockerfile: ' ' },
    { dockerfile: 'FROM base', context: 'not base64!' },
    { dockerfile: 'FROM base', registry: 'x' },
  ])
    expect((await world.call('POST', '/v1/images', { ...as(owner), body: { name: 'wrong', from } })).status).toBe(400);
});
