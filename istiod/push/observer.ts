// SPDX-License-Identifier: Apache-2.0
// What happens on xDS streams, as metrics and log lines.

import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import { parseNodeId } from '#lib/xds/node.ts';
import type { ServerObserver } from '#lib/xds/server.ts';
import type { Peer } from '#lib/xds/server-stream.ts';
import type { IstiodMetrics } from '../metrics.ts';

/** The last word of a type URL: `Address`. */
export function shortType(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('.') + 1);
}

/** `name.namespace`, or the whole id when it has another form. */
export function peerName(peer: Peer): string {
  const node = parseNodeId(peer.id);
  return node === undefined ? peer.id : `${node.name}.${node.namespace}`;
}

/** A metadata value that is text. */
export function metadataText(peer: Peer, key: string): string {
  const value = peer.metadata[key];
  return typeof value === 'string' ? value : '';
}

/** Hears of clients that come, go, and tell of themselves. */
export interface ClientListener {
  opened(peer: Peer): void;
  closed(peer: Peer): void;
  reported(peer: Peer, error: string | undefined): void;
}

export function createObserver(options: {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: IstiodMetrics;
  /** When the state that is being sent now came to be; monotonic ms. */
  readonly pushStartedAt: () => number;
  readonly clients: ClientListener;
}): ServerObserver {
  const { clients, clock, log, metrics } = options;
  return {
    opened(peer) {
      metrics.connectedClients.inc({ version: metadataText(peer, 'ISTIO_VERSION') || 'unknown' });
      log.info('client connected', { node: peerName(peer), identity: peer.identity || 'unauthenticated' });
      clients.opened(peer);
    },
    started(_peer, waitedMs) {
      metrics.queueTime.observe(waitedMs / 1000);
    },
    closed(peer) {
      metrics.connectedClients.dec({ version: metadataText(peer, 'ISTIO_VERSION') || 'unknown' });
      log.info('client disconnected', { node: peerName(peer) });
      clients.closed(peer);
    },
    sent(peer, response, tookMs) {
      const type = shortType(response.typeUrl);
      metrics.pushes.inc({ type });
      metrics.pushTime.observe({ type }, tookMs / 1000);
      metrics.configSize.observe({ type }, response.bytes.length);
      log.debug('sent', () => ({
        node: peerName(peer),
        type,
        resources: response.resources,
        removed: response.removed,
        bytes: response.bytes.length,
      }));
    },
    received(peer, note) {
      const type = shortType(note.typeUrl);
      switch (note.kind) {
        case 'acked':
          metrics.convergenceTime.observe((clock.monotonic() - options.pushStartedAt()) / 1000);
          return;
        case 'nacked':
          metrics.rejects.inc({ type });
          log.warn('a client rejected resources', { node: peerName(peer), type, error: note.error });
          return;
        case 'stale':
          metrics.expiredNonces.inc({ type });
          return;
        case 'report':
          clients.reported(peer, note.error);
          return;
        case 'unknown-type':
          log.warn('a client asked for a type that is not served', { node: peerName(peer), type: note.typeUrl });
          return;
        case 'subscribed':
          log.debug('subscribed', () => ({ node: peerName(peer), type }));
      }
    },
    refused(nodeId, reason) {
      metrics.internalErrors.inc();
      log.warn('stream refused', { node: nodeId ?? 'unknown', reason });
    },
  };
}
