// SPDX-License-Identifier: Apache-2.0
// Connections that ended last, as a node proxy's `/debug/connections` tells them, with the proofs of their decisions.
import { AmbitError } from '#lib/kit/error.ts';
import type { Pod } from '#lib/kube/object.ts';
import type { Cluster } from '../cluster.ts';
import { table } from '../print/table.ts';

export interface RecentConnection {
  /** Of the proxy that tells it; added here. */
  readonly node: string;
  readonly ended: string;
  readonly direction: string;
  readonly flag: string;
  readonly error: string;
  readonly durationMs: number;
  readonly src: string;
  readonly srcWorkload: string;
  readonly srcIdentity: string;
  readonly dst: string;
  readonly dstWorkload: string;
  readonly dstService: string;
  readonly policy?: string;
  readonly rule?: number;
  readonly clause?: string;
  readonly proof: readonly string[];
}

/** Asks one node proxy; throws CONNECTIONS_UNSUPPORTED when it keeps none. */
export async function fetchRecent(
  cluster: Cluster,
  proxy: Pod,
  port: number,
  filter: { readonly failed?: boolean | undefined },
): Promise<readonly RecentConnection[]> {
  const path = `/debug/connections${filter.failed === true ? '?failed=true' : ''}`;
  const { body, status } = await cluster.request(proxy, port, { path });
  if (status !== 200) {
    throw new AmbitError('CONNECTIONS_UNSUPPORTED', `${proxy.metadata.name} keeps no connections that ended`, {
      advice: 'another ztunnel than Ambit’s runs there',
    });
  }
  const node = proxy.spec?.nodeName ?? '';
  return (JSON.parse(body) as { recent: RecentConnection[] }).recent.map((one) => ({ ...one, node }));
}

/** One line a connection, newest first; with `proofs`, what was recorded of each decision below it. */
export function recentTable(connections: readonly RecentConnection[], proofs: boolean): string {
  const head = ['ENDED', 'NODE', 'DIRECTION', 'SOURCE', 'DESTINATION', 'DURATION', 'RESULT'];
  const rows = connections.map((one) => [
    one.ended.slice(11, 23),
    one.node,
    one.direction,
    one.srcWorkload || one.src,
    one.dstWorkload || one.dstService || one.dst,
    `${one.durationMs}ms`,
    result(one),
  ]);
  if (!proofs) return table(head, rows);
  const [first, ...lines] = table(head, rows).trimEnd().split('\n');
  const told = lines.flatMap((line, i) => [line, ...proofOf(connections[i]!)]);
  return `${[first, ...told].join('\n')}\n`;
}

function proofOf({ proof }: RecentConnection): string[] {
  return (proof.length > 0 ? proof : ['(no proof was kept)']).map((line) => `    ${line}`);
}

/** What a proxy at the other end means by its answer; it tells the rest in its own line. */
const ANSWERS: Readonly<Record<string, string>> = {
  'http status: 401': 'denied by a policy at the other end',
  'http status: 503': 'the other end reached no application',
};

function result({ clause, error, policy, rule }: RecentConnection): string {
  if (error === '') return 'ok';
  if (policy === undefined) return ANSWERS[error] === undefined ? error : `${error} (${ANSWERS[error]})`;
  return `denied by ${policy}${rule === undefined ? '' : `, rule ${rule}`}${clause === undefined ? '' : `: ${clause}`}`;
}
