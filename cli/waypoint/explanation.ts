// SPDX-License-Identifier: Apache-2.0
// A waypoint's answer to `/debug/explain`: what would become of a request there.

import { AmbitError } from '#lib/kit/error.ts';
import type { Pod } from '#lib/kube/object.ts';
import type { Cluster } from '../cluster.ts';
import { ADMIN_PORT, type DumpHeld } from '../ztunnel/dump.ts';
import type { ExplanationPart } from '../ztunnel/explanation.ts';

/** A request as `ambit explain` is told of it. */
export interface RequestQuery {
  readonly method: string;
  readonly path: string;
  /** `name: value`. */
  readonly headers: readonly string[];
}

/** Which endpoint, and how it is reached. */
export interface EndpointPart extends ExplanationPart {
  readonly verdict: ExplanationPart['verdict'] & {
    readonly address?: string;
    readonly tunnelled?: boolean;
  };
}

export interface RequestAnswer {
  /** `namespace/hostname:port` that the request is for. */
  readonly service: string;
  readonly access: ExplanationPart;
  /** Absent when the request is denied. */
  readonly routing?: ExplanationPart;
  /** Absent when it is sent to no service, or by a waypoint that does not tell. */
  readonly endpoint?: EndpointPart;
  readonly allowed: boolean;
  /** Judged and routed as a stream, without method, path and headers. */
  readonly stream?: boolean;
  /** The client's address, if its tunnels have to wait at the waypoint; absent where it does not tell. */
  readonly held?: readonly DumpHeld[];
}

export interface RequestEnds {
  /** SPIFFE URI of the client, and its address. */
  readonly identity: string;
  readonly source: string;
  /** `address:port` that the tunnel to the waypoint is asked for. */
  readonly authority: string;
  /** What the client would write in Host. */
  readonly host: string;
}

/** Throws EXPLAIN with what the waypoint answered, EXPLAIN_UNSUPPORTED when it has no such page. */
export async function askWaypoint(
  cluster: Cluster,
  pod: Pod,
  { authority, host, identity, source }: RequestEnds,
  { headers, method, path }: RequestQuery,
): Promise<RequestAnswer> {
  const query = new URLSearchParams({ identity, source, to: authority, host, method, path });
  for (const header of headers) query.append('header', header);
  const { body, status } = await cluster.request(pod, ADMIN_PORT, { path: `/debug/explain?${query}` });
  const name = `${pod.metadata.namespace}/${pod.metadata.name}`;
  const answer = parse(body);
  if (answer === undefined) {
    throw new AmbitError('EXPLAIN_UNSUPPORTED', `${name} cannot explain (status ${status})`, {
      advice: 'the waypoint is another implementation’s',
    });
  }
  if (status !== 200 || answer.access === undefined) {
    throw new AmbitError('EXPLAIN', `${name}: ${answer.error ?? body.trim().slice(0, 500)}`);
  }
  return answer as RequestAnswer;
}

function parse(body: string): (Partial<RequestAnswer> & { readonly error?: string }) | undefined {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
