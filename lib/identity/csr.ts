// SPDX-License-Identifier: Apache-2.0
// Certificate signing requests (PKCS#10): the node proxy makes them, the authority checks them. Only the key of a request
// counts: names come from who asked, never from what the request says.

import { describeError } from '#lib/kit/error.ts';
import { fail, ok, type Result } from '#lib/kit/result.ts';
import { type KeyPair, P256, type PublicKey } from './key.ts';
import { x509 } from './x509.ts';

const MAX_CSR_BYTES = 64 * 1024;
const MIN_RSA_BITS = 2048;
const SUBJECT_ALTERNATIVE_NAME = '2.5.29.17';

/** A request in PEM: empty subject, one URI as name, signed with SHA-256. */
export async function createCsr(uri: string, keys: KeyPair): Promise<string> {
  return await request([{ type: 'url', value: uri }], keys);
}

/** The same for a server's DNS names. */
export async function createServerCsr(dnsNames: readonly string[], keys: KeyPair): Promise<string> {
  return await request(
    dnsNames.map((value) => ({ type: 'dns', value })),
    keys,
  );
}

async function request(names: x509.JsonGeneralNames, keys: KeyPair): Promise<string> {
  const made = await x509.Pkcs10CertificateRequestGenerator.create({
    name: '',
    keys,
    signingAlgorithm: P256,
    extensions: [new x509.SubjectAlternativeNameExtension(names)],
  });
  return made.toString('pem');
}

/** What an authority takes over from a request. */
export interface CheckedCsr {
  readonly publicKey: PublicKey;
  /** The request names a subject; the leaf gets a common name then. */
  readonly hasCommonName: boolean;
  /** URI names asked for: for signers outside that go by the request; ours does not. */
  readonly uris: readonly string[];
}

/** Reads a PEM request and verifies that its sender holds the key. */
export async function checkCsr(pem: string): Promise<Result<CheckedCsr>> {
  if (pem.length > MAX_CSR_BYTES) return refuse(`${pem.length} bytes is over the limit of ${MAX_CSR_BYTES}`);
  try {
    const request = new x509.Pkcs10CertificateRequest(pem);
    const publicKey = await request.publicKey.export();
    const { name, namedCurve, modulusLength } = publicKey.algorithm as {
      name: string;
      namedCurve?: string;
      modulusLength?: number;
    };
    if (modulusLength !== undefined && modulusLength < MIN_RSA_BITS) {
      return refuse(`RSA key of ${modulusLength} bits`, `use at least ${MIN_RSA_BITS}, or P-256`);
    }
    if (!(await request.verify())) return refuse('signature does not match the key it names');
    if (modulusLength === undefined && namedCurve === undefined) return refuse(`key of type ${name}`, 'use P-256');
    const hasCommonName = request.subjectName.getField('CN').length > 0;
    const extension = request.getExtension(SUBJECT_ALTERNATIVE_NAME);
    const names = extension === null ? [] : new x509.SubjectAlternativeNameExtension(extension.rawData).names.items;
    const uris = names.filter(({ type }) => type === 'url').map(({ value }) => value);
    return ok({ publicKey: publicKey as PublicKey, hasCommonName, uris });
  } catch (error) {
    return refuse(`not readable as a PKCS#10 request: ${describeError(error)}`);
  }
}

function refuse(message: string, fix?: string): Result<never> {
  return fail({ field: 'csr', message, ...(fix === undefined ? {} : { fix }) });
}
