// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { CHECKS } from '../demo/checks.ts';
import { ROOT } from '../harness/run.ts';
import { matrixText, type Result } from './matrix.ts';
import { PAIRINGS } from './pairings.ts';
import { missingFor, peersOf, programWords } from './peers.ts';

const from = (values: Readonly<Record<string, string>>) => (name: string) => values[name];

/** A folder that nodes can see, with executables of these names in it. */
function programs(...names: string[]): { folder: string } & Disposable {
  mkdirSync(join(ROOT, '.cache'), { recursive: true });
  const folder = mkdtempSync(join(ROOT, '.cache/interop-test-'));
  for (const name of names) {
    writeFileSync(join(folder, name), '#!/bin/sh\n');
    chmodSync(join(folder, name), 0o755);
  }
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

test('with one peer, the pairings that it allows run, and the others tell which variable they lack', () => {
  using files = programs('zt');
  const peers = peersOf(from({ PEER_ZTUNNEL: join(files.folder, 'zt') }), files.folder);
  const possible = PAIRINGS.filter(({ parts }) => missingFor(parts, peers).length === 0);
  assert.deepEqual(
    possible.map(({ id }) => id),
    ['A A PA', 'A A AP', 'A A PP'],
  );
  const everything = PAIRINGS.find(({ id }) => id === 'P P PP')!;
  assert.deepEqual(missingFor(everything.parts, peers), ['PEER_ISTIOD', 'PEER_CNI']);
  assert.deepEqual(programWords(possible[0]!.parts, peers), [
    '--program',
    `ztunnel@node-1=${join(files.folder, 'zt')}`,
  ]);
});

test('a peer’s agent is started as its image would start it, with its plugin in place', () => {
  using files = programs('agent', 'istio-cni');
  const { cni } = peersOf(from({ PEER_CNI: join(files.folder, 'agent') }), join(files.folder, 'made'));
  const script = readFileSync(cni!, 'utf8');
  assert.match(script, new RegExp(`cp -f '${files.folder}/istio-cni' /opt/cni/bin/istio-cni`));
  assert.match(script, new RegExp(`exec '${files.folder}/agent' "\\$@"`));
});

test('a file that cannot be a peer is refused by variable, with the reason', () => {
  using files = programs('agent');
  const peers = (values: Readonly<Record<string, string>>) => () => peersOf(from(values), files.folder);
  assert.throws(peers({ PEER_ISTIOD: '/no/such' }), /PEER_ISTIOD=\/no\/such: there is no such file/);
  assert.throws(
    peers({ PEER_ZTUNNEL: '/proc/version' }),
    /PEER_ZTUNNEL=\/proc\/version: nodes have a proc of their own/,
  );
  assert.throws(peers({ PEER_CNI: join(files.folder, 'agent') }), /name the plugin with PEER_CNI_PLUGIN/);
  assert.throws(peers({ PEER_ISTIOD: join(ROOT, 'package.json') }), /PEER_ISTIOD=.*may not be executed/);
});

test('the matrix tells failures, and what does not apply once with its reason', () => {
  const outcome = (passed: boolean, notApplicable: readonly string[] = []) => ({
    ...{ check: CHECKS[1]!, passed, seen: 'three broken', notApplicable, seconds: 1 },
  });
  const results: Result[] = [
    { pairing: PAIRINGS[0]!, outcomes: [outcome(true, ['a reason'])], passed: true },
    { pairing: PAIRINGS[1]!, outcomes: [outcome(true, ['a reason'])], passed: true },
    { pairing: PAIRINGS[2]!, outcomes: [outcome(false)], passed: false },
    { pairing: PAIRINGS[3]!, outcomes: [], passed: false, failure: 'no cluster' },
  ];
  const text = stripVTControlCharacters(matrixText(results));
  assert.equal(text.match(/│ ok\* /g)?.length, 2);
  assert.equal(text.match(/a reason/g)?.length, 1);
  assert.match(text, /not applicable, a reason \[A A PA; A A AP\]/);
  assert.match(text, /FAIL A A PP \(b\): three broken/);
  assert.match(text, /FAIL P A AA: no cluster/);
});
