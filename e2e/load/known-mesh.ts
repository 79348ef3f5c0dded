// SPDX-License-Identifier: Apache-2.0
// What a node proxy costs that knows a large mesh: our istiod tells it of 3,000 and of 100,000 workloads, 100 pods of its node are
// announced. Started by known.ts.
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import Table from 'cli-table3';
import { NodeAgent } from '#lib/testkit/node-agent.ts';
import { eventually } from '../harness/eventually.ts';
import { type Background, background, ROOT, run, tryRun } from '../harness/run.ts';
import { podObject, SIZES, type Size } from './istiod-mesh.ts';
import { startControlPlane } from './istiod-programs.ts';
import { startAuthority } from './peers/authority.ts';
import { cpuSeconds, familyOf, pssMb } from './usage.ts';

const PODS = 100;
/** After a start, until what was compiled and collected has settled. */
const SETTLE_MS = 10_000;
const WATCH_MS = 10_000;
const CHANGES_PER_SECOND = 1000;

type Figures = Record<string, number>;

await main();
process.exit();

async function main(): Promise<void> {
  const wanted = process.argv[2] ?? '3k,100k';
  const results: Record<string, Figures> = {};
  for (const name of wanted.split(',')) {
    const size = SIZES.find((one) => one.name === name);
    if (size === undefined) throw new Error(`no size ${name}; there are ${SIZES.map((one) => one.name).join(', ')}`);
    results[name] = await measure(size);
  }
  const table = new Table({ head: ['', ...Object.keys(results)], style: { head: [], border: [] } });
  for (const name of Object.keys(Object.values(results)[0] ?? {})) {
    table.push([name, ...Object.values(results).map((figures) => figures[name]?.toPrecision(4) ?? '–')]);
  }
  console.log(table.toString());
}

async function measure(size: Size): Promise<Figures> {
  await using stack = new AsyncDisposableStack();
  const { feed, folder, istiod } = await startControlPlane(size, stack);
  const authority = await startAuthority(([command, ...args]) => [command!, ...args], folder);
  stack.defer(() => authority.stop());
  const pods = await namespaces(size, stack);

  const agent = stack.use(new NodeAgent());
  const startedAt = performance.now();
  const proxy = background(join(ROOT, 'bin/ztunnel'), ['proxy', 'ztunnel'], {
    ...authority.env,
    XDS_ADDRESS: `http://${istiod.grpc}`,
    PROXY_MODE: 'shared',
    NODE_NAME: 'node-0',
    POD_NAME: 'ztunnel-0',
    POD_NAMESPACE: 'istio-system',
    INSTANCE_IP: '127.0.0.1',
    INPOD_UDS: agent.path,
    ZTUNNEL_WORKER_THREADS: '2',
    RUST_LOG: 'warn',
  });
  stack.defer(() => proxy.stop());
  const healthy = async (): Promise<boolean> => (await fetch('http://127.0.0.1:15021/healthz/ready')).ok;
  try {
    await agent.announce(pods, 60_000);
    await eventually('the proxy to be ready', healthy, { withinMs: 120_000, everyMs: 20 });
  } catch (error) {
    throw new Error(`the proxy:\n${proxy.output().slice(-2000)}`, { cause: error });
  }
  const readyMs = performance.now() - startedAt;
  await setTimeout(SETTLE_MS);
  const family = familyOf([proxy.process.pid!]);
  const before = cpuSeconds(family);
  await setTimeout(WATCH_MS);
  const idle = { memory_mb: pssMb(family), cpu_percent: ((cpuSeconds(family) - before) / WATCH_MS) * 100_000 };

  const name = `svc-1.ns-1.svc.cluster.local`;
  const [command, ...args] = inPod(pods[0]!.netns, [
    ...[process.execPath, join(import.meta.dirname, 'known-probe.ts'), '127.0.0.1', '15053', name],
  ]);
  const probe = background(command, args);
  stack.defer(() => probe.stop('SIGKILL'));
  await setTimeout(WATCH_MS);
  const quiet = longest(probe, 2);
  const flowed = feed.next('flowed', 120_000);
  feed.order({ kind: 'flow', perSecond: CHANGES_PER_SECOND, seconds: WATCH_MS / 1000 });
  await flowed;
  const changing = longest(probe, WATCH_MS / 1000 + 2);
  return {
    workloads: size.pods,
    pods: PODS,
    ready_ms: readyMs,
    ...idle,
    wait_quiet_ms: quiet,
    wait_changing_ms: changing,
    memory_after_changes_mb: pssMb(family),
  };
}

/** Network namespaces for pods of the first node, as the mesh knows them. */
async function namespaces(size: Size, stack: AsyncDisposableStack) {
  const pods = Array.from({ length: PODS }, (_, i) => podObject(size, i * size.proxies));
  const made = pods.map(({ metadata, spec }, i) => ({
    uid: metadata?.uid ?? '',
    name: metadata?.name ?? '',
    namespace: metadata?.namespace ?? '',
    serviceAccount: (spec as { readonly serviceAccountName: string }).serviceAccountName,
    netns: `ambit-known-${process.pid}-${i}`,
  }));
  for (const { netns } of made) {
    stack.defer(async () => void (await tryRun('ip', ['netns', 'del', netns])));
    await run('ip', ['netns', 'add', netns]);
    await run('ip', ['-n', netns, 'link', 'set', 'lo', 'up']);
  }
  return made;
}

function inPod(netns: string, words: readonly string[]): readonly [string, ...string[]] {
  return ['ip', 'netns', 'exec', netns, ...words];
}

/** The longest wait of the probe's last whole seconds; throws when nothing was answered. */
function longest(probe: Background, seconds: number): number {
  const lines = probe.output().trim().split('\n').slice(-seconds);
  const seen = lines.map((line) => JSON.parse(line) as { longest: number; answers: number });
  if (seen.some(({ answers }) => answers === 0)) throw new Error(`the proxy does not answer:\n${lines.join('\n')}`);
  return Math.max(...seen.map((one) => one.longest));
}
