// SPDX-License-Identifier: Apache-2.0
// What is attacked and what is used meanwhile, and the certificate that lets one do either: of the test authority, which
// programs with FAKE_CA trust.
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import { assembleCertificate } from '#lib/identity/certificate.ts';
import { generateKey, keyToPem } from '#lib/identity/key.ts';
import { createTestAuthority } from '#lib/identity/test-authority.ts';
import type { Request } from './attacks.ts';

/** A door of a program, and a request that it takes. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly request: Request;
}

/** TLS as a service account of namespace `flood`. */
export async function contextFor(account: string): Promise<SecureContext> {
  const uri = `spiffe://cluster.local/ns/flood/sa/${account}`;
  const authority = await createTestAuthority();
  const keys = await generateKey();
  const answer = await authority.sign({ publicKey: keys.publicKey, uris: [uri], ttlMs: 3_600_000 }, Date.now());
  const result = assembleCertificate(uri, await keyToPem(keys.privateKey), answer, true);
  if (!result.ok) throw new Error('the test authority gave no certificate');
  return createSecureContext({
    key: result.value.keyPem,
    cert: result.value.chainPem,
    ca: result.value.rootsPem,
    minVersion: 'TLSv1.3',
  });
}

/** Resident kB of a program's data-plane processes. */
export function workersOf(pid: number): Map<number, number> {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  const resident = (child: number): number =>
    Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child}/status`, 'utf8'))?.[1] ?? 0);
  return new Map(children.map((child) => [child, resident(child)]));
}
