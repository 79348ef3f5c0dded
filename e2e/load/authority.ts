// SPDX-License-Identifier: Apache-2.0
// The certificate authority of a benchmark, on each host: signs whatever identity it is asked for, with a key that every
// reader knows. Prints its root certificate, then serves the CA protocol over TLS on localhost. authority.ts PORT
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { checkCsr } from '#lib/identity/csr.ts';
import { generateKey, keyToPem } from '#lib/identity/key.ts';
import { createTestAuthority } from '#lib/identity/test-authority.ts';
import { x509 } from '#lib/identity/x509.ts';
import {
  type IstioCertificateRequest,
  type IstioCertificateResponse,
  IstioCertificateService,
} from '#lib/proto/gen/ca_pb.ts';
import { grpcService } from '#lib/proto/grpc.ts';

const DAY_MS = 86_400_000;

const authority = await createTestAuthority();
const keys = await generateKey();
const serving = await authority.sign({ publicKey: keys.publicKey, dnsNames: ['localhost'], ttlMs: DAY_MS }, Date.now());
const server = new Server();
server.addService(grpcService(IstioCertificateService), {
  createCertificate: (
    { request }: ServerUnaryCall<IstioCertificateRequest, Partial<IstioCertificateResponse>>,
    done: sendUnaryData<Partial<IstioCertificateResponse>>,
  ) => {
    sign(request.csr).then(
      (certChain) => done(null, { certChain }),
      (error: unknown) => done({ code: status.INVALID_ARGUMENT, details: String(error) }),
    );
  },
});
const credentials = ServerCredentials.createSsl(null, [
  { cert_chain: Buffer.from(serving.join('')), private_key: Buffer.from(await keyToPem(keys.privateKey)) },
]);
server.bindAsync(`localhost:${process.argv[2]}`, credentials, (error) => {
  if (error !== null) throw error;
  console.log(authority.material.rootPem);
});

/** Every name that the request asks for is given. */
async function sign(csr: string): Promise<string[]> {
  const checked = await checkCsr(csr);
  if (!checked.ok) throw new Error(checked.problems.map(({ message }) => message).join('; '));
  const names = new x509.Pkcs10CertificateRequest(csr).extensions.find(
    (extension) => extension instanceof x509.SubjectAlternativeNameExtension,
  );
  const uris = (names?.names.items ?? []).filter(({ type }) => type === 'url').map(({ value }) => value);
  return await authority.sign({ publicKey: checked.value.publicKey, uris, ttlMs: DAY_MS }, Date.now());
}
