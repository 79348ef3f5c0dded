// SPDX-License-Identifier: Apache-2.0
// Real kubectl against the playground's API server and controllers, without nodes that run anything.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { ApiProcess } from '../harness/api-server.ts';
import { eventually } from '../harness/eventually.ts';
import { background, ROOT } from '../harness/run.ts';

const api = new ApiProcess();
before(async () => {
  await api.start();
  await api.startControllers();
  for (const name of ['n1', 'n2']) {
    await api.kubectl('apply -f -', `{"apiVersion":"v1","kind":"Node","metadata":{"name":"${name}"}}`);
    const ready = '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}';
    await api.kubectl(`patch node ${name} --subresource=status --type=merge -p ${ready}`);
  }
});
after(() => api.stop());

const shop = (replicas: number, image: string): string => `
apiVersion: v1
kind: Namespace
metadata: { name: shop }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop, labels: { app: web } }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      containers:
        - { name: web, image: "${image}", ports: [{ containerPort: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { selector: { app: web }, ports: [{ port: 80 }] }
`;

test('apply creates, changes nothing the second time, diffs and changes what differs', async () => {
  assert.match(await api.kubectl('apply -f -', shop(2, 'web:1')), /deployment\.apps\/web created/);
  const again = await api.kubectl('apply -f -', shop(2, 'web:1'));
  assert.deepEqual(again.trim().split('\n'), [
    'namespace/shop unchanged',
    'deployment.apps/web unchanged',
    'service/web unchanged',
  ]);
  await assert.rejects(
    api.kubectl('diff -f -', shop(3, 'web:1')),
    /exit 1\n[\s\S]*- {2}replicas: 2\n\+ {2}replicas: 3/,
  );
  assert.match(await api.kubectl('apply -f -', shop(3, 'web:1')), /web configured/);
});

test('apply takes a List, of built-in and custom kinds', async () => {
  const part = (name: string, apiVersion: string, kind: string, rest: object): object => ({
    ...{ apiVersion, kind, metadata: { name, namespace: 'default' } },
    ...rest,
  });
  const group = { group: 'example.com', scope: 'Namespaced', names: { kind: 'Thing', plural: 'things' } };
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const definition = {
    ...{
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'things.example.com' },
    },
    spec: { ...group, versions: [{ name: 'v1', served: true, storage: true, schema }] },
  };
  await api.kubectl('apply -f -', JSON.stringify(definition));
  await api.kubectl('wait --for condition=established crd/things.example.com --timeout=60s');
  const list = (value: string): string =>
    JSON.stringify({
      ...{ apiVersion: 'v1', kind: 'List' },
      items: [
        part('a', 'v1', 'ConfigMap', { data: { value } }),
        part('b', 'example.com/v1', 'Thing', { spec: { value } }),
      ],
    });
  assert.match(await api.kubectl('apply -f -', list('1')), /configmap\/a created\nthing\.example\.com\/b created/);
  assert.match(
    await api.kubectl('apply -f -', list('2')),
    /configmap\/a configured\nthing\.example\.com\/b configured/,
  );
  assert.equal(await api.kubectl('get configmap a -o jsonpath={.data.value}'), '2');
});

test('controllers make three pods and spread them, and get shows them', async () => {
  await eventually('three pods are scheduled', async () => {
    const nodes = (await api.kubectl('get pods -n shop -o jsonpath={.items[*].spec.nodeName}')).split(' ').sort();
    return nodes.length === 3 && new Set(nodes).size === 2;
  });
  const wide = await api.kubectl('get deploy,svc -n shop -o wide');
  assert.match(wide, /deployment\.apps\/web +0\/3 +3 +0 +[\dms]+ +web +web:1 +app=web/);
  assert.match(wide, /service\/web +ClusterIP +10\.96\.[\d.]+ +<none> +80\/TCP +[\dms]+ +app=web/);
  assert.match(await api.kubectl('describe deploy web -n shop'), /NewReplicaSet: +web-\w+ \(3\/3 replicas created\)/);
  assert.match(await api.kubectl('get pods -n shop -o yaml'), /kube-api-access-/);
});

test('server-side apply conflicts with another owner, and takes over by force', async () => {
  const service =
    '{"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"shop"},"spec":{"ports":[{"port":80,"targetPort":81}]}}';
  await assert.rejects(
    api.kubectl('apply --server-side --field-manager=other -f -', service),
    /conflict with "kubectl-client-side-apply"/,
  );
  await api.kubectl('apply --server-side --field-manager=other --force-conflicts -f -', service);
  assert.equal(await api.kubectl('get svc web -n shop -o jsonpath={.spec.ports[0].targetPort}'), '81');
});

test('get -w shows a label as it is set', async () => {
  const watch = background(process.execPath, [`${ROOT}/playground/kubectl.ts`, 'get', 'ns', '-w', '--show-labels'], {
    KUBECONFIG: api.kubeconfig,
  });
  try {
    await eventually('the watch lists', () => watch.output().includes('shop'));
    await api.kubectl('label ns shop istio.io/dataplane-mode=ambient');
    await eventually('the watch shows the label', () => watch.output().includes('istio.io/dataplane-mode=ambient'));
  } finally {
    await watch.stop();
  }
});

test('explain, api-resources, auth and create token answer', async () => {
  assert.match(await api.kubectl('explain pod.spec.containers.ports.containerPort'), /FIELD: containerPort <integer>/);
  assert.match(await api.kubectl('api-resources'), /deployments +deploy +apps\/v1 +true +Deployment/);
  assert.match(await api.kubectl('create token default -n shop'), /^eyJ/);
  await assert.rejects(
    api.kubectl('auth can-i get pods -n shop --as system:serviceaccount:shop:default'),
    /^[\s\S]*no/,
  );
  assert.match(await api.kubectl('auth whoami'), /kubernetes-admin/);
});

test('an error names the field', async () => {
  const typo = shop(1, 'web:1').replace('replicas', 'replica');
  await assert.rejects(api.kubectl('apply -f -', typo), /unknown field "spec\.replica"/);
});

test('delete takes a Deployment with all it owns, and a namespace with all it holds', async () => {
  await api.kubectl('delete deploy web -n shop');
  await eventually('the replica set is gone', async () => (await api.kubectl('get rs -n shop -o name')) === '');
  // There is no kubelet here: what runs on nodes has to be let go by hand.
  await eventually('the pods end', async () => {
    const pods = (await api.kubectl('get pods -n shop -o name')).split('\n').filter((name) => name !== '');
    for (const pod of pods) await api.kubectl(`delete ${pod} -n shop --force --grace-period=0 --wait=false`);
    return pods.length === 0;
  });
  await api.kubectl('delete ns shop --timeout=60s');
  assert.equal(await api.kubectl('get ns shop --ignore-not-found'), '');
});
