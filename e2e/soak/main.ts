// SPDX-License-Identifier: Apache-2.0
// make soak: two nodes with a real ztunnel each under steady load, while pods come and go in namespaces that keep their addresses, policies
// change every second and certificates live a minute. At the start, half-way and at the end the load rests, to see what is held then. No
// request may fail that policy allows, none pass that it denies, memory is flat, no descriptor is left over.
//   SOAK_SECONDS (600)   SOAK_RATE (2200 requests a second)   SOAK_CHURN_MS (200 between pod changes)

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Loop } from '#lib/loop/loop.ts';
import { App, AppServer } from '#lib/testkit/plain-app.ts';
import { PodNetwork } from '#lib/testkit/pod-network.ts';
import { at } from '#lib/testkit/two-nodes.ts';
import { endedByHand } from '../harness/ended-by-hand.ts';
import { eventually } from '../harness/eventually.ts';
import { background } from '../harness/run.ts';
import { Churn } from './churn.ts';
import { runCourse } from './course.ts';
import { DENIED_PORT, SoakMesh } from './mesh.ts';
import { type Enrolled, SoakNode } from './node.ts';
import { verdictOf } from './verdict.ts';

const env = (name: string, fallback: number): number => Number(process.env[name] || fallback);
const seconds = env('SOAK_SECONDS', 600);
const rate = env('SOAK_RATE', 2200);
const churnMs = env('SOAK_CHURN_MS', 200);
const HTTP_PORT = 8080;
/** Namespaces whose pods come and go, half of them on each node. */
const CHURNING = 12;
/** Before the first sample: code is compiled, and memory taken, by the first load. */
const WARM_UP_S = 15;

// Ended by hand, it takes down what it has built.
const ended = endedByHand();

process.exit(await soak());

async function soak(): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'ambit-soak-'));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const network = stack.use(new PodNetwork());
  const loop = new Loop({ spin: false });
  stack.defer(() => loop.dispose());
  const turning = setInterval(() => loop.turn(0), 5);
  stack.defer(() => clearInterval(turning));

  const nodes: SoakNode[] = [];
  const path = join(folder, 'mesh.json');
  const mesh = new SoakMesh(path, () => nodes);
  mesh.write();
  const settings = {
    ...{ LOCAL_XDS_PATH: path, SECRET_TTL: '60s', RUST_LOG: 'warn', ZTUNNEL_WORKER_THREADS: '2' },
    ...{ ISTIO_META_DNS_CAPTURE: 'false', POOL_UNUSED_RELEASE_TIMEOUT: '5s' },
  };
  for (const name of ['one', 'two']) nodes.push(stack.use(new SoakNode(name, network, settings)));
  const [one, two] = nodes as [SoakNode, SoakNode];

  const fixed = (name: string): Enrolled => ({ uid: name, name, serviceAccount: name, pod: network.pod(name) });
  const [load, web] = [fixed('load'), fixed('web')];
  const churning = Array.from({ length: CHURNING }, (_, k) => network.pod(`churn-${k}`));
  const answer = (app: App): void => {
    app.send('here');
    app.finish();
  };
  for (const pod of churning) new AppServer(loop, at(pod, HTTP_PORT), answer, pod.netns);
  const churn = new Churn(nodes, mesh, churning, async (enrolled) => {
    const app = App.dial(loop, at(enrolled.pod, HTTP_PORT), load.pod.netns);
    try {
      await eventually('an answer', () => app.text === 'here', { withinMs: 10_000, everyMs: 10 });
    } finally {
      app.socket.close();
    }
  });
  await one.begin([load, ...churn.first(one)]);
  await two.begin([web, ...churn.first(two)]);
  mesh.write();

  for (const port of [HTTP_PORT, DENIED_PORT]) serve(stack, network.netnsName(web.pod), web.pod.ip, port);
  const url = `http://${web.pod.ip}:${HTTP_PORT}/`;
  const words = [join(import.meta.dirname, 'client.ts'), url, web.pod.ip, String(DENIED_PORT), String(rate)];
  const startLoad = () => background('ip', inside(network.netnsName(load.pod), words));

  console.log(
    `soak: ${seconds} s, ${rate} requests a second, a pod change every ${churnMs} ms, a policy change every second`,
  );
  const first = startLoad();
  stack.defer(() => first.stop());
  await eventually('requests succeed', () => /"ok":[1-9]/.test(first.output()), { withinMs: 60_000 });
  await delay(WARM_UP_S * 1000, undefined, { signal: ended });
  await first.stop();

  let lines = '';
  const loadFor = async (forSeconds: number): Promise<void> => {
    const running = startLoad();
    const policies = setInterval(() => mesh.changePolicy(), 1000);
    const changing = churn.run(churnMs);
    try {
      await delay(forSeconds * 1000, undefined, { signal: ended });
    } finally {
      clearInterval(policies);
      churn.stop();
      await changing;
      await running.stop();
      lines += running.output();
    }
  };
  const course = await runCourse({
    ...{ seconds, programs: nodes, load: loadFor, signal: ended },
    detail: () => `${churn.changes} pod changes`,
  });
  const { passed, text } = verdictOf({
    ...{ ...course, lines, churn },
    restarts: nodes.reduce(
      (sum, node) => sum + (node.output().match(/data-plane process ended unexpectedly/g)?.length ?? 0),
      0,
    ),
  });
  console.log(text);
  return passed ? 0 : 1;
}

function inside(netns: string, words: readonly string[]): string[] {
  return ['netns', 'exec', netns, process.execPath, '--disable-warning=ExperimentalWarning', ...words];
}

function serve(stack: AsyncDisposableStack, netns: string, ip: string, port: number): void {
  const server = background('ip', inside(netns, [join(import.meta.dirname, '../load/server.ts'), ip, String(port)]));
  stack.defer(() => server.stop('SIGKILL'));
}
