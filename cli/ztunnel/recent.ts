// SPDX-License-Identifier: Apache-2.0
// Connections that ended last, as a node proxy's `/debug/connections` tells them, with the proofs of their decisions.
import { AmbitError } from '#lib/kit/error.ts';
import type { Pod } from '#lib/kube/object.ts';
import type { Cluster } from '../cluster.ts';
import { table } from '../print/table.ts';

export interface RecentConnection {
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
  return (JSON.parse(body) as { recent: RecentConnection[] }).recent;
}

/** One line a connection, newest first; with `proofs`, what was recorded of each decision below it. */
export function recentTable(connections: readonly RecentConnection[], proofs: boolean): string {
  const head = ['ENDED', 'DIRECTION', 'SOURCE', 'DESTINATION', 'DURATION', 'RESULT'];
  const rows = connections.map((one) => [
    one.ended.slice(11, 23),
    one.direction,
    one.srcWorkload || one.src,
    one.dstWorkload || one.dstService || one.dst,
    `${one.durationMs}ms`,
    result(one),
  ]);
  if (!proofs) return table(head, rows);
  return connections
    .map(
      (one, i) =>
        `${rows[i]!.join('  ')}\n${(one.proof.length > 0 ? one.proof : ['(no proof was kept)']).map((line) => `    ${line}`).join('\n')}\n`,
    )
    .join('\n');
}

function result({ clause, error, policy, rule }: RecentConnection): string {
  if (error === '') return 'ok';
  if (policy === undefined) return error;
  return `denied by ${policy}${rule === undefined ? '' : `, rule ${rule}`}${clause === undefined ? '' : `: ${clause}`}`;
}
