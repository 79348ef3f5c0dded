// SPDX-License-Identifier: Apache-2.0
// The HTTP pages: readiness, metrics, and the debug pages that show what istiod knows and what each client has. The
// debug pages are for this pod itself (a port-forward ends there) and for identities of the system namespace.

import { type AdminRequest, json, type Reply, type Route, text } from '#lib/kit/admin.ts';
import type { Metrics } from '#lib/kit/metrics.ts';
import type { Readiness } from '#lib/kit/readiness.ts';
import { parseNodeId } from '#lib/xds/node.ts';
import { ADDRESS_TYPE } from '#lib/xds/resource.ts';
import type { StreamStatus } from '#lib/xds/server.ts';
import { metadataText, peerName } from '../push/observer.ts';
import type { Authenticator } from './authenticate.ts';

export interface PagesOptions {
  readonly readiness: Readiness;
  readonly metrics: Metrics;
  readonly beforeMetrics: () => void;
  readonly authenticator: Authenticator;
  /** Identities of this namespace may see the debug pages. */
  readonly namespace: string;
  readonly version: string;
  readonly clusterId: string;
  readonly streams: () => readonly StreamStatus[];
  readonly pushAll: () => void;
  /** Named views of the state: `configz`, `endpointz`, … as values to print. */
  readonly views: Readonly<Record<string, () => unknown>>;
  /** Of the configuration, between two moments (wall-clock ms); undefined while no history is kept. */
  readonly changesBetween: (from: number, to: number) => unknown;
  /** All of the configuration at a moment; undefined as above. */
  readonly configurationAt: (moment: number) => unknown;
}

/** `/ready` alone needs no permission. */
export function httpPages(options: PagesOptions): Record<string, Route> {
  return {
    '/ready': () => ready(options.readiness),
    ...debugPages(options),
  };
}

export function monitoringPages(options: PagesOptions): Record<string, Route> {
  return {
    '/metrics': async () => {
      options.beforeMetrics();
      const { body, contentType } = await options.metrics.text();
      return { body, type: contentType };
    },
    '/version': () => json({ version: options.version }),
    ...debugPages(options),
  };
}

function ready(readiness: Readiness): Reply {
  return readiness.ready() ? text('ready\n') : text(`not ready, pending: ${readiness.pending().join(', ')}\n`, 503);
}

function debugPages(options: PagesOptions): Record<string, Route> {
  const pages: Record<string, Route> = {
    syncz: () => json(options.streams().map((stream) => syncz(stream, options.clusterId))),
    connections: () => json(connections(options.streams())),
    adsz: ({ query }) => {
      if (query.get('push') === 'true') options.pushAll();
      return json(connections(options.streams()));
    },
    history: ({ query }) => {
      const at = query.get('at');
      const found =
        at === null
          ? options.changesBetween(Number(query.get('from') ?? 0), Number(query.get('to') ?? Infinity))
          : options.configurationAt(Number(at));
      return found === undefined ? text('no history is kept (AMBIT_HISTORY_FOLDER)\n', 404) : json(found);
    },
    ...Object.fromEntries(Object.entries(options.views).map(([name, view]) => [name, () => json(view())])),
  };
  const names = Object.keys(pages).sort();
  pages['list'] = () => json(names);
  const guarded = Object.entries(pages).map(([name, page]) => [`/debug/${name}`, guard(page, options)]);
  const index = guard(() => text(`${names.map((name) => `/debug/${name}`).join('\n')}\n`), options);
  return { ...Object.fromEntries(guarded), '/debug': index };
}

function guard(page: Route, options: PagesOptions): Route {
  return async (request) => {
    const refusal = await judgeAccess(request, options);
    return refusal ?? (await page(request));
  };
}

/** Undefined when the caller may see the debug pages. */
async function judgeAccess(request: AdminRequest, options: PagesOptions): Promise<Reply | undefined> {
  if (isLoopback(request.remote)) return undefined;
  const { authorization = '' } = request.headers;
  const result = await options.authenticator.authenticate({ authorization, cluster: '', certificate: undefined });
  if (result.kind !== 'known') return text(`${result.reason}\n`, result.kind === 'unknown' ? 401 : 503);
  const { identity } = result.caller;
  if (identity.namespace === options.namespace) return undefined;
  return text(`${identity.uri} is not of the namespace ${options.namespace}\n`, 403);
}

export function isLoopback(address: string): boolean {
  const plain = address.replace(/^::ffff:/, '');
  return plain === '::1' || plain.startsWith('127.');
}

/** One client as `istioctl proxy-status` reads it. */
function syncz(stream: StreamStatus, clusterId: string): unknown {
  const { peer, types } = stream;
  return {
    cluster_id: metadataText(peer, 'CLUSTER_ID') || clusterId,
    proxy: peerName(peer),
    proxy_type: parseNodeId(peer.id)?.type ?? 'unknown',
    proxy_version: metadataText(peer, 'ISTIO_VERSION'),
    node: metadataText(peer, 'NODE_NAME'),
    connected_at: new Date(stream.connectedAtMs).toISOString(),
    resources: Object.fromEntries(
      types.map(({ ackedNonce, lastError, sentNonce, synced, typeUrl, wildcard }) => [
        typeUrl,
        { sent: sentNonce, acked: ackedNonce, synced, on_demand: !wildcard && typeUrl === ADDRESS_TYPE, lastError },
      ]),
    ),
  };
}

function connections(streams: readonly StreamStatus[]): unknown {
  return {
    totalClients: streams.length,
    clients: streams.map(({ connectedAtMs, peer, remote }) => ({
      connectionId: peer.id,
      connectedAt: new Date(connectedAtMs).toISOString(),
      address: remote,
      identity: peer.identity || 'unauthenticated',
    })),
  };
}
