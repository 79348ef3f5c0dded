// SPDX-License-Identifier: Apache-2.0
// What is installed, as others rely on it: names, ports, arguments, files and rights under which Istio's own parts and
// tools expect to find these programs.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';

const FOLDER = join(import.meta.dirname, '../../manifests/install');

interface Named {
  readonly name: string;
}
interface Port extends Named {
  readonly port?: number;
  readonly targetPort?: number;
  readonly containerPort?: number;
}
interface Container extends Named {
  readonly args: readonly string[];
  readonly ports: readonly Port[];
  readonly env: readonly (Named & { readonly value?: string })[];
  readonly volumeMounts: readonly (Named & { readonly mountPath: string })[];
  readonly readinessProbe: { readonly httpGet: { readonly path: string; readonly port: number } };
  readonly securityContext: Readonly<Record<string, unknown>> & { readonly capabilities: object };
}
interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}
interface Manifest {
  readonly kind: string;
  readonly metadata: Named & { readonly labels?: Readonly<Record<string, string>> };
  readonly rules?: readonly Rule[];
  readonly roleRef?: Named;
  readonly subjects?: readonly Named[];
  readonly spec: {
    readonly ports: readonly Port[];
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly serviceAccountName: string;
        readonly containers: readonly Container[];
        readonly volumes: readonly (Named & Readonly<Record<string, { readonly optional?: boolean }>>)[];
        readonly tolerations: readonly { readonly key?: string }[];
        readonly priorityClassName?: string;
        readonly terminationGracePeriodSeconds?: number;
      };
    };
  };
}

const OBJECTS = readdirSync(FOLDER).flatMap((name) =>
  parseAllDocuments(readFileSync(join(FOLDER, name), 'utf8')).map((document) => document.toJS() as Manifest),
);

function find(kind: string, name: string): Manifest {
  const found = OBJECTS.find((one) => one.kind === kind && one.metadata.name === name);
  assert.ok(found, `${kind} ${name}`);
  return found;
}

const portsOf = (ports: readonly Port[]) =>
  ports.map(({ containerPort, name, port }) => `${name} ${containerPort ?? port}`);

/** What the accounts of a program may do, each right as `verb group/resource`. */
function rightsOf(account: string): Set<string> {
  const roles = OBJECTS.filter((one) => one.subjects?.some(({ name }) => name === account)).map(
    (one) => one.roleRef?.name,
  );
  return new Set(
    OBJECTS.filter(({ kind, metadata }) => /Role$/.test(kind) && roles.includes(metadata.name))
      .flatMap(({ rules = [] }) => rules)
      .flatMap(({ apiGroups, resources, verbs }) =>
        verbs.flatMap((verb) => apiGroups.flatMap((group) => resources.map((one) => `${verb} ${group}/${one}`))),
      ),
  );
}

test('istiod is installed under the names, labels, ports and arguments that its clients know', () => {
  const { metadata, spec } = find('Deployment', 'istiod');
  const { containers, serviceAccountName, tolerations } = spec.template.spec;
  const [container] = containers;
  assert.deepEqual([serviceAccountName, container?.name], ['istiod', 'discovery']);
  assert.deepEqual(metadata.labels, { app: 'istiod', istio: 'pilot', 'istio.io/rev': 'default' });
  assert.deepEqual(portsOf(container?.ports ?? []), [
    ...['http-debug 8080', 'grpc-xds 15010', 'tls-xds 15012', 'https-webhooks 15017', 'http-monitoring 15014'],
  ]);
  assert.deepEqual(portsOf(find('Service', 'istiod').spec.ports), [
    ...['grpc-xds 15010', 'https-dns 15012', 'https-webhook 443', 'http-monitoring 15014'],
  ]);
  assert.equal(find('Service', 'istiod').spec.ports[2]?.targetPort, 15017);
  assert.equal(container?.args[0], 'discovery');
  assert.deepEqual(container.readinessProbe.httpGet, { path: '/ready', port: 8080 });
  assert.ok(tolerations.some(({ key }) => key === 'cni.istio.io/not-ready'));
  const env = new Map(container.env.map(({ name, value }) => [name, value]));
  assert.equal(env.get('CA_TRUSTED_NODE_ACCOUNTS'), 'istio-system/ztunnel');
  for (const name of ['REVISION', 'POD_NAME', 'POD_NAMESPACE', 'SERVICE_ACCOUNT', 'CLUSTER_ID'])
    assert.ok(env.has(name));
});

test('istiod finds its token, authorities and kubeconfig where Istio has them, and starts without what is optional', () => {
  const { containers, volumes } = find('Deployment', 'istiod').spec.template.spec;
  const optional = new Set(
    volumes.filter((one) => one['secret']?.optional ?? one['configMap']?.optional).map(({ name }) => name),
  );
  const mounts = new Map(containers[0]?.volumeMounts.map(({ mountPath, name }) => [mountPath, optional.has(name)]));
  for (const [path, isOptional] of [
    ['/var/run/secrets/tokens', false],
    ['/etc/cacerts', true],
    ['/var/run/secrets/remote', true],
    ['/var/run/secrets/istiod/tls', true],
    ['/var/run/secrets/istiod/ca', true],
  ] as const) {
    assert.equal(mounts.get(path), isOptional, path);
  }
});

test('node proxies are installed with the ports, settings, capabilities and files of Istio’s own', () => {
  const { metadata, spec } = find('DaemonSet', 'ztunnel').spec.template;
  const [container] = spec.containers;
  assert.ok(container);
  assert.deepEqual([container.name, container.args], ['istio-proxy', ['proxy', 'ztunnel']]);
  assert.deepEqual(container.readinessProbe.httpGet, { path: '/healthz/ready', port: 15021 });
  assert.deepEqual([spec.priorityClassName, spec.terminationGracePeriodSeconds], ['system-node-critical', 30]);
  const { capabilities, readOnlyRootFilesystem, runAsGroup, runAsUser } = container.securityContext;
  assert.deepEqual(capabilities, { drop: ['ALL'], add: ['NET_ADMIN', 'SYS_ADMIN', 'NET_RAW'] });
  assert.deepEqual([readOnlyRootFilesystem, runAsUser, runAsGroup], [true, 0, 1337]);
  assert.equal(metadata.labels['istio.io/dataplane-mode'], 'none');
  const env = new Set(container.env.map(({ name }) => name));
  for (const name of ['CA_ADDRESS', 'XDS_ADDRESS', 'INPOD_ENABLED', 'NODE_NAME', 'INSTANCE_IP'])
    assert.ok(env.has(name));
  const mounts = container.volumeMounts.map(({ mountPath }) => mountPath);
  for (const path of ['/var/run/secrets/istio', '/var/run/secrets/tokens', '/var/run/ztunnel']) {
    assert.ok(mounts.includes(path), path);
  }
});

test('a node proxy has no rights on the API, the agent those on pods it needs, the reader none that write', () => {
  assert.deepEqual([...rightsOf('ztunnel')], []);
  const agent = rightsOf('istio-cni');
  for (const right of [
    'watch /pods',
    'watch /nodes',
    'watch /namespaces',
    'patch /pods/status',
    'get apps/daemonsets',
  ]) {
    assert.ok(agent.has(right), right);
  }
  assert.ok(
    [...agent].every((right) => !/^(create|update|patch|delete) \/(pods|nodes|namespaces|secrets)$/.test(right)),
  );
  const reader = [...rightsOf('istio-reader-service-account')];
  assert.deepEqual(
    reader.filter((right) => !/^(get|list|watch) /.test(right)),
    ['create authentication.k8s.io/tokenreviews'],
  );
  assert.ok(reader.includes('watch discovery.k8s.io/endpointslices'));
});

test('istiod may write what it writes, and no right stands for all verbs', () => {
  const rights = rightsOf('istiod');
  for (const right of [
    ...['create authentication.k8s.io/tokenreviews', 'patch security.istio.io/authorizationpolicies/status'],
    ...['patch networking.istio.io/serviceentries/status', 'create networking.istio.io/workloadentries'],
    ...['create gateway.networking.k8s.io/gatewayclasses', 'update gateway.networking.k8s.io/listenersets/status'],
    ...['create apps/deployments', 'patch autoscaling/horizontalpodautoscalers', 'patch policy/poddisruptionbudgets'],
    ...['create coordination.k8s.io/leases', 'patch certificates.k8s.io/clustertrustbundles', 'create /configmaps'],
  ]) {
    assert.ok(rights.has(right), right);
  }
  assert.ok([...rights].every((right) => !right.startsWith('* ')));
});
