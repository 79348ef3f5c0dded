// SPDX-License-Identifier: Apache-2.0
// What a connection was opened to: a service's port, a single workload, or a listener of a gateway; with the routes and
// policies that hold there. They follow the configuration between two requests, never within one.
import type { JwtAuthenticator } from '#lib/mesh/http/authenticate-request.ts';
import type { PolicySet } from '#lib/mesh/http/authorize-request.ts';
import type { CompiledTable } from '#lib/mesh/http/compiled-table.ts';
import type { Retry } from '#lib/mesh/http/route-table.ts';
import { DEFAULT_RETRY, isOpaque } from '#lib/mesh/http/route-table.ts';
import type { WaypointSettings } from '#lib/mesh/http/waypoint.ts';
import type { AppProtocol } from '#lib/mesh/service.ts';
import { portOf } from '#lib/mesh/service.ts';
import type { Behind, DoorRecord } from '../record/connection.ts';
import type { DoorObserver } from '../telemetry/observer.ts';
import type { Runtime } from '../worker/runtime.ts';
import { filtersOf } from './door-filters.ts';
import type { RequestFilter } from './filter.ts';

export class Door implements DoorRecord {
  readonly behind: Behind;
  /** Undefined for a workload: there are no routes to it. */
  table: CompiledTable | undefined;
  access!: PolicySet;
  /** Undefined when no tokens are looked for. */
  authenticator: JwtAuthenticator | undefined;
  /** What is told of requests here. */
  observer!: DoorObserver;
  settings!: WaypointSettings;
  retry: Retry = DEFAULT_RETRY;
  /** Clients of gRPC-Web are served what is behind it. */
  bridgesGrpcWeb = false;
  /** What requests meet here, in this order. */
  filters: readonly RequestFilter[] = [];
  readonly #runtime: Pick<Runtime, 'l7' | 'mesh' | 'observers'>;
  #seenAt = -1;

  constructor(runtime: Pick<Runtime, 'l7' | 'mesh' | 'observers'>, behind: Behind) {
    this.#runtime = runtime;
    this.behind = behind;
    this.refresh();
  }

  get port(): number {
    return this.behind.port;
  }

  /** The service's key; '' if it is none. */
  get service(): string {
    return this.behind.kind === 'service' ? this.behind.service.key : '';
  }

  /** What the port is said to speak. */
  get protocol(): AppProtocol {
    if (this.behind.kind === 'listener') return 'http11';
    if (this.behind.kind === 'workload') return 'unknown';
    const { port, service } = this.behind;
    return portOf(this.#runtime.mesh.service(service.key) ?? service, port)?.appProtocol ?? 'unknown';
  }

  /** Routes say that streams are not looked into. */
  get opaque(): boolean {
    return this.table !== undefined && isOpaque(this.table.table);
  }

  refresh(): void {
    const { l7, observers } = this.#runtime;
    const { version } = l7;
    if (version === this.#seenAt) return;
    this.#seenAt = version;
    const { behind } = this;
    this.settings = l7.settings;
    this.retry = this.settings.defaultRetry ?? DEFAULT_RETRY;
    this.access = l7.access(this.service);
    this.authenticator = l7.authenticator(this.service);
    this.observer = observers.of(l7.telemetry(this.service), this.settings);
    if (behind.kind === 'service') this.table = l7.serviceTable(behind.service.key, behind.port);
    else if (behind.kind === 'listener') this.table = l7.listenerTable(behind.table);
    this.bridgesGrpcWeb = behind.kind === 'service' && this.protocol === 'grpc';
    this.filters = filtersOf(this);
  }
}
