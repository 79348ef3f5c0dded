// SPDX-License-Identifier: Apache-2.0
// The endpoints of one service port, or of a subset of them: the balancer that chooses among them, what bounds and watches them,
// and how each is reached. It follows the mesh: looked at again when the store has changed; endpoints that stay keep their
// connections and what is known of them.
import { isDeepStrictEqual } from 'node:util';
import type { Target } from '#lib/mesh/http/route-table.ts';
import {
  DEFAULT_POOL,
  DEFAULT_UPSTREAM,
  type TrafficPolicy,
  type Upstream,
  upstreamOf,
} from '#lib/mesh/http/traffic-policy.ts';
import { NO_PROOF } from '#lib/mesh/proof.ts';
import { type Endpoint, portOf, type Service } from '#lib/mesh/service.ts';
import { Balancer, type PickRequest } from '#lib/mesh/upstream/balancer.ts';
import { CircuitBreaker } from '#lib/mesh/upstream/breaker.ts';
import type { Host } from '#lib/mesh/upstream/host.ts';
import type { HostResult } from '#lib/mesh/upstream/outlier.ts';
import { RetryBudget } from '#lib/mesh/upstream/retry.ts';
import { ownFamily } from './dial-named.ts';
import { Member } from './member.ts';
import { NamedEndpoints } from './named-endpoints.ts';
import { NamedHosts } from './named-hosts.ts';
import type { TlsOrigination } from './origination.ts';
import type { UpstreamRuntime } from './runtime.ts';
import { reachOf } from './ways.ts';

const NO_LABELS: Readonly<Record<string, string>> = {};

export class Cluster {
  readonly target: Target;
  settings: Upstream = DEFAULT_UPSTREAM;
  readonly breaker = new CircuitBreaker();
  budget: RetryBudget | undefined;
  /** The service or the subset is not known. */
  missing = true;
  /** Its service's port speaks HTTP/2. */
  speaksH2 = false;
  /** Nobody keeps it any more: who asks for it again gets another. */
  forgotten = false;
  readonly #runtime: UpstreamRuntime;
  #balancer: Balancer | null = null;
  #members = new Map<Host, Member>();
  #seenAt = -1;
  #service: Service | undefined;
  #endpoints: readonly Endpoint[] | undefined;
  #policy: TrafficPolicy | undefined;
  #tls: TlsOrigination | null = null;
  readonly #named: NamedEndpoints;
  #hosts: NamedHosts | null = null;

  constructor(runtime: UpstreamRuntime, target: Target) {
    this.#runtime = runtime;
    this.target = target;
    this.#named = new NamedEndpoints(runtime.loop, runtime.names, ownFamily(runtime), () => {
      this.#seenAt = -1;
      this.#endpoints = undefined;
    });
  }

  /** Follows the mesh; cheap while nothing has changed. */
  refresh(): void {
    const { l7, mesh } = this.#runtime;
    const { version } = l7;
    if (version === this.#seenAt) return;
    this.#seenAt = version;
    const { port, service: key, subset } = this.target;
    const service = mesh.service(key);
    const policy = l7.trafficPolicy(key);
    const settings = service === undefined ? undefined : upstreamOf(policy, subset, port);
    this.missing = settings === undefined;
    if (service === undefined || settings === undefined) {
      this.#replace(new Map());
      this.#named.close();
      this.#hosts?.close();
      this.#balancer = null;
      this.#service = undefined;
      return;
    }
    const endpoints = mesh.endpoints(service);
    const same = service === this.#service && endpoints === this.#endpoints && policy === this.#policy;
    // Labels are records of their own, of which subsets and localities depend.
    if (same && subset === '' && settings.loadBalancer?.locality === undefined) return;
    if (policy !== this.#policy || this.#service === undefined) this.#settle(settings);
    this.#service = service;
    this.#endpoints = endpoints;
    this.#policy = policy;
    const protocol = portOf(service, port)?.appProtocol;
    this.speaksH2 = protocol === 'http2' || protocol === 'grpc';
    this.#rebalance(service, endpoints, policy);
  }

  /** It leads nowhere: its service is gone, or has no such subset, port or endpoint. */
  get empty(): boolean {
    return this.#members.size === 0 && !this.dynamic;
  }

  /** Lets go of what it holds; only when it is empty. */
  forget(): void {
    this.forgotten = true;
    this.#named.close();
    this.#hosts?.close();
    this.#tls?.dispose();
    this.#tls = null;
  }

  /** Its endpoints are whatever hosts are asked for. */
  get dynamic(): boolean {
    return this.#endpoints?.length === 0 && this.#service?.hostname.startsWith('*.') === true;
  }

  /** Of a dynamic one, the endpoint that `host` is; undefined: it is none of its hosts. */
  pickHost(host: string): Member | undefined {
    const service = this.#service!;
    const { port } = this.target;
    this.#hosts ??= new NamedHosts(this.#runtime);
    const target = portOf(service, port)?.targetPort ?? 0;
    return this.#hosts.of(service, target === 0 ? port : target, port, host, (member) => this.#equip(member));
  }

  /** One endpoint; undefined: there is none that may be chosen. */
  pick(request: PickRequest): Member | undefined {
    const { loop, random } = this.#runtime;
    const host = this.#balancer?.pick(request, loop.now, random, NO_PROOF);
    return host === undefined || typeof host === 'string' ? undefined : this.#members.get(host);
  }

  /** Whether anybody wants to know how tries end. */
  get watches(): boolean {
    return this.settings.outlier !== undefined;
  }

  /** Tells how a try ended. */
  report(member: Member, result: HostResult): void {
    if (this.settings.outlier === undefined || member.host === null) return;
    this.#balancer?.report(member.host, result, this.#runtime.loop.now);
  }

  sweep(now: number): void {
    this.#named.refresh();
    this.#hosts?.sweep(now);
    for (const member of this.#members.values()) member.sweep(now);
  }

  #settle(settings: Upstream): void {
    // Equal settings keep their connections, however often they are sent.
    if (!isDeepStrictEqual(settings.tls, this.settings.tls)) {
      this.#tls?.dispose();
      this.#tls = settings.tls === undefined ? null : this.#runtime.originations.of(settings.tls);
    }
    this.settings = settings;
    this.breaker.update(settings.pool ?? DEFAULT_POOL);
    this.budget = settings.retryBudget === undefined ? undefined : new RetryBudget(settings.retryBudget);
  }

  #rebalance(service: Service, all: readonly Endpoint[], policy: TrafficPolicy | undefined): void {
    const endpoints = this.#named.expand(service, all);
    this.#hosts?.close();
    const { l7, loop, self } = this.#runtime;
    const { port, subset } = this.target;
    const sources = {
      service,
      endpoints,
      settings: this.settings,
      subsetLabels: policy?.subsets.find(({ name }) => name === subset)?.labels ?? NO_LABELS,
      labelsOf: (uid: string) => l7.labels(this.#named.ownerOf(uid)),
      source: self(),
    };
    if (this.#balancer === null) this.#balancer = new Balancer(port, sources, loop.now);
    else this.#balancer.update(sources, loop.now);
    const next = new Map<Host, Member>();
    for (const host of this.#balancer.hosts) {
      const member = this.#memberOf(host, service);
      if (member === undefined) continue;
      this.#equip(member);
      next.set(host, member);
    }
    this.#replace(next);
  }

  /** The one there is, as long as it is reached in the same way; undefined when there is no way. */
  #memberOf(host: Host, service: Service): Member | undefined {
    const known = this.#members.get(host);
    const { workload } = host.endpoint;
    const reach = reachOf(this.#runtime, { workload, port: host.port, service, servicePort: this.target.port });
    if (reach === undefined) return undefined;
    return known?.isReachedBy(reach) === true ? known : new Member(this.#runtime, workload, reach, host);
  }

  #equip(member: Member): void {
    member.pool = this.settings.pool ?? DEFAULT_POOL;
    member.tls = this.#tls;
    member.proxyProtocol = this.settings.proxyProtocol;
    member.tunnel = this.settings.tunnel;
  }

  #replace(next: Map<Host, Member>): void {
    for (const [host, member] of this.#members) if (next.get(host) !== member) member.close();
    this.#members = next;
  }
}
