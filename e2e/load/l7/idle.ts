// SPDX-License-Identifier: Apache-2.0
// What 9,000 kept connections of clients cost a proxy while nobody asks anything.
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { eventually } from '../../harness/eventually.ts';
import { background, run } from '../../harness/run.ts';
import { familyOf, pssMb } from '../usage.ts';
import type { L7Peer, L7Setting } from './peer.ts';
import { pathOf, peerFolder } from './peers.ts';

const COUNT = 9000;
/** A proxy that collects its garbage in quiet times has had one by then. */
const SETTLE_MS = 8000;

export interface IdleFigures {
  readonly base_mb: number;
  readonly with_mb: number;
}

export async function idleCost(peer: L7Peer, port: number, upstream: number, setting: L7Setting): Promise<IdleFigures> {
  await using stack = new AsyncDisposableStack();
  const folder = peerFolder();
  stack.defer(() => folder.remove());
  const running = peer.start(port, upstream, setting, folder.path);
  stack.defer(() => running.stop('SIGTERM'));
  const url = `http://127.0.0.1:${port}${pathOf(0)}`;
  const load = (): Promise<string> => run('wrk', ['-t1', '-c64', '-d3s', url], { timeoutMs: 30_000 });
  // Code that has not run yet is compiled, and memory taken, by the first load: that is not what is asked here.
  await eventually('an answer', load, { withinMs: 30_000 });
  await setTimeout(SETTLE_MS);
  const base_mb = pssMb(familyOf([running.process.pid!]));
  const words = ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, '../idle-client.ts')];
  const idle = background(process.execPath, [...words, '127.0.0.1', String(port), String(COUNT), pathOf(0)]);
  stack.defer(() => idle.stop('SIGKILL'));
  await eventually(`${COUNT} idle connections`, () => /open/.test(idle.output()), { withinMs: 60_000 });
  await setTimeout(SETTLE_MS);
  // Others' settings are not what the run is about.
  if (/cut/.test(idle.output())) console.error(`${peer.name} cut idle connections: its figure is too small`);
  return { base_mb, with_mb: pssMb(familyOf([running.process.pid!])) };
}
