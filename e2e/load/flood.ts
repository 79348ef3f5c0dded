// SPDX-License-Identifier: Apache-2.0
// Every known HTTP/2 flood, at full speed, on a node proxy and on a waypoint with one data-plane process each, beside a
// well-behaved client: its p99 with and without each, and the victim's memory. The victims have one processor, attacker
// and client share the other.   node e2e/load/flood.ts   FLOOD_SECONDS (2)   FLOOD_VICTIMS, FLOOD_ATTACKS (all)
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import Table from 'cli-table3';
import { ATTACKS, KNOCKS } from '#lib/testkit/flood/attacks.ts';
import { FloodRig, type Victim } from '#lib/testkit/flood/rig.ts';
import { familyOf, pssMb } from './usage.ts';

const CONNECTIONS = 8;
const WARM_UP_MS = 2000;
const RESULTS = join(import.meta.dirname, 'results/flood.json');

interface Figures {
  readonly victim: string;
  readonly attack: string;
  readonly quietP99Ms: number;
  readonly floodedP99Ms: number;
  readonly requests: number;
  readonly failures: number;
  readonly megabytes: number;
  readonly connections: number;
  readonly beforeMb: number;
  readonly mostMb: number;
}

const env = (name: string, fallback: string): string => process.env[name] || fallback;
const ms = Number(env('FLOOD_SECONDS', '2')) * 1000;
const wanted = (name: string, list: string): boolean => list === '' || list.split(',').includes(name);

await main();
process.exit();

async function main(): Promise<void> {
  const place = {
    victims: ['taskset', '-c', '0'],
    client: ['taskset', '-c', '1', 'nice', '-n', '-15'],
    attacker: ['taskset', '-c', '1', 'nice', '-n', '10'],
  };
  await using rig = await FloodRig.start(place);
  const figures: Figures[] = [];
  for (const victim of rig.victims) {
    if (wanted(victim.name, env('FLOOD_VICTIMS', ''))) figures.push(...(await suffer(rig, victim)));
  }
  mkdirSync(join(RESULTS, '..'), { recursive: true });
  writeFileSync(RESULTS, `${JSON.stringify(figures, null, 2)}\n`);
  console.log(tableOf(figures));
}

async function suffer(rig: FloodRig, victim: Victim): Promise<Figures[]> {
  const figures: Figures[] = [];
  const good = await rig.goodClient(victim);
  const memory = (): number => pssMb(familyOf([victim.pid]));
  await setTimeout(WARM_UP_MS);
  for (const attack of [...ATTACKS.keys(), ...KNOCKS]) {
    if (!wanted(attack, env('FLOOD_ATTACKS', ''))) continue;
    await good.period();
    await setTimeout(ms);
    const quiet = await good.period();
    const beforeMb = memory();
    let mostMb = beforeMb;
    const look = setInterval(() => {
      mostMb = Math.max(mostMb, memory());
    }, 200);
    const outcome = await rig.attack({ attack, target: victim.target, connections: CONNECTIONS, ms });
    const flooded = await good.period();
    clearInterval(look);
    figures.push({
      ...{ victim: victim.name, attack, quietP99Ms: quiet.p99, floodedP99Ms: flooded.p99 },
      ...{ requests: flooded.requests, failures: flooded.failures },
      ...{ megabytes: outcome.bytes / 1e6, connections: outcome.opened, beforeMb, mostMb },
    });
    process.stderr.write(`${victim.name}: ${attack}: p99 ${quiet.p99.toFixed(2)} → ${flooded.p99.toFixed(2)} ms\n`);
    // What was begun in the attack ends, so that the next one is alone.
    await setTimeout(ms / 2);
  }
  good.end();
  return figures;
}

function tableOf(figures: readonly Figures[]): string {
  const head = ['victim', 'attack', 'MB sent', 'connections', 'p99 quiet', 'p99 flooded', '×', 'failed', 'memory, MB'];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const one of figures) {
    table.push([
      ...[one.victim, one.attack, one.megabytes.toFixed(0), one.connections],
      ...[`${one.quietP99Ms.toFixed(2)} ms`, `${one.floodedP99Ms.toFixed(2)} ms`],
      ...[(one.floodedP99Ms / one.quietP99Ms).toFixed(1), `${one.failures} of ${one.requests + one.failures}`],
      `${one.beforeMb.toFixed(0)} → ${one.mostMb.toFixed(0)}`,
    ]);
  }
  return table.toString();
}
