// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { x509 } from '#lib/identity/x509.ts';
import { TestApi } from '#lib/testkit/api-server.ts';
import { textAt } from '../json.ts';

const PATH = '/apis/certificates.k8s.io/v1/certificatesigningrequests';

test('an approved request is signed by the cluster authority, another is not', async () => {
  const api = await TestApi.start();
  try {
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      name: 'CN=eve,O=team',
      keys,
      signingAlgorithm: algorithm,
    });
    const spec = {
      request: Buffer.from(request.toString('pem')).toString('base64'),
      signerName: 'kubernetes.io/kube-apiserver-client',
      usages: ['client auth'],
    };
    const made = await api.ok('POST', PATH, { body: { metadata: { name: 'eve' }, spec } });
    assert.equal(textAt(made, 'status', 'certificate'), undefined);
    const body = { status: { conditions: [{ type: 'Approved', status: 'True', reason: 'Test', message: '' }] } };
    const signed = api.watch(
      `${PATH}?watch=1&fieldSelector=metadata.name%3Deve&resourceVersion=${textAt(made, 'metadata', 'resourceVersion')}`,
      2,
    );
    await api.ok('PATCH', `${PATH}/eve/approval`, { body });
    const [, object] = (await signed)[1]!;
    const certificate = new x509.X509Certificate(
      Buffer.from(textAt(object, 'status', 'certificate')!, 'base64').toString(),
    );
    assert.equal(certificate.subject, 'CN=eve, O=team');
    assert.equal(certificate.issuer, 'CN=kubernetes');
  } finally {
    await api.close();
  }
});
