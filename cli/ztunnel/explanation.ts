// SPDX-License-Identifier: Apache-2.0
// A node proxy's answer to `/debug/explain?from=NAMESPACE/POD&to=HOST:PORT`, as far as it is read here.

import { AmbitError } from '#lib/kit/error.ts';
import type { Pod } from '#lib/kube/object.ts';
import type { Cluster } from '../cluster.ts';
import { ADMIN_PORT, type DumpHeld } from './dump.ts';

/** One side's decision. */
export interface ExplanationPart {
  readonly verdict: {
    readonly kind?: string;
    readonly reason?: string;
    readonly allow?: boolean;
    readonly policy?: string;
    /** `ip:port` that a tunnel is asked for. */
    readonly authority?: string;
    /** The workload is a waypoint, which decides about requests. */
    readonly waypoint?: boolean;
    readonly workload?: { readonly name: string; readonly namespace: string; readonly node: string };
  };
  /** One sentence. */
  readonly text: string;
  /** The proof as lines for people. */
  readonly lines: readonly string[];
}

export interface Explanation {
  readonly from: { readonly name: string; readonly namespace: string; readonly identity: string };
  readonly to: string;
  /** What a name was resolved to. */
  readonly address: string;
  readonly outbound: ExplanationPart;
  /** At the destination; absent when no proxy guards it. */
  readonly inbound?: ExplanationPart;
  readonly allowed: boolean;
  /** Addresses of the client whose tunnels have to wait at this proxy; absent where it does not tell. */
  readonly held?: readonly DumpHeld[];
}

/** What is told of a tunnel's end. */
export interface TunnelExplanation {
  readonly inbound: ExplanationPart;
  readonly held?: readonly DumpHeld[];
}

/** Asks one node proxy; throws EXPLAIN with what it answered, EXPLAIN_UNSUPPORTED when it has no such page. */
export function askExplain(cluster: Cluster, proxy: Pod, from: string, to: string): Promise<Explanation> {
  return askPage<Explanation>(cluster, proxy, { from, to }, 'outbound');
}

/** Whether a tunnel that `from` opens itself would be let in at `to`, an `ip:port`. */
export function askTunnel(cluster: Cluster, proxy: Pod, from: string, to: string): Promise<TunnelExplanation> {
  return askPage<TunnelExplanation>(cluster, proxy, { from, to, tunnel: 'true' }, 'inbound');
}

/** The same for any question of the page. `part`: a field that an answer has. */
export async function askPage<T extends object>(
  cluster: Cluster,
  proxy: Pod,
  question: Readonly<Record<string, string>>,
  part: keyof T & string,
): Promise<T> {
  const path = `/debug/explain?${new URLSearchParams(question)}`;
  const { body, status } = await cluster.request(proxy, ADMIN_PORT, { path });
  const name = `${proxy.metadata.namespace}/${proxy.metadata.name}`;
  const answer = parse<T>(body);
  if (answer === undefined) {
    throw new AmbitError('EXPLAIN_UNSUPPORTED', `${name} cannot explain (status ${status})`, {
      advice: 'another ztunnel than Ambit’s runs on this node',
    });
  }
  if (status !== 200 || answer[part] === undefined) {
    throw new AmbitError('EXPLAIN', `${name}: ${answer.error ?? body.trim().slice(0, 500)}`);
  }
  return answer as T;
}

function parse<T>(body: string): (Partial<T> & { readonly error?: string }) | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
