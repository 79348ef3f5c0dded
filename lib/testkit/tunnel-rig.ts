// SPDX-License-Identifier: Apache-2.0
// A server application, both ends of a tunnel and the loop they live on, for tests in process.
import { Loop } from '#lib/loop/loop.ts';
import { Workbench } from '#lib/net/workbench.ts';
import { type App, AppServer } from './plain-app.ts';
import { loopback, RelayEntry, RelayExit, turnUntil } from './relay.ts';
import type { TlsMaterial } from './tls-material.ts';

export interface TunnelRigOptions {
  readonly streamsPerTunnel?: number;
  readonly idleMs?: number;
  readonly maxTunnels?: number;
  readonly byteBudget?: number;
  /** Why the entry refuses the exit, or ''. */
  readonly judge?: () => string;
  /** The identity the entry shows: one of another authority, perhaps. */
  readonly client?: TlsMaterial;
  readonly monotonic?: () => number;
  readonly onConnection?: (app: App) => void;
}

export function tunnelRig(material: TlsMaterial, options: TunnelRigOptions = {}) {
  const loop = new Loop({ spin: false, ...(options.monotonic === undefined ? {} : { monotonic: options.monotonic }) });
  const bench = new Workbench(loop, options.byteBudget);
  const shown = options.client ?? material;
  const clientContext = shown.context(shown.cart, { rootsPem: material.ca.rootPem });
  const serverContext = material.context(material.orders);
  const server = new AppServer(loop, loopback(), options.onConnection);
  const exit = new RelayExit(bench, loopback(), () => serverContext);
  const entry = new RelayEntry(bench, exit.endpoint, () => clientContext, options);
  /** Where clients dial. */
  const door = entry.serve(loopback(), server.endpoint.toString());
  return {
    loop,
    bench,
    server,
    exit,
    entry,
    door,
    until: (what: string, condition: () => boolean, ms?: number) => turnUntil(loop, what, condition, ms),
    [Symbol.dispose]() {
      entry.close();
      exit.close();
      loop.dispose();
      clientContext.dispose();
      serverContext.dispose();
    },
  };
}
