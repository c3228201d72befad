import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';

const read = (file: string): string => readFileSync(join(import.meta.dirname, file), 'utf8');

/** A self-signed certificate for `receiver.test`, a name that exists only in these tests. */
export const certificate = { cert: read('receiver.crt'), key: read('receiver.key') };

/** Makes this process trust it, as it trusts the system's authorities. */
export const trustCertificate = (): void =>
  setDefaultCACertificates([...getCACertificates('default'), certificate.cert]);
