// SPDX-License-Identifier: Apache-2.0
//
// The protocol's inbound vectors, from testdata/inbound.json.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ip, mesh, type ServiceText, type WorkloadText } from '#lib/testkit/mesh.ts';
import { type Authority, resolveInbound, servedService } from './inbound.ts';
import { parseIp } from './ip.ts';
import { NO_PROOF, recordProof } from './proof.ts';
import { inboundText } from './reason.ts';

interface Row {
  readonly name: string;
  readonly to: string;
  readonly authority: string;
  readonly workloads: readonly WorkloadText[];
  readonly services: readonly ServiceText[];
  readonly expect: Readonly<Record<string, unknown>>;
}

const ROWS: readonly Row[] = JSON.parse(readFileSync(join(import.meta.dirname, 'testdata', 'inbound.json'), 'utf8'));

function authority(text: string): Authority {
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, colon);
  const parsed = parseIp(host);
  return { ip: parsed, hostname: parsed === undefined ? host : '', port: Number(text.slice(colon + 1)) };
}

for (const row of ROWS) {
  test(row.name, () => {
    const view = mesh(row);
    const connectedIp = ip(row.to);
    const local = view.workloadByAddress('', connectedIp);
    assert.ok(local);
    const request = { local, connectedIp, authority: authority(row.authority), network: '' };
    const verdict = resolveInbound(view, request, NO_PROOF);
    const rec = recordProof();
    assert.deepEqual(resolveInbound(view, request, rec), verdict, 'a recorded decision is the same decision');
    assert.ok(rec.steps.length > 0);
    assert.ok(inboundText(verdict).length > 0);
    const got: Record<string, unknown> =
      verdict.kind === 'refuse'
        ? { ...verdict }
        : {
            ...verdict,
            target: verdict.ip.withPort(verdict.port),
            service: verdict.service?.key,
            proxy: verdict.proxyDestination?.ip.withPort(verdict.proxyDestination.port),
          };
    for (const [field, want] of Object.entries(row.expect)) assert.equal(got[field], want, field);
  });
}

test('a connection is counted for the service its sender named, else for the one behind the port', () => {
  const serves = { 'default/a.example': { 80: 8080 }, 'default/b.example': { 90: 0 } };
  const view = mesh({
    workloads: [{ name: 'p', ips: ['10.0.0.1'], serves }],
    services: [
      { name: 'a', hostname: 'a.example', ports: { 80: 1 } },
      { name: 'b', hostname: 'b.example', ports: { 90: 9090 } },
    ],
  });
  const local = view.workloadByAddress('', ip('10.0.0.1'))!;
  assert.equal(servedService(view, local, 8080, '')?.name, 'a');
  assert.equal(servedService(view, local, 9090, '')?.name, 'b');
  assert.equal(servedService(view, local, 8080, 'b.example')?.name, 'b');
  assert.equal(servedService(view, local, 8080, 'elsewhere.example')?.name, 'a');
  assert.equal(servedService(view, local, 1, ''), undefined);
});
