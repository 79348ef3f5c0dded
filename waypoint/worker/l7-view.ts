// SPDX-License-Identifier: Apache-2.0
// Layer-7 configuration as a data-plane process sees it: compiled from records in shared memory when first asked for, and again
// when their record has changed. What is under way keeps what it began with.
import { AgingMap } from '#lib/kit/aging-map.ts';
import type { Loop } from '#lib/loop/loop.ts';
import type { StoreReader } from '#lib/loop/shared/store-reader.ts';
import type { AccessPolicy } from '#lib/mesh/http/access-policy.ts';
import { JwtAuthenticator } from '#lib/mesh/http/authenticate-request.ts';
import { type PolicySet, policySet } from '#lib/mesh/http/authorize-request.ts';
import { type CompiledTable, implicitTable } from '#lib/mesh/http/compiled-table.ts';
import type { RequestAuthentication } from '#lib/mesh/http/request-authentication.ts';
import { tableName } from '#lib/mesh/http/route-table.ts';
import type { Telemetry } from '#lib/mesh/http/telemetry.ts';
import type { TrafficPolicy } from '#lib/mesh/http/traffic-policy.ts';
import type { WaypointSettings } from '#lib/mesh/http/waypoint.ts';
import { RecordCache } from '#lib/proxy/state/record-cache.ts';
import type { Fader } from '#lib/proxy/worker/fading.ts';
import { ACCESS_KEY, AUTHENTICATION_KEY, labelsKey, policyKey, telemetryKey, WAYPOINT_KEY } from '../source/l7-key.ts';
import { decodeValue } from '../source/l7-record.ts';
import { RouteTables } from './route-tables.ts';

const NO_SETTINGS: WaypointSettings = {
  name: '',
  listeners: [],
  pathNormalisation: 'base',
  defaultRetry: undefined,
  headers: undefined,
  providers: [],
  forwardClientIdentity: false,
  trustedProxies: 0,
  trustDomainAliases: [],
};
const NO_POLICIES = policySet([]);
/** Of services, what was worked out for each: of a generation. */
const MAX_REMEMBERED = 10_000;
const NO_LABELS: Readonly<Record<string, string>> = {};

export class L7View implements Fader {
  readonly #store: StoreReader;
  readonly #tables: RouteTables;
  readonly #policies: RecordCache<TrafficPolicy>;
  readonly #labels: RecordCache<Readonly<Record<string, string>>>;
  readonly #telemetry: RecordCache<Telemetry>;
  readonly #settings: RecordCache<WaypointSettings>;
  readonly #access: RecordCache<readonly AccessPolicy[]>;
  readonly #implicit = new AgingMap<string, CompiledTable>({ most: MAX_REMEMBERED });
  readonly #authentication: RecordCache<readonly RequestAuthentication[]>;
  #accessFor: readonly AccessPolicy[] | undefined;
  #sets = new AgingMap<string, PolicySet>({ most: MAX_REMEMBERED });
  #authenticationFor: readonly RequestAuthentication[] | undefined;
  #authenticators = new AgingMap<string, { readonly own: JwtAuthenticator | undefined }>({ most: MAX_REMEMBERED });

  constructor(store: StoreReader, loop: Pick<Loop, 'again'>) {
    this.#store = store;
    this.#tables = new RouteTables(store, loop);
    this.#policies = new RecordCache(store, (text) => decodeValue<TrafficPolicy>(text));
    this.#labels = new RecordCache(store, (text) => decodeValue<Readonly<Record<string, string>>>(text));
    this.#telemetry = new RecordCache(store, (text) => decodeValue<Telemetry>(text));
    this.#settings = new RecordCache(store, (text) => decodeValue<WaypointSettings>(text));
    this.#authentication = new RecordCache(store, (text) => decodeValue<readonly RequestAuthentication[]>(text));
    this.#access = new RecordCache(store, (text) => decodeValue<readonly AccessPolicy[]>(text));
  }

  /** Changes with every commit of the main process, and when something that takes a while has been made of one. */
  get version(): number {
    return this.#store.version + this.#tables.replaced;
  }

  /** The main process has committed something. */
  follow(): void {
    this.#tables.follow();
  }

  /** Route tables that are gone are forgotten. */
  fade(): void {
    this.#tables.forget();
  }

  get settings(): WaypointSettings {
    return this.#settings.get(WAYPOINT_KEY) ?? NO_SETTINGS;
  }

  /** Routes of a service's port: its own, or straight to its endpoints. */
  serviceTable(service: string, port: number): CompiledTable {
    const name = tableName(service, port);
    const table = this.#tables.of(name, { service, port, subset: '' });
    if (table !== undefined) return table;
    let implicit = this.#implicit.get(name);
    if (implicit === undefined) {
      implicit = implicitTable(service, port);
      this.#implicit.set(name, implicit);
    }
    return implicit;
  }

  /** Routes of a gateway's listener. */
  listenerTable(name: string): CompiledTable | undefined {
    return this.#tables.of(name, undefined);
  }

  trafficPolicy(service: string): TrafficPolicy | undefined {
    return this.#policies.get(policyKey(service));
  }

  labels(uid: string): Readonly<Record<string, string>> {
    return this.#labels.get(labelsKey(uid)) ?? NO_LABELS;
  }

  telemetry(service: string): Telemetry | undefined {
    return this.#telemetry.get(telemetryKey(service)) ?? this.#telemetry.get(telemetryKey('*'));
  }

  /** Access policies of a service, those of the whole proxy among them. */
  access(service: string): PolicySet {
    const all = this.#access.get(ACCESS_KEY);
    if (all === undefined || all.length === 0) return NO_POLICIES;
    if (all !== this.#accessFor) {
      this.#accessFor = all;
      this.#sets = new AgingMap({ most: MAX_REMEMBERED });
    }
    let set = this.#sets.get(service);
    if (set === undefined) {
      set = policySet(all.filter(({ services }) => services.length === 0 || services.includes(service)));
      this.#sets.set(service, set);
    }
    return set;
  }

  /** Who checks tokens of requests to a service; undefined when nobody does. */
  authenticator(service: string): JwtAuthenticator | undefined {
    const all = this.#authentication.get(AUTHENTICATION_KEY);
    if (all === undefined || all.length === 0) return undefined;
    if (all !== this.#authenticationFor) {
      this.#authenticationFor = all;
      this.#authenticators = new AgingMap({ most: MAX_REMEMBERED });
    }
    let known = this.#authenticators.get(service);
    if (known === undefined) {
      const own = all.filter(({ services }) => services.length === 0 || services.includes(service));
      known = { own: own.length === 0 ? undefined : new JwtAuthenticator(own) };
      this.#authenticators.set(service, known);
    }
    return known.own;
  }
}
