// SPDX-License-Identifier: Apache-2.0
// A certificate authority and one leaf for the peers that are not ours, made anew for each run.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../harness/run.ts';

/** Writes ca.crt, peer.crt, peer.key and peer.pem (both) into `folder`: ECDSA P-256, for both ends of mutual TLS. */
export async function makeCertificates(folder: string): Promise<void> {
  const file = (name: string): string => join(folder, name);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  await run('openssl', [
    'req',
    '-x509',
    ...key,
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca.crt'),
    '-subj',
    '/CN=bench root',
  ]);
  await run('openssl', [
    'req',
    ...key.slice(0, -2),
    '-keyout',
    file('peer.key'),
    '-out',
    file('peer.csr'),
    '-subj',
    '/CN=peer',
  ]);
  await run('openssl', [
    'x509',
    '-req',
    '-in',
    file('peer.csr'),
    '-CA',
    file('ca.crt'),
    '-CAkey',
    file('ca.key'),
    '-CAcreateserial',
    '-days',
    '2',
    '-out',
    file('peer.crt'),
  ]);
  const pem = await run('cat', [file('peer.crt'), file('peer.key')]);
  writeFileSync(file('peer.pem'), pem);
}
