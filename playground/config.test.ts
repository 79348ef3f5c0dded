// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configOf, type UpFlags } from './config.ts';
import { imageMap } from './image-map.ts';
import { findImage } from './kubelet/images.ts';

const flags = (changes: Partial<UpFlags> = {}): UpFlags => ({
  ...{
    name: 'playground',
    nodes: '2',
    clusters: '1',
    machines: '0',
    program: [],
    image: [],
    manifest: [],
    keep: false,
    mesh: true,
    timeout: '120',
    ...changes,
  },
});
const config = (changes: Partial<UpFlags>) => configOf(flags(changes), {}, '/project');

test('every bad setting is told at once', () => {
  assert.throws(
    () =>
      config({
        name: 'No!',
        nodes: '0',
        machines: 'some',
        timeout: 'soon',
        program: ['envoy=x'],
        kubeconfig: '/none',
        manifest: ['/no'],
      }),
    (error: Error) =>
      ['--name', '--nodes', '--machines', '--timeout', '--program', '--kubeconfig', '--manifest'].every((field) =>
        error.message.includes(field),
      ),
  );
});

test('a program is replaced by a command with words, quoted ones kept together', () => {
  const { programs, images } = config({ program: ['ztunnel=/opt/zt --log "a b"'], image: ['x/y=cat'] });
  assert.deepEqual(programs.ztunnel, ['/opt/zt', '--log', 'a b']);
  const map = imageMap('node-1', { project: '/project', node: '/node', programs, images });
  assert.deepEqual(findImage(map, 'ambit/ztunnel:0.1.0')?.entrypoint, ['/opt/zt', '--log', 'a b']);
  assert.deepEqual(findImage(map, 'ambit/istiod:0.1.0')?.entrypoint, ['/project/bin/istiod']);
  assert.deepEqual(findImage(map, 'x/y:2')?.entrypoint, ['cat']);
});

test('a program is replaced on one node only', () => {
  const { programs, images } = config({ program: ['ztunnel=/all', 'ztunnel@node-2=/one'] });
  const on = (node: string) => imageMap(node, { project: '/project', node: '/node', programs, images });
  assert.deepEqual(findImage(on('node-1'), 'ambit/ztunnel:0.1.0')?.entrypoint, ['/all']);
  assert.deepEqual(findImage(on('node-2'), 'ambit/ztunnel:0.1.0')?.entrypoint, ['/one']);
  assert.throws(() => config({ program: ['ztunnel@node-3=/x'] }), /no node node-3.*node-1 to node-2/);
});
