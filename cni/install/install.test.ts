// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { systemClock } from '#lib/kit/clock.ts';
import { createLogger } from '#lib/kit/log.ts';
import { until } from '#lib/testkit/until.ts';
import { DEFAULT_SELECTORS } from '../enablement.ts';
import { hasPlugin, primaryFile, withoutPlugin, withPlugin } from './conflist.ts';
import { Installer } from './installer.ts';

const settings = {
  runDir: '/var/run/istio-cni',
  ambient: true,
  selectors: DEFAULT_SELECTORS,
  excludedNamespaces: ['kube-system'],
  agentNamespace: 'istio-system',
};
const list = (...types: string[]) =>
  JSON.stringify({ cniVersion: '1.0.0', name: 'net', plugins: types.map((type) => ({ type })) });
const typesOf = (text: string) => (JSON.parse(text) as { plugins: { type: string }[] }).plugins.map(({ type }) => type);

let root: string;
let installer: Installer | undefined;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ambit-install-'));
  for (const dir of ['net.d', 'bin', 'run', 'sa']) mkdirSync(join(root, dir));
  writeFileSync(join(root, 'sa/token'), 'first\n');
  writeFileSync(join(root, 'sa/ca.crt'), 'ca');
});
afterEach(async () => {
  await installer?.stop();
  rmSync(root, { recursive: true, force: true });
});

function install(): { readonly states: boolean[] } {
  const states: boolean[] = [];
  installer = new Installer({
    ...{
      confDir: join(root, 'net.d'),
      binDir: join(root, 'bin'),
      runDir: join(root, 'run'),
      serviceAccountDir: join(root, 'sa'),
    },
    ...{
      settings,
      server: 'https://10.96.0.1:443',
      clock: systemClock,
      log: createLogger({ scope: 'cni', level: 'off' }),
    },
    onReady: (ready) => states.push(ready),
    onResult: () => {},
  });
  installer.start();
  return { states };
}

test('the plugin is put last into the chain, once, and taken out again', () => {
  const file = { name: '10-net.conflist', text: list('bridge', 'portmap') };
  const chained = withPlugin(withPlugin(file, settings), settings);
  assert.deepEqual(typesOf(chained.text), ['bridge', 'portmap', 'istio-cni']);
  assert.deepEqual(typesOf(withoutPlugin(chained)!.text), ['bridge', 'portmap']);
  assert.equal(withoutPlugin(file), undefined);
});

test('a single plugin becomes a list in a conflist of the same name', () => {
  const chained = withPlugin({ name: '10-net.conf', text: '{"cniVersion":"0.4.0","type":"ptp","name":"n"}' }, settings);
  assert.equal(chained.name, '10-net.conflist');
  assert.deepEqual(typesOf(chained.text), ['ptp', 'istio-cni']);
});

test('the first valid file by name is the primary one', () => {
  const files = [
    { name: '20-b.conflist', text: list('x') },
    { name: '00-broken.conflist', text: '{' },
    { name: '05-none.conflist', text: '{"plugins":[]}' },
    { name: '10-a.json', text: list('y') },
  ];
  assert.equal(primaryFile(files)?.name, '20-b.conflist');
});

test('it waits for a primary plugin, chains itself, and comes back when another program rewrites the file', async () => {
  const { states } = install();
  await until('a first look', () => states.length > 0);
  assert.equal(states[0], false);
  const path = join(root, 'net.d/10-net.conflist');
  writeFileSync(path, list('bridge'));
  await until('the plugin in the chain', () => hasPlugin(readFileSync(path, 'utf8')));
  writeFileSync(path, list('bridge', 'tuning'));
  await until('the plugin in the new chain', () => hasPlugin(readFileSync(path, 'utf8')));
  assert.deepEqual(typesOf(readFileSync(path, 'utf8')), ['bridge', 'tuning', 'istio-cni']);
  assert.ok(statSync(join(root, 'bin/istio-cni')).mode & 0o100);
});

test('a renewed token reaches the kubeconfig', async () => {
  writeFileSync(join(root, 'net.d/10-net.conflist'), list('bridge'));
  install();
  const path = join(root, 'run/istio-cni-kubeconfig');
  await until('a kubeconfig', () => existsSync(path) && readFileSync(path, 'utf8').includes('"first"'));
  writeFileSync(join(root, 'sa/token'), 'second\n');
  await until('the new token', () => readFileSync(path, 'utf8').includes('"second"'));
});

test('uninstalling leaves the primary plugin as it was and nothing of ours', async () => {
  const path = join(root, 'net.d/10-net.conflist');
  writeFileSync(path, list('bridge'));
  install();
  await until('the plugin in the chain', () => hasPlugin(readFileSync(path, 'utf8')));
  await installer!.stop();
  installer!.uninstall();
  assert.deepEqual(typesOf(readFileSync(path, 'utf8')), ['bridge']);
  assert.deepEqual([readdirSync(join(root, 'bin')), readdirSync(join(root, 'run'))], [[], []]);
});
