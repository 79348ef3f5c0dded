// SPDX-License-Identifier: Apache-2.0
// make interop: the demo's checks on clusters whose parts are partly another implementation's, and a matrix of what
// held. PEER_ZTUNNEL, PEER_ISTIOD, PEER_CNI name the programs (peers.ts); pairings that lack one are listed as not run.
//   INTEROP_ONLY=PART,…  only pairings whose id contains one of these, e.g. "A A" or "PP"
//   KEEP=1               leaves the cluster of the first pairing that fails up, and stops there
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import color from 'picocolors';
import { type Outcome, runChecks } from '../demo/check.ts';
import { CHECKS } from '../demo/checks.ts';
import { Cluster } from '../harness/cluster.ts';
import { endedByHand, orEnded } from '../harness/ended-by-hand.ts';
import type { Parts } from '../harness/parts.ts';
import { ROOT } from '../harness/run.ts';
import { Shop } from '../harness/shop.ts';
import { saveEvidence } from './evidence.ts';
import { matrixText, type Result } from './matrix.ts';
import { PAIRINGS, type Pairing } from './pairings.ts';
import { HOW, missingFor, type Peers, peersOf, programWords } from './peers.ts';
import { verifyParts } from './provenance.ts';

/** A cluster that starts slower than this is broken: the slowest peer is ready in half of it. */
const UP_SECONDS = 100;

const folder = join(ROOT, `.cache/interop/${process.pid}`);
const evidence = join(ROOT, '.cache/interop/evidence');
const keep = (process.env['KEEP'] ?? '') !== '';
const only = (process.env['INTEROP_ONLY'] ?? '').split(',').filter((part) => part !== '');
const started = performance.now();
const say = (line: string): void =>
  console.log(`${color.dim(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)} s`)}  ${line}`);
// Ended by hand, it leaves as little behind as when it ends.
const ended = endedByHand();

try {
  process.exitCode = await interop();
} catch (error) {
  console.error(`interop: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = ended.aborted ? 130 : 1;
} finally {
  if (!keep || ended.aborted || process.exitCode === 0) rmSync(folder, { recursive: true, force: true });
}
// Checks that were left may go on for minutes.
process.exit();

async function interop(): Promise<number> {
  const peers = peersOf((name) => process.env[name], folder);
  const chosen = PAIRINGS.filter(({ id }) => only.length === 0 || only.some((part) => id.includes(part)));
  const possible = chosen.filter(({ parts }) => missingFor(parts, peers).length === 0);
  const impossible = chosen.filter((pairing) => !possible.includes(pairing));
  if (possible.length === 0) throw new Error(`no pairing can run: ${HOW}`);
  rmSync(evidence, { recursive: true, force: true });
  mkdirSync(evidence, { recursive: true });
  const results: Result[] = [];
  for (const pairing of possible) {
    const result = await tryPairing(pairing, peers);
    results.push(result);
    if (keep && !result.passed) break;
  }
  console.log(`\n${matrixText(results)}`);
  for (const { id, parts, why } of impossible) {
    console.log(`not run: ${id} (${why}): set ${missingFor(parts, peers).join(', ')}`);
  }
  const failed = results.filter(({ passed }) => !passed).length;
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(
    `${results.length} pairings, ${results.length - failed} passed, ${impossible.length} not run, ${seconds} s`,
  );
  return failed === 0 && results.length === possible.length ? 0 : 1;
}

async function tryPairing(pairing: Pairing, peers: Peers): Promise<Result> {
  const { id, parts, why } = pairing;
  say(`${color.bold(id)}  ${why}`);
  const words = [...programWords(parts, peers), '--keep', '--timeout', String(UP_SECONDS)];
  const name = `interop-${process.pid}`;
  const save = (): Promise<void> => saveEvidence(name, join(evidence, id.replaceAll(' ', '')));
  if (parts.istiod === 'peer') words.push('--manifest', join(import.meta.dirname, 'peer-istiod.yaml'));
  let kept = false;
  let cluster: Cluster | undefined;
  try {
    cluster = await Cluster.up({ name, args: words, onFailure: save, ended });
    const outcomes = await orEnded(ended, outcomesOn(cluster, parts));
    const passed = outcomes.every((outcome) => outcome.passed);
    if (!passed) await save();
    kept = keep && !passed;
    return { pairing, outcomes, passed };
  } catch (error) {
    ended.throwIfAborted();
    const failure = error instanceof Error ? error.message : String(error);
    say(`  ${color.red('FAIL')} ${failure}`);
    return { pairing, outcomes: [], passed: false, failure };
  } finally {
    if (kept) say(`left up: bin/ambit playground status --name ${cluster?.name}`);
    else await cluster?.down();
  }
}

async function outcomesOn(cluster: Cluster, parts: Parts): Promise<Outcome[]> {
  await verifyParts(cluster, parts);
  const shop = new Shop(cluster);
  await shop.open();
  return await runChecks(CHECKS, { cluster, shop, parts }, ({ check, passed, seen, seconds }) => {
    const mark = passed ? color.green('ok  ') : color.red('FAIL');
    if (!ended.aborted) say(`  ${mark} (${check.id}) ${seconds.toFixed(0)} s  ${seen}`);
  });
}
