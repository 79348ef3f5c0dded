// SPDX-License-Identifier: Apache-2.0
// The node's own networking: the primary CNI configuration, and a route to every other node's pods.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { Node } from '#lib/kube/object.ts';
import { run } from '../fabric/command.ts';

export const CNI_FILE = '10-ambit-playground.conflist';

/**
 * Writes the primary network configuration unless the node has one: point-to-point links routed by the node, so that
 * traffic between two pods of a node passes its packet filter too, as on most clouds.
 */
export function writeCniConfig(dir: string, podCidrs: readonly string[]): void {
  const file = join(dir, CNI_FILE);
  if (existsSync(file)) return;
  mkdirSync(dir, { recursive: true });
  const config = {
    cniVersion: '1.0.0',
    name: 'playground',
    plugins: [
      {
        type: 'ptp',
        mtu: 1500,
        ipam: {
          type: 'host-local',
          dataDir: '/run/cni-ipam-state',
          ranges: podCidrs.map((subnet) => [{ subnet }]),
          routes: podCidrs.map((cidr) => ({ dst: cidr.includes(':') ? '::/0' : '0.0.0.0/0' })),
        },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
  writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`);
}

/** Routes to the pods of other nodes; one call at a time. */
export class PodRoutes {
  readonly #nodeName: string;
  readonly #log: Logger;
  #held = new Map<string, string>();
  #queue: Promise<void> = Promise.resolve();

  constructor(nodeName: string, log: Logger) {
    this.#nodeName = nodeName;
    this.#log = log;
  }

  /** Makes the routes fit `nodes`. */
  apply(nodes: readonly Node[]): void {
    const wanted = routesTo(nodes, this.#nodeName);
    this.#queue = this.#queue.then(async () => {
      const lines = [
        ...[...wanted]
          .filter(([cidr, via]) => this.#held.get(cidr) !== via)
          .map(([cidr, via]) => `route replace ${cidr} via ${via}`),
        ...[...this.#held.keys()].filter((cidr) => !wanted.has(cidr)).map((cidr) => `route del ${cidr}`),
      ];
      if (lines.length === 0) return;
      try {
        await run('ip', ['-force', '-batch', '-'], { input: `${lines.join('\n')}\n` });
        this.#held = wanted;
      } catch (error) {
        this.#log.warn('routes to other nodes not set', { error: describeError(error) });
      }
    });
  }
}

/** Pod range → the other node's address of the same family. */
export function routesTo(nodes: readonly Node[], self: string): Map<string, string> {
  const routes = new Map<string, string>();
  for (const node of nodes) {
    if (node.metadata.name === self) continue;
    const addresses = (node.status?.addresses ?? [])
      .filter(({ type }) => type === 'InternalIP')
      .map(({ address }) => address);
    for (const cidr of node.spec?.podCIDRs ?? []) {
      const via = addresses.find((address) => address.includes(':') === cidr.includes(':'));
      if (via !== undefined) routes.set(cidr, via);
    }
  }
  return routes;
}
