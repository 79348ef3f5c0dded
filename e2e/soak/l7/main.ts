// SPDX-License-Identifier: Apache-2.0
// make soak-l7: a waypoint on the playground under steady load of every kind, while routes, policies and pods change and certificates
// live a minute. At the end: no request failed that should pass, none passed that policy denies, no stream broke, memory is flat, no
// descriptor is left over.
//   SOAK_SECONDS (600)   SOAK_L7_RATE (200 requests a second)   SOAK_CHANGE_MS (1000 between changes)   SOAK_KEEP leaves the cluster up
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Cluster } from '../../harness/cluster.ts';
import { background, ROOT } from '../../harness/run.ts';
import type { Sample } from '../verdict.ts';
import { applyAll, Changes } from './changes.ts';
import { IMAGES, NAMESPACE, objects, WAYPOINT } from './objects.ts';
import { type Tally, verdictAtL7 } from './verdict.ts';
import { SoakedWaypoint } from './waypoint.ts';

const env = (name: string, fallback: number): number => Number(process.env[name] || fallback);
const seconds = env('SOAK_SECONDS', 600);
const rate = env('SOAK_L7_RATE', 200);
const changeMs = env('SOAK_CHANGE_MS', 1000);
const keep = (process.env['SOAK_KEEP'] ?? '') !== '';
const WORKERS = 2;
/** Before the first sample: code is compiled, and memory taken, by the first load. */
const WARM_UP_S = 20;
/** Pools give back what they hold within this. */
const QUIET_MS = 12_000;
const SAMPLE_MS = 5000;

const NODE = [process.execPath, '--disable-warning=ExperimentalWarning'];

// Ended by hand, it takes down what it has built.
const ended = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => ended.abort(new Error(`ended by ${signal}`)));

process.exit(await soak());

async function soak(): Promise<number> {
  const images = Object.entries(IMAGES).flatMap(([image, script]) => [
    '--image',
    `${image}=${[...NODE, join(import.meta.dirname, script)].join(' ')}`,
  ]);
  const ztunnel = ['--program', `ztunnel=env SECRET_TTL=60s ${join(ROOT, 'bin/ztunnel')}`];
  const cluster = await Cluster.up({ name: `soak-${process.pid}`, args: [...images, ...ztunnel] });
  try {
    return await soakOn(cluster);
  } finally {
    if (!keep) await cluster.down();
  }
}

async function soakOn(cluster: Cluster): Promise<number> {
  await applyAll(cluster, objects(WORKERS));
  const { status, stderr } = await cluster.ambit('-n', NAMESPACE, 'waypoint', 'status', WAYPOINT);
  if (status !== 0) throw new Error(`the waypoint does not become ready: ${stderr}`);
  await cluster.ready(NAMESPACE, 7);
  const waypoint = await SoakedWaypoint.of(cluster);
  console.log(`soak: ${seconds} s, ${rate} requests a second and streams, a change every ${changeMs} ms`);

  await load(cluster, WARM_UP_S).result;
  await quiet();
  const before = [waypoint.descriptors()];
  const renewedBefore = await waypoint.certificates();

  const running = load(cluster, seconds);
  const changes = new Changes(cluster);
  const changing = changes.run(changeMs);
  const samples: Sample[] = [];
  const began = performance.now();
  const elapsed = (): number => (performance.now() - began) / 1000;
  while (elapsed() < seconds) {
    await delay(SAMPLE_MS, undefined, { signal: ended.signal });
    samples.push({ second: elapsed(), memoryMb: [waypoint.memoryMb()] });
    const made = Object.entries(changes.made).map(([what, n]) => `${n} ${what}`);
    const { memoryMb, second } = samples.at(-1)!;
    console.log(`  ${second.toFixed(0).padStart(4)} s  ${memoryMb[0]!.toFixed(0)} MB  changes: ${made.join(', ')}`);
  }
  changes.stop();
  await changing;
  const tallies = await running.result;
  await quiet();
  const { passed, text } = verdictAtL7({
    ...{ seconds, tallies, samples, changes: changes.made },
    descriptors: { before, after: [waypoint.descriptors()] },
    renewals: (await waypoint.certificates()) - renewedBefore,
    restarts: await waypoint.restarts(),
  });
  console.log(text);
  // What it said of itself tells more than the table.
  if (!passed) console.log((await waypoint.complaints()).slice(-30).join('\n'));
  return passed ? 0 : 1;
}

/** The load from its pod; its result comes when it has ended. */
function load(cluster: Cluster, forSeconds: number): { readonly result: Promise<Record<string, Tally>> } {
  const words = [...NODE, join(import.meta.dirname, 'client.ts'), String(forSeconds), String(rate)];
  const target = ['kubectl', 'exec', '-n', NAMESPACE, 'deploy/load', '--', ...words];
  const running = background(join(ROOT, 'bin/ambit'), target, { KUBECONFIG: cluster.kubeconfig });
  const result = new Promise<Record<string, Tally>>((resolve, reject) => {
    running.process.once('close', () => {
      const line = running
        .output()
        .split('\n')
        .find((text) => text.startsWith('{'));
      if (line === undefined) reject(new Error(`the load told nothing:\n${running.output()}`));
      else resolve(JSON.parse(line) as Record<string, Tally>);
    });
  });
  return { result };
}

function quiet(): Promise<void> {
  return delay(QUIET_MS, undefined, { signal: ended.signal });
}
