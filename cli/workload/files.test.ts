// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import type { WorkloadGroup } from '#lib/model/object/entry.ts';
import { type MachineOptions, machineFiles } from './files.ts';

const options: MachineOptions = {
  ...{ internalIp: '192.0.2.7', ingressIp: '198.51.100.1', clusterId: 'east', istioNamespace: 'istio-system' },
  ...{
    revision: '',
    trustDomain: 'cluster.local',
    autoRegister: true,
    captureDns: true,
    rootPem: 'ROOT',
    token: 'TOKEN',
  },
};
const group = {
  metadata: { name: 'db', namespace: 'shop' },
  spec: {
    metadata: { labels: { app: 'db', note: "it's mine" } },
    template: { serviceAccount: 'keeper', network: 'cellar', ports: { sql: 5432 } },
    probe: { tcpSocket: { port: 5432 } },
  },
} as WorkloadGroup;

/** What a shell makes of the file, as the machine's start does. */
function sourced(text: string): Record<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-env-'));
  writeFileSync(join(folder, 'cluster.env'), text);
  const script = 'set -a && . "$1" && exec env -0';
  const out = execFileSync('/bin/sh', ['-c', script, 'sh', join(folder, 'cluster.env')], { env: {}, encoding: 'utf8' });
  rmSync(folder, { recursive: true });
  return Object.fromEntries(out.split('\0').map((line) => line.split(/=(.*)/s, 2) as [string, string]));
}

test('a machine that registers is told its group, its account, its proxy’s mode and where the control plane is', () => {
  const files = machineFiles(group, options);
  const env = sourced(files['cluster.env']);
  assert.equal(env['PROXY_WORKLOAD_INFO'], 'shop/db-192.0.2.7-cellar/keeper');
  assert.equal(env['ISTIO_META_AUTO_REGISTER_GROUP'], 'db');
  assert.equal(env['ISTIO_META_CLUSTER_ID'], 'east');
  assert.equal(env['NETWORK'], 'cellar');
  assert.equal(env['XDS_ADDRESS'], 'https://istiod.istio-system.svc:15012');
  assert.equal(env['ISTIO_META_POD_PORTS'], '{"sql":5432}');
  assert.deepEqual(
    [files.hosts, files['root-cert.pem'], files['istio-token']],
    [...['198.51.100.1 istiod.istio-system.svc\n', 'ROOT', 'TOKEN']],
  );
});

test('the mesh file has Istio’s names: the address of the control plane, metadata, and the group’s probe', () => {
  const { defaultConfig } = parse(machineFiles(group, options)['mesh.yaml']) as {
    defaultConfig: Record<string, Record<string, unknown>>;
  };
  assert.equal(defaultConfig['discoveryAddress'], 'istiod.istio-system.svc:15012');
  assert.deepEqual(defaultConfig['readinessProbe'], { tcpSocket: { port: 5432 } });
  const { CANONICAL_SERVICE, ISTIO_METAJSON_LABELS, SERVICE_ACCOUNT } = defaultConfig['proxyMetadata'] ?? {};
  assert.deepEqual([CANONICAL_SERVICE, SERVICE_ACCOUNT], ['db', 'keeper']);
  assert.deepEqual(JSON.parse(String(ISTIO_METAJSON_LABELS)), { app: 'db', note: "it's mine" });
});

test('a machine whose entry somebody else writes is told that entry, and a revision’s control plane has its own name', () => {
  const files = machineFiles(group, { ...options, autoRegister: false, revision: 'blue', ingressIp: '' });
  const env = sourced(files['cluster.env']);
  assert.equal(env['ISTIO_META_WORKLOAD_ENTRY'], 'db-192.0.2.7-cellar');
  assert.equal(env['ISTIO_META_AUTO_REGISTER_GROUP'], undefined);
  assert.equal(env['CA_ADDRESS'], 'https://istiod-blue.istio-system.svc:15012');
  assert.equal(files.hosts, '');
});
