// SPDX-License-Identifier: Apache-2.0
// make soak-l7: a waypoint on the playground under steady load of every kind, while routes, policies and pods change and certificates
// live a minute. At the start, half-way and at the end the load rests, to see what is held then. No request may fail that should pass, none
// pass that policy denies, no stream break; memory is flat, no descriptor is left over.
//   SOAK_SECONDS (600)   SOAK_L7_RATE (200 requests a second)   SOAK_CHANGE_MS (1000 between changes)   SOAK_KEEP leaves the cluster up

import { join } from 'node:path';
import { Cluster } from '../../harness/cluster.ts';
import { endedByHand } from '../../harness/ended-by-hand.ts';
import { background, ROOT } from '../../harness/run.ts';
import { runCourse } from '../course.ts';
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

const NODE = [process.execPath, '--disable-warning=ExperimentalWarning'];

// Ended by hand, it takes down what it has built.
const ended = endedByHand();

process.exit(await soak());

async function soak(): Promise<number> {
  const images = Object.entries(IMAGES).flatMap(([image, script]) => [
    '--image',
    `${image}=${[...NODE, join(import.meta.dirname, script)].join(' ')}`,
  ]);
  const ztunnel = ['--program', `ztunnel=env SECRET_TTL=60s ${join(ROOT, 'bin/ztunnel')}`];
  const cluster = await Cluster.up({ name: `soak-${process.pid}`, args: [...images, ...ztunnel], ended });
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
  const renewedBefore = await waypoint.certificates();

  const tallies: Record<string, Tally> = {};
  const changes = new Changes(cluster);
  const course = await runCourse({
    ...{ seconds, programs: [waypoint], signal: ended },
    load: async (forSeconds) => {
      const running = load(cluster, forSeconds);
      const changing = changes.run(changeMs);
      try {
        add(tallies, await running.result);
      } finally {
        changes.stop();
        await changing;
      }
    },
    detail: () =>
      `changes: ${Object.entries(changes.made)
        .map(([what, n]) => `${n} ${what}`)
        .join(', ')}`,
  });
  const { passed, text } = verdictAtL7({
    ...{ ...course, tallies, changes: changes.made },
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

/** Adds what one load told to what those before it did. */
function add(sum: Record<string, Tally>, told: Readonly<Record<string, Tally>>): void {
  for (const [kind, { failed, ok, reasons }] of Object.entries(told)) {
    const one = sum[kind] ?? { ok: 0, failed: 0, reasons: {} };
    sum[kind] = one;
    one.ok += ok;
    one.failed += failed;
    for (const [reason, n] of Object.entries(reasons)) one.reasons[reason] = (one.reasons[reason] ?? 0) + n;
  }
}
