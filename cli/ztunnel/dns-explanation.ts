// SPDX-License-Identifier: Apache-2.0
// A node proxy's answer to `/debug/explain?from=NAMESPACE/POD&dns=NAME`: what a question for the name would be answered.
import pc from 'picocolors';
import type { Pod } from '#lib/kube/object.ts';
import type { Cluster } from '../cluster.ts';
import { askPage } from './explanation.ts';
import { nodeOf, ztunnelOfNode } from './target.ts';

/** Of a pod: false keeps its questions from the proxy. */
const DNS_CAPTURE = 'ambient.istio.io/dns-capture';

export interface DnsExplanation {
  readonly dns: string;
  readonly answers: readonly {
    readonly type: string;
    readonly kind: 'answer' | 'empty' | 'forward' | 'uncaptured';
    readonly addresses: readonly string[];
    readonly text: string;
    readonly lines: readonly string[];
  }[];
}

/** The answer, and where it comes from. */
export interface FullDnsExplanation extends DnsExplanation {
  readonly from: string;
  readonly node: string;
  /** Why the proxy is not asked, whatever it would answer; absent when nothing of that is known. */
  readonly past?: string;
}

export async function explainDns(cluster: Cluster, client: Pod, name: string): Promise<FullDnsExplanation> {
  const node = nodeOf(client);
  const { annotations, name: pod, namespace } = client.metadata;
  const from = `${namespace}/${pod}`;
  const proxy = await ztunnelOfNode(cluster, node);
  const { answers, dns } = await askPage<DnsExplanation>(cluster, proxy, { from, dns: name }, 'answers');
  const past = annotations?.[DNS_CAPTURE] === 'false' ? `the pod’s annotation ${DNS_CAPTURE} is false` : undefined;
  return { from, node, dns, answers, ...(past !== undefined && { past }) };
}

/** For people: what is answered first, then the proof. */
export function dnsExplanationText({ answers, dns, from, node, past }: FullDnsExplanation, color: boolean): string {
  const paint = pc.createColors(color);
  const lines = [`${paint.bold('DNS')}  ${from} asks for ${dns}`, ''];
  if (past !== undefined) lines.push(`The pod’s own resolvers are asked, past the proxy: ${past}.`, '');
  // What both types have in common is told once.
  const [first] = answers;
  const alike = answers.every(({ lines: own, text }) => text === first?.text && own.join() === first.lines.join());
  for (const { lines: proof, text, type } of alike ? answers.slice(0, 1) : answers) {
    const types = alike ? answers.map((one) => one.type).join(' and ') : type;
    lines.push(paint.bold(`${types}, decided on ${node}`), `  ${text}`, ...proof.map((line) => `    ${line}`), '');
  }
  if (first?.kind !== 'uncaptured') lines.push('Records of other types are always passed on.', '');
  return lines.join('\n');
}
