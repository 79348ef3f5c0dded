// SPDX-License-Identifier: Apache-2.0
// make demo: the mesh end to end on this machine, each statement checked. `--keep` leaves it up, a first
// word `--name=NAME` names the cluster; other words go to `ambit playground up` (--kubeconfig FILE, --program NAME=COMMAND).
import Table from 'cli-table3';
import color from 'picocolors';
import { Cluster } from '../harness/cluster.ts';
import { endedByHand, orEnded } from '../harness/ended-by-hand.ts';
import { ALL_OURS } from '../harness/parts.ts';
import { Shop } from '../harness/shop.ts';
import { type Outcome, runChecks } from './check.ts';
import { CHECKS } from './checks.ts';
import { LAYER_7 } from './layer-7.ts';

const NAME = '--name=';
const words = process.argv.slice(2);
const name = words.find((word) => word.startsWith(NAME))?.slice(NAME.length) ?? `demo-${process.pid}`;
const keep = words.includes('--keep') || (process.env['KEEP'] ?? '') !== '';
const started = performance.now();
const elapsed = (): string => `${((performance.now() - started) / 1000).toFixed(0).padStart(3)} s`;
const say = (line: string): void => console.log(`${color.dim(elapsed())}  ${line}`);
// Ended by hand, it leaves as little behind as when it ends.
const ended = endedByHand();

try {
  process.exit(await demo());
} catch (error) {
  console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(ended.aborted ? 130 : 1);
}

async function demo(): Promise<number> {
  say('bringing up a cluster of two nodes, with the mesh installed');
  const args = words.filter((word) => word !== '--keep' && !word.startsWith(NAME));
  const cluster = await Cluster.up({ name, args, ended });
  try {
    const outcomes = await orEnded(ended, showOn(cluster));
    print(outcomes);
    if (keep) hints(cluster);
    return outcomes.every(({ passed }) => passed) ? 0 : 1;
  } finally {
    if (!keep || ended.aborted) {
      say('taking the cluster down');
      await cluster.down();
    }
  }
}

async function showOn(cluster: Cluster): Promise<Outcome[]> {
  const shop = new Shop(cluster);
  say('opening the shop: four services, and a shopper that keeps them busy');
  await shop.open();
  return await runChecks([...CHECKS, ...LAYER_7], { cluster, shop, parts: ALL_OURS }, (outcome) => {
    if (!ended.aborted) say(lineOf(outcome));
  });
}

function lineOf({ check, passed, seen }: Outcome): string {
  const mark = passed ? color.green('ok  ') : color.red('FAIL');
  return `${mark} (${check.id}) ${check.sentence}${passed ? '' : `\n${seen}`}`;
}

function print(outcomes: readonly Outcome[]): void {
  const table = new Table({
    head: ['', 'statement', 'seen', 's'],
    colWidths: [5, 50, 56, 6],
    wordWrap: true,
    style: { head: [], border: [] },
  });
  for (const { check, passed, seen, seconds } of outcomes) {
    table.push([
      passed ? color.green('ok') : color.red('FAIL'),
      `(${check.id}) ${check.sentence}`,
      seen,
      seconds.toFixed(0),
    ]);
  }
  console.log(table.toString());
  const passed = outcomes.filter((outcome) => outcome.passed).length;
  console.log(`${outcomes.length} checks, ${passed} passed in ${elapsed().trim()}`);
}

function hints(cluster: Cluster): void {
  console.log(`
The cluster stays up. Try:
  export KUBECONFIG=${cluster.kubeconfig}
  bin/ambit kubectl get pods -A -o wide
  bin/ambit ztunnel-config all
  bin/ambit explain --from shop/$(bin/ambit kubectl get pod -n shop -l app=shopper -o name | cut -d/ -f2) --to web.shop:8080
Take it down with:
  bin/ambit playground down --name ${cluster.name}`);
}
