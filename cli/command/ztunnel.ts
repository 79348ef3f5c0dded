// SPDX-License-Identifier: Apache-2.0
// `ambit ztunnel`: what is done to a node proxy. `drain --plan` says what ending it now would cut; `drain --yes` ends it in good order, as
// its deletion would.

import { Command } from 'commander';
import pc from 'picocolors';
import { AmbitError } from '#lib/kit/error.ts';
import type { Pod } from '#lib/kube/object.ts';
import { type Cluster, withCluster } from '../cluster.ts';
import type { CliIo } from '../io.ts';
import { type Format, formatValue, outputOption } from '../print/format.ts';
import { table } from '../print/table.ts';
import { ADMIN_PORT } from '../ztunnel/dump.ts';
import { nodeOf, ztunnelFor, ztunnelOfNode, ztunnels } from '../ztunnel/target.ts';

interface Options {
  readonly node?: string;
  readonly plan?: boolean;
  readonly yes?: boolean;
  readonly output: Format;
}

/** A node proxy's answer to `/debug/drain`, and what the cluster knows beside it. */
export interface Plan {
  readonly proxy: string;
  readonly node: string;
  readonly deadlineMs: number;
  readonly open: number;
  readonly finishing: number;
  readonly cut: readonly {
    readonly workload: string;
    readonly direction: string;
    readonly src: string;
    readonly dst: string;
    readonly ageMs: number;
  }[];
  /** Other running proxies of the node: they take what is opened from now on. */
  readonly successors: readonly string[];
}

export function ztunnelCommand(io: CliIo): Command {
  const drain = new Command('drain')
    .description('forecast what ending a node proxy would cut (--plan), or end it in good order (--yes)')
    .argument('[pod]', 'a ztunnel, or any pod: the ztunnel of its node is meant')
    .option('--node <node>', 'the ztunnel of this node')
    .option('--plan', 'only tell what would be cut')
    .option('--yes', 'drain it: open connections have until the deadline, then it ends')
    .addOption(outputOption());
  drain.action(async (pod: string | undefined, { node, output, plan, yes }: Options) => {
    if ((plan === true) === (yes === true)) {
      throw new AmbitError('USAGE', 'say what to do', { advice: 'give --plan to be told, --yes to drain' });
    }
    const shown = await withCluster(drain, async (cluster) => {
      const proxy = await meant(cluster, pod, node);
      const found = await planOf(cluster, proxy);
      if (yes === true) await quit(cluster, proxy);
      return found;
    });
    io.out(formatValue(output, shown, () => planText(shown, { color: io.color, draining: yes === true })));
  });
  return new Command('ztunnel').description('act on a node proxy').addCommand(drain);
}

async function meant(cluster: Cluster, pod: string | undefined, node: string | undefined): Promise<Pod> {
  if (pod !== undefined && node !== undefined) throw new AmbitError('USAGE', 'a pod and --node are both given');
  if (pod !== undefined) return await ztunnelFor(cluster, pod);
  if (node !== undefined) return await ztunnelOfNode(cluster, node);
  throw new AmbitError('USAGE', 'no proxy is named', { advice: 'name a ztunnel, a pod of its node, or --node' });
}

/** Asks the proxy, and looks for another on its node. */
export async function planOf(cluster: Cluster, proxy: Pod): Promise<Plan> {
  const { body, status } = await cluster.request(proxy, ADMIN_PORT, { path: '/debug/drain' });
  const name = `${proxy.metadata.namespace}/${proxy.metadata.name}`;
  if (status !== 200) {
    throw new AmbitError('DRAIN_PLAN', `${name} has no forecast (status ${status})`, {
      advice: 'another ztunnel than Ambit’s runs there',
    });
  }
  const node = nodeOf(proxy);
  const others = (await ztunnels(cluster)).filter(
    ({ metadata, spec }) => spec?.nodeName === node && metadata.name !== proxy.metadata.name,
  );
  const successors = others.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`);
  return { proxy: name, node, successors, ...(JSON.parse(body) as Omit<Plan, 'proxy' | 'node' | 'successors'>) };
}

async function quit(cluster: Cluster, proxy: Pod): Promise<void> {
  const { body, status } = await cluster.request(proxy, ADMIN_PORT, { path: '/quitquitquit', method: 'POST' });
  if (status !== 200) throw new AmbitError('DRAIN', `${proxy.metadata.name} answered ${status}: ${body.slice(0, 200)}`);
}

export function planText(
  plan: Plan,
  { color, draining }: { readonly color: boolean; readonly draining: boolean },
): string {
  const paint = pc.createColors(color);
  const { cut, deadlineMs, finishing, node, open, proxy, successors } = plan;
  const verb = draining ? 'is draining' : 'would drain';
  const lines = [
    paint.bold(`${proxy} on ${node} ${verb} for up to ${Math.round(deadlineMs / 1000)} s`),
    `  ${open} connections are open: ${finishing} likely end by themselves, ${cut.length} likely are cut`,
    successors.length > 0
      ? `  new connections go to ${successors.join(', ')}`
      : paint.yellow(`  no other ztunnel runs on ${node}: its pods open no connection until one does`),
    '',
  ];
  if (cut.length > 0) {
    const rows = cut.map(({ ageMs, direction, dst, src, workload }) => [
      workload,
      direction,
      src,
      dst,
      `${Math.round(ageMs / 1000)}s`,
    ]);
    lines.push(table(['WORKLOAD', 'DIRECTION', 'SOURCE', 'DESTINATION', 'AGE'], rows));
  }
  return lines.join('\n');
}
