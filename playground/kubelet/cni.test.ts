// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { type CniPod, cniAdd, cniDel, loadCniConfig, parseCniConfig } from './cni.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ambit-cni-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const pod: CniPod = {
  containerId: 'c1',
  netns: '/run/netns/x',
  name: 'web',
  namespace: 'shop',
  uid: 'u1',
  portMappings: [],
};

/** A plugin that notes how it was called and answers with `answer`, or fails with it. */
function plugin(type: string, answer: string, status = 0): void {
  const file = join(dir, type);
  writeFileSync(
    file,
    `#!/bin/sh\n{ echo "${type} $CNI_COMMAND $CNI_ARGS"; cat; echo; } >> ${dir}/calls\necho '${answer}'\nexit ${status}\n`,
  );
  chmodSync(file, 0o755);
}
const calls = (): string => readFileSync(join(dir, 'calls'), 'utf8');
const config = (...types: string[]) =>
  parseCniConfig(
    'x.conflist',
    JSON.stringify({ cniVersion: '1.0.0', name: 'net', plugins: types.map((type) => ({ type })) }),
  )!;

test('the lexically first valid configuration is used, a single plugin as a list of one', () => {
  writeFileSync(join(dir, '00-broken.conf'), '{');
  writeFileSync(join(dir, '01-empty.conflist'), '{"name":"e","plugins":[]}');
  writeFileSync(join(dir, '20-late.conflist'), '{"name":"late","plugins":[{"type":"x"}]}');
  writeFileSync(join(dir, '10-one.conf'), '{"name":"one","cniVersion":"0.4.0","type":"ptp"}');
  const found = loadCniConfig(dir);
  assert.deepEqual([found?.name, found?.cniVersion, found?.plugins[0]?.type], ['one', '0.4.0', 'ptp']);
});

test('each plugin is given its predecessor’s result, and the pod by its arguments', async () => {
  plugin('first', '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24"}]}');
  plugin('second', '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24"},{"address":"fd00::2/64"}]}');
  const result = await cniAdd({ confDir: dir, binDirs: [dir] }, config('first', 'second'), pod);
  assert.deepEqual(
    result.ips.map(({ address }) => address),
    ['10.0.0.2/24', 'fd00::2/64'],
  );
  assert.match(
    calls(),
    /second ADD IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u1/,
  );
  assert.match(calls(), /"prevResult":\{"cniVersion":"1.0.0","ips":\[\{"address":"10.0.0.2\/24"\}\]\}/);
});

test('a plugin that refuses is named with its words, and what was added is taken back', async () => {
  plugin('first', '{"cniVersion":"1.0.0"}');
  plugin('second', '{"code":11,"msg":"no node agent","details":"try later"}', 1);
  await assert.rejects(
    cniAdd({ confDir: dir, binDirs: [dir] }, config('first', 'second'), pod),
    /plugin type="second" failed \(add\): no node agent: try later/,
  );
  assert.match(calls(), /first DEL/);
});

test('on removal every plugin is asked, the last one first, whatever the others say', async () => {
  plugin('first', '');
  plugin('second', 'broken', 1);
  await assert.rejects(
    cniDel({ confDir: dir, binDirs: [dir] }, config('first', 'second'), pod, undefined),
    /type="second"/,
  );
  assert.deepEqual(calls().match(/^\w+ DEL/gm), ['second DEL', 'first DEL']);
});

test('a plugin that is not installed is named with the folders that were looked in', async () => {
  await assert.rejects(
    cniAdd({ confDir: dir, binDirs: [dir] }, config('none'), pod),
    /failed to find plugin "none" in path/,
  );
});
