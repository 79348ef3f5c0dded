// SPDX-License-Identifier: Apache-2.0
// ztunnel's pages for those on its machine.
import { json, type Route, text } from '#lib/kit/admin.ts';
import { formatProblem, ok, type Result } from '#lib/kit/result.ts';
import { type Explanation, explain, explainTunnel, type TunnelExplanation } from '#lib/mesh/explain.ts';
import { indexPage } from '#lib/proxy/admin/servers.ts';
import type { HeldAddress } from '#lib/proxy/control.ts';
import type { MeshState } from '#lib/proxy/state/mesh-state.ts';
import type { RecentConnection, WorkerSettings } from '../control.ts';
import type { LiveConnection } from '../data-plane.ts';
import { explainDns } from './explain-dns.ts';
import { explainOptions } from './explain-options.ts';
import { type ProfileParts, profileRoutes } from './profile.ts';

/** Connections that live, and those that ended last. */
export interface Connections {
  readonly live: readonly LiveConnection[];
  readonly recent: readonly RecentConnection[];
}

export interface PageParts {
  readonly state: MeshState;
  /** What the data plane decides with. */
  readonly settings: WorkerSettings;
  readonly dump: () => Promise<unknown>;
  readonly logging: Route;
  readonly connections: () => Promise<Connections>;
  /** Addresses whose connections for tunnels have to wait, by process. */
  readonly held: () => readonly HeldAddress[];
  readonly profiles: ProfileParts;
  /** What ending now would cut. */
  readonly drainPlan: () => Promise<unknown>;
}

const INDEX = [
  '<a href="config_dump">config_dump</a>: mesh, certificates, captured pods and their connections',
  'logging (POST): log levels',
  'debug/explain?from=NAMESPACE/POD&amp;to=HOST:PORT: verdict and proof for a connection that has not happened, and whether its tunnel would have to wait here',
  'debug/explain?from=NAMESPACE/POD&amp;to=IP:PORT&amp;tunnel=true: the same for a tunnel that a proxy, such as a waypoint, opens itself',
  'debug/explain?from=NAMESPACE/POD&amp;dns=NAME: what a question for that name would be answered, and why',
  'debug/connections?workload=NAMESPACE/POD&amp;failed=true: connections that live, and those that ended last with their proofs; whose have to wait',
  'debug/drain: what ending now would cut',
  "debug/pprof/profile?seconds=10&amp;frequency=100&amp;process=main, debug/pprof/heap: profiles in V8's formats",
];

export function adminPages({ state, dump, logging, settings, ...parts }: PageParts): Readonly<Record<string, Route>> {
  const explained = (tunnel: boolean, from: string, to: string): Result<Explanation | TunnelExplanation> =>
    (tunnel ? explainTunnel : explain)(state.mesh, from, to, explainOptions(settings));
  return {
    '/': indexPage('ztunnel', INDEX),
    '/config_dump': async () => json(await dump()),
    '/logging': logging,
    '/debug/connections': async ({ query }) =>
      json({ ...filtered(await parts.connections(), query), held: parts.held() }),
    '/debug/drain': async () => json(await parts.drainPlan()),
    ...profileRoutes(parts.profiles),
    '/debug/explain': ({ query }) => {
      const [from, to, name] = [query.get('from'), query.get('to'), query.get('dns')];
      if (from === null || (to === null) === (name === null))
        return text('needs from=NAMESPACE/POD, and to=HOST:PORT or dns=NAME\n', 400);
      const result =
        to === null
          ? explainDns(state.mesh, from, name ?? '', settings)
          : withHeld(explained(query.get('tunnel') === 'true', from, to), parts.held());
      return result.ok ? json(result.value) : json({ error: result.problems.map(formatProblem).join('; ') }, 404);
    },
  };
}

/** With those of the client's addresses whose tunnels have to wait here. */
function withHeld(result: Result<Explanation | TunnelExplanation>, held: readonly HeldAddress[]): Result<object> {
  if (!result.ok) return result;
  const { addresses } = result.value.from;
  return ok({ ...result.value, held: held.filter(({ address }) => addresses.includes(address)) });
}

function filtered({ live, recent }: Connections, query: URLSearchParams): Connections {
  const workload = query.get('workload');
  const failed = query.get('failed') === 'true';
  const wanted = ({ error, srcWorkload, dstWorkload }: RecentConnection): boolean =>
    (workload === null || srcWorkload === workload || dstWorkload === workload) && (!failed || error !== '');
  return {
    live: failed ? [] : live.filter((one) => workload === null || one.workload === workload),
    recent: recent.filter(wanted),
  };
}
