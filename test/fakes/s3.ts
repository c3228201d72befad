import { createHash, createHmac, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

const REGION = 'test-1';
const ACCESS_KEY = 'AKIDEXAMPLE';
const BUCKET = 'backups';

export type FakeS3 = {
  /** What a client is set up with. */
  bucket: { url: string; bucket: string; region: string; accessKey: string; secretKey: string };
  objects: Map<string, Buffer>;
  uploads: Map<string, { key: string; parts: Map<number, Buffer> }>;
  /** Answers so many requests with 503 first. */
  stumble(requests: number): void;
  close(): Promise<void>;
};

/** An S3 store on loopback that checks every signature (Signature Version 4) and every content's sum by itself. */
export async function fakeS3(): Promise<FakeS3> {
  const secretKey = randomBytes(20).toString('hex');
  const store = { objects: new Map(), uploads: new Map() } as Pick<FakeS3, 'objects' | 'uploads'>;
  let stumbles = 0;
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      if (stumbles > 0) {
        stumbles -= 1;
        return answer(response, 503, error('SlowDown'));
      }
      const problem = signatureProblem(request, body, secretKey);
      return problem ? answer(response, 403, error(problem)) : serve(store, request, body, response);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    ...store,
    bucket: { url: `http://127.0.0.1:${port}`, bucket: BUCKET, region: REGION, accessKey: ACCESS_KEY, secretKey },
    stumble: (requests) => void (stumbles = requests),
    close: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest();
const encoded = (text: string): string =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);

/** The reason why a request is refused, as the protocol names it. */
function signatureProblem(request: IncomingMessage, body: Buffer, secretKey: string): string | undefined {
  const { headers, method, url = '' } = request;
  const pattern =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;
  const [, key, day, region, names = '', signature] = pattern.exec(headers.authorization ?? '') ?? [];
  if (key !== ACCESS_KEY || region !== REGION) return 'InvalidAccessKeyId';
  const sum = String(headers['x-amz-content-sha256']);
  if (sum !== sha256(body)) return 'XAmzContentSHA256Mismatch';
  if (!['host', 'x-amz-date', 'x-amz-content-sha256'].every((name) => names.split(';').includes(name)))
    return 'AccessDenied';
  const { pathname, searchParams } = new URL(url, 'http://store');
  const query = [...searchParams].map(([name, value]) => `${encoded(name)}=${encoded(value)}`).toSorted();
  const signed = names.split(';').map((name) => `${name}:${String(headers[name]).trim()}\n`);
  const canonical = [method, pathname, query.join('&'), signed.join(''), names, sum].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const text = ['AWS4-HMAC-SHA256', headers['x-amz-date'], scope, sha256(canonical)].join('\n');
  const signingKey = [day ?? '', REGION, 's3', 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secretKey}`);
  return hmac(signingKey, text).toString('hex') === signature ? undefined : 'SignatureDoesNotMatch';
}

function serve(
  { objects, uploads }: Pick<FakeS3, 'objects' | 'uploads'>,
  { method, url = '' }: IncomingMessage,
  body: Buffer,
  response: ServerResponse,
): void {
  const { pathname, searchParams: query } = new URL(url, 'http://store');
  const [, bucket, ...rest] = pathname.split('/');
  const key = rest.join('/');
  const uploadId = query.get('uploadId') ?? '';
  if (bucket !== BUCKET) return answer(response, 404, error('NoSuchBucket'));
  if (method === 'POST' && query.has('uploads')) {
    const id = randomBytes(8).toString('hex');
    uploads.set(id, { key, parts: new Map() });
    return answer(
      response,
      200,
      `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
    );
  }
  if (method === 'GET' && query.has('uploads'))
    return answer(response, 200, listOf(uploads, query.get('prefix') ?? ''));
  if (uploadId !== '') return serveUpload({ objects, uploads }, { method, query, key, body, response });
  if (method === 'GET') {
    const found = objects.get(key);
    return found ? answer(response, 200, found) : answer(response, 404, error('NoSuchKey'));
  }
  if (method !== 'DELETE') return answer(response, 405, error('MethodNotAllowed'));
  objects.delete(key);
  return answer(response, 204, '');
}

type UploadRequest = {
  method: string | undefined;
  query: URLSearchParams;
  key: string;
  body: Buffer;
  response: ServerResponse;
};

function serveUpload(
  { objects, uploads }: Pick<FakeS3, 'objects' | 'uploads'>,
  { method, query, key, body, response }: UploadRequest,
): void {
  const id = query.get('uploadId') ?? '';
  const upload = uploads.get(id);
  if (upload?.key !== key) return answer(response, 404, error('NoSuchUpload'));
  if (method === 'PUT') {
    upload.parts.set(Number(query.get('partNumber')), body);
    response.setHeader('etag', `"${createHash('md5').update(body).digest('hex')}"`);
    return answer(response, 200, '');
  }
  uploads.delete(id);
  if (method === 'DELETE') return answer(response, 204, '');
  const wanted = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>"?([0-9a-f]+)"?<\/ETag>/g)];
  const parts = wanted.map(([, number, tag]) => ({ part: upload.parts.get(Number(number)), tag }));
  const isWhole = parts.every(({ part, tag }) => part && createHash('md5').update(part).digest('hex') === tag);
  // Under a 200, as the protocol has it.
  if (!isWhole) return answer(response, 200, error('InvalidPart'));
  objects.set(key, Buffer.concat(parts.flatMap(({ part }) => part ?? [])));
  return answer(response, 200, `<CompleteMultipartUploadResult><Key>${key}</Key></CompleteMultipartUploadResult>`);
}

const listOf = (uploads: FakeS3['uploads'], prefix: string): string => {
  const found = [...uploads].filter(([, { key }]) => key.startsWith(prefix));
  const shown = found.map(([id, { key }]) => `<Upload><Key>${key}</Key><UploadId>${id}</UploadId></Upload>`);
  return `<?xml version="1.0"?><ListMultipartUploadsResult>${shown.join('')}</ListMultipartUploadsResult>`;
};

const error = (code: string): string => `<?xml version="1.0"?><Error><Code>${code}</Code></Error>`;

function answer(response: ServerResponse, status: number, body: string | Buffer): void {
  response.statusCode = status;
  response.end(status === 204 ? undefined : body);
}
