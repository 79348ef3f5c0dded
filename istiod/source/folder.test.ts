// SPDX-License-Identifier: Apache-2.0
// A folder of files as a cluster: what is in it is what a client sees, and what cannot be read changes nothing.

import { deepEqual, equal, match, ok, rejects } from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Clock, systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { Informer } from '#lib/kube/informer.ts';
import { CONFIG_MAP, NAMESPACE, SECRET, SERVICE_ENTRY, TOKEN_REVIEW, WORKLOAD_ENTRY } from '#lib/kube/kind.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import { until } from '#lib/testkit/until.ts';
import { SourceHealth } from '../watch/source-health.ts';
import { connectFolder } from './connect.ts';

const ENTRY = (address: string): string => `
apiVersion: networking.istio.io/v1beta1
kind: WorkloadEntry
metadata: {name: vm-1, namespace: shop}
spec: {address: ${address}}
`;

/** Looks twenty times as often. */
const hurried: Clock = { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms / 20, signal) };

function folder() {
  const base = mkdtempSync(join(tmpdir(), 'ambit-folder-'));
  const path = join(base, 'mesh');
  mkdirSync(path);
  const lines: string[] = [];
  const health = new SourceHealth(() => 0);
  const log = createLogger({ scope: 'folder', level: 'debug', write: (line) => lines.push(line) });
  const connect = () =>
    connectFolder({
      folder: path,
      stateFolder: join(base, 'state'),
      clock: hurried,
      random: () => 0.5,
      log,
      health,
    });
  let connection = connect();
  const end = async (): Promise<void> => {
    connection.stop();
    await connection.client.close();
  };
  return {
    path,
    lines,
    health,
    get client() {
      return connection.client;
    },
    write: (name: string, text: string) => writeFileSync(join(path, name), text),
    /** Until the first file has been read. */
    filled: () =>
      until('objects', () =>
        connection.client.list(NAMESPACE).then(
          ({ items }) => items.length > 0,
          () => false,
        ),
      ),
    async restart() {
      await end();
      connection = connect();
    },
    async [Symbol.asyncDispose]() {
      await end();
      rmSync(base, { recursive: true });
    },
  };
}

function informerOf(rig: ReturnType<typeof folder>) {
  const log = createLogger({ scope: 'informer', write: () => undefined });
  const informer = new Informer<GenericObject>({
    client: rig.client,
    kind: WORKLOAD_ENTRY,
    clock: systemClock,
    random: () => 0.5,
    log,
  });
  informer.start();
  return { informer, [Symbol.dispose]: () => informer.stop() };
}

test('a change of a file reaches a watch, in whatever version of the kind it is written', async () => {
  await using rig = folder();
  rig.write('vm.yaml', ENTRY('192.0.2.1'));
  using watching = informerOf(rig);
  const { informer } = watching;
  await until('the entry', () => informer.get('shop/vm-1'));
  equal(informer.get('shop/vm-1')?.apiVersion, 'networking.istio.io/v1');
  equal(informer.get('shop/vm-1')?.metadata.generation, 1);
  rig.write('vm.yaml', ENTRY('192.0.2.20'));
  await until('the change', () => informer.get('shop/vm-1')?.spec?.['address'] === '192.0.2.20');
  equal(informer.get('shop/vm-1')?.metadata.generation, 2);
  rmSync(join(rig.path, 'vm.yaml'));
  await until('its end', () => informer.size === 0);
});

test('namespaces are there once something is in them', async () => {
  await using rig = folder();
  rig.write('vm.yaml', ENTRY('192.0.2.1'));
  await rig.filled();
  const { items } = await rig.client.list(NAMESPACE);
  deepEqual(
    items.map(({ metadata }) => metadata.name),
    ['shop'],
  );
});

test('a file that cannot be read, or an object that cannot be used, leaves the last good state and is reported', async () => {
  await using rig = folder();
  rig.write('vm.yaml', ENTRY('192.0.2.1'));
  using watching = informerOf(rig);
  const { informer } = watching;
  await until('the entry', () => informer.get('shop/vm-1'));
  rig.write('vm.yaml', 'spec: [');
  await until('the problem', () => rig.health.summary().get('folder') === false);
  match(JSON.stringify(rig.health.view()), /vm\.yaml:1: /);
  equal(informer.size, 1);
  rig.write('vm.yaml', ENTRY('{}'));
  await until('the other problem', () => /spec\.address/.test(JSON.stringify(rig.health.view())));
  equal(informer.get('shop/vm-1')?.spec?.['address'], '192.0.2.1');
  rig.write('vm.yaml', ENTRY('192.0.2.2'));
  await until('all is well', () => rig.health.summary().get('folder') === true);
  await until('the new address', () => informer.get('shop/vm-1')?.spec?.['address'] === '192.0.2.2');
});

test('a folder that goes away keeps its objects until it is back', async () => {
  await using rig = folder();
  rig.write('vm.yaml', ENTRY('192.0.2.1'));
  using watching = informerOf(rig);
  const { informer } = watching;
  await until('the entry', () => informer.get('shop/vm-1'));
  renameSync(rig.path, `${rig.path}.away`);
  await until('the report', () => rig.health.summary().get('folder') === false);
  equal(informer.size, 1);
  ok(rig.lines.some((line) => line.includes('what was read before stays')));
  renameSync(`${rig.path}.away`, rig.path);
  await until('the recovery', () => rig.health.summary().get('folder') === true);
});

test('what was written outlives the process, and a file’s object is changed in its file only', async () => {
  await using rig = folder();
  rig.write(
    'se.yaml',
    'apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api, namespace: shop}\nspec: {hosts: [api.test]}\n',
  );
  const address = { namespace: 'shop', name: 'api' };
  await rig.filled();
  await rig.client.create(SECRET, { metadata: { name: 'root', namespace: 'shop' }, data: { key: 'eA==' } });
  await rig.client.mergePatch(
    SERVICE_ENTRY,
    { ...address, subresource: 'status' },
    {
      status: { addresses: [{ host: 'api.test', value: '240.240.0.1' }] },
    },
  );
  await rejects(
    rig.client.mergePatch(SERVICE_ENTRY, address, { spec: { hosts: ['other.test'] } }),
    /changed in its file only/,
  );
  await rig.restart();
  await rig.filled();
  deepEqual((await rig.client.get(SECRET, { namespace: 'shop', name: 'root' }))?.data, { key: 'eA==' });
  const entry = await rig.client.get(SERVICE_ENTRY, address);
  deepEqual(entry?.status?.['addresses'], [{ host: 'api.test', value: '240.240.0.1' }]);
});

test('a manager that applies conditions removes those it gave before, and nobody else’s', async () => {
  await using rig = folder();
  rig.write('vm.yaml', ENTRY('192.0.2.1'));
  await rig.filled();
  const say = (fieldManager: string, ...types: string[]) => {
    const conditions = types.map((type) => ({ type, status: 'True' }));
    const object: GenericObject = { metadata: { name: 'vm-1', namespace: 'shop' }, status: { conditions } };
    return rig.client.apply(WORKLOAD_ENTRY, object, { fieldManager, subresource: 'status' });
  };
  await say('a', 'One', 'Two');
  await say('b', 'Three');
  const last = await say('a', 'Two');
  const left = (last.status?.['conditions'] ?? []) as { type: string }[];
  deepEqual(left.map(({ type }) => type).sort(), ['Three', 'Two']);
});

test('a writer that has seen an older version is told to look again', async () => {
  await using rig = folder();
  rig.write('vm.yaml', ENTRY('192.0.2.1'));
  await rig.filled();
  const map = await rig.client.create(CONFIG_MAP, { metadata: { name: 'm', namespace: 'shop' }, data: { a: '1' } });
  await rig.client.update(CONFIG_MAP, { ...map, data: { a: '2' } });
  await rejects(rig.client.update(CONFIG_MAP, { ...map, data: { a: '3' } }), /has changed since/);
  await rejects(rig.client.create(CONFIG_MAP, { metadata: { name: 'm', namespace: 'shop' } }), /exists/);
});

test('a token is whose Secret it is, and no other opens anything', async () => {
  await using rig = folder();
  const token = 'x'.repeat(40);
  rig.write(
    'token.yaml',
    `apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: vm, namespace: shop, annotations: {kubernetes.io/service-account.name: vm}}
stringData: {token: ${token}}
`,
  );
  await rig.filled();
  const review = async (text: string) =>
    (await rig.client.create(TOKEN_REVIEW, { metadata: { name: '' }, spec: { token: text } })).status;
  equal((await review(token))?.user?.username, 'system:serviceaccount:shop:vm');
  equal((await review(`${token}x`))?.authenticated, false);
  equal((await review(''))?.authenticated, false);
});
