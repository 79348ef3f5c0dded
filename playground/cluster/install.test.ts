// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseManifests, readManifests } from './install.ts';

const manifests = join(import.meta.dirname, '../../manifests');

test('every manifest of the project can be read', () => {
  // manifests/standalone is for machines outside Kubernetes: rules of nft.
  const folders = readdirSync(manifests).filter((folder) => folder !== 'standalone');
  for (const folder of folders) {
    assert.ok(readManifests(join(manifests, folder)).length > 0, `manifests/${folder} holds nothing`);
  }
});

test('the mesh is installed under the names that users and other parts of a mesh know', () => {
  const names = readManifests(join(manifests, 'install')).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
  for (const name of [
    'Namespace istio-system',
    'Deployment istiod',
    'Service istiod',
    'DaemonSet ztunnel',
    'DaemonSet istio-cni-node',
  ]) {
    assert.ok(names.includes(name), `${name} is missing`);
  }
});

test('a document without a kind and text that is no YAML are told with their file', () => {
  assert.throws(() => parseManifests('a: 1\n', 'x.yaml'), /x\.yaml: a document has no kind or no name/);
  assert.throws(() => parseManifests('a: [\n', 'x.yaml'), /x\.yaml: /);
  assert.deepEqual(parseManifests('---\n---\n', 'x.yaml'), []);
});
