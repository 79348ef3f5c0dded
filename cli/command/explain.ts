// SPDX-License-Identifier: Apache-2.0
// `ambit explain`: what would become of a connection, and why. The node proxy of the client is asked where it would
// go, the one of the destination whether it would be let in; both run the function that their traffic runs.

import { Command } from 'commander';
import pc from 'picocolors';
import { AmbitError } from '#lib/kit/error.ts';
import type { Pod } from '#lib/kube/object.ts';
import type { Explanation } from '#lib/mesh/explain.ts';
import { formatProof } from '#lib/mesh/proof.ts';
import { type Cluster, findPod, withCluster } from '../cluster.ts';
import type { CliIo } from '../io.ts';
import { type Format, formatValue, outputOption } from '../print/format.ts';
import { ADMIN_PORT } from '../ztunnel/dump.ts';
import { nodeOf, ztunnelOfNode } from '../ztunnel/target.ts';

interface Options {
  readonly from: string;
  readonly to: string;
  readonly output: Format;
}

/** The whole answer; `inbound` is absent when no proxy guards the destination. */
export interface FullExplanation {
  readonly allowed: boolean;
  readonly outbound: Explanation;
  readonly inbound?: Explanation;
  /** Nodes whose proxies were asked. */
  readonly nodes: readonly string[];
}

export function explainCommand(io: CliIo, exit: (code: number) => void): Command {
  const command = new Command('explain')
    .description('tell what would become of a connection, and why; exits 1 when it would be refused')
    .requiredOption('--from <pod>', 'the client, as namespace/name or name')
    .requiredOption('--to <host:port>', 'what it would dial: a service, an address, or a pod as namespace/name:port')
    .addOption(outputOption());
  command.action(async (options: Options) => {
    const answer = await withCluster(command, (cluster) => explain(cluster, options.from, options.to));
    io.out(formatValue(options.output, answer, () => explanationText(answer, io.color)));
    if (!answer.allowed) exit(1);
  });
  return command;
}

/** Asks the proxies involved. */
export async function explain(cluster: Cluster, from: string, to: string): Promise<FullExplanation> {
  const client = await findPod(cluster, from);
  const node = nodeOf(client);
  const name = `${client.metadata.namespace}/${client.metadata.name}`;
  const outbound = await ask(cluster, await ztunnelOfNode(cluster, node), {
    from: name,
    fromIp: client.status?.podIP ?? '',
    to: await destination(cluster, to),
  });
  const { next } = outbound;
  if (next === undefined) return { allowed: outbound.allowed, outbound, nodes: [node] };
  const inbound = await ask(cluster, await ztunnelOfNode(cluster, next.node), {
    side: 'inbound',
    identity: next.identity,
    sourceIp: next.sourceIp,
    to: next.address,
  });
  return { allowed: outbound.allowed && inbound.allowed, outbound, inbound, nodes: [node, next.node] };
}

/** `namespace/pod:port` becomes an address; everything else is the proxy's to look up. */
async function destination(cluster: Cluster, to: string): Promise<string> {
  const match = /^([^/:]+\/[^/:]+):(\d+)$/.exec(to);
  if (match === null) return to;
  const pod = await findPod(cluster, match[1] ?? '');
  const ip = pod.status?.podIP ?? '';
  if (ip === '') throw new AmbitError('POD_NOT_SCHEDULED', `pod ${match[1]} has no address yet`);
  return ip.includes(':') ? `[${ip}]:${match[2]}` : `${ip}:${match[2]}`;
}

async function ask(cluster: Cluster, proxy: Pod, query: Readonly<Record<string, string>>): Promise<Explanation> {
  const path = `/debug/explain?${new URLSearchParams(query)}`;
  const { body, status } = await cluster.request(proxy, ADMIN_PORT, { path });
  const name = `${proxy.metadata.namespace}/${proxy.metadata.name}`;
  if (status === 404) {
    throw new AmbitError('EXPLAIN_UNSUPPORTED', `${name} cannot explain: it has no /debug/explain`, {
      advice: 'this node runs another ztunnel than Ambit’s',
    });
  }
  if (status !== 200) throw new AmbitError('EXPLAIN', `${name}: ${body.trim().slice(0, 500)}`);
  return JSON.parse(body) as Explanation;
}

/** The answer for people: decision first, then the proof of each half. */
export function explanationText(answer: FullExplanation, color: boolean): string {
  const paint = pc.createColors(color);
  const { inbound, nodes, outbound } = answer;
  const mark = answer.allowed ? paint.green('ALLOWED') : paint.red('DENIED');
  const lines = [`${mark}  ${outbound.from} -> ${outbound.to}`, ''];
  const half = (title: string, explanation: Explanation): void => {
    lines.push(paint.bold(title), `  ${explanation.verdict}`);
    for (const line of formatProof(explanation.steps)) lines.push(`    ${line}`);
    lines.push('');
  };
  half(`Outbound, decided on ${nodes[0]}`, outbound);
  if (inbound !== undefined) half(`Inbound at ${inbound.to}, decided on ${nodes[1]}`, inbound);
  else if (answer.allowed) lines.push('No proxy of the mesh guards the destination: no policy is enforced there.', '');
  return lines.join('\n');
}
