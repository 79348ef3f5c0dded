// SPDX-License-Identifier: Apache-2.0
// The endpoints of one service port, or of a subset of them, and the choice among them. The list follows the mesh: it is looked
// at again when the store has changed, and members that stay keep their connections and counts.
import { targetPortOf } from '#lib/mesh/candidate.ts';
import type { Target } from '#lib/mesh/http/route-table.ts';
import {
  DEFAULT_POOL,
  DEFAULT_UPSTREAM,
  type TrafficPolicy,
  type Upstream,
  upstreamOf,
} from '#lib/mesh/http/traffic-policy.ts';
import { type Endpoint, portOf, type Service } from '#lib/mesh/service.ts';
import type { Runtime } from '../worker/runtime.ts';
import { Member } from './member.ts';

export class Cluster {
  readonly target: Target;
  members: readonly Member[] = [];
  /** Requests under way. */
  active = 0;
  /** Retries under way. */
  retrying = 0;
  settings: Upstream = DEFAULT_UPSTREAM;
  service: Service | undefined;
  readonly #runtime: Runtime;
  #known = new Map<string, Member>();
  #seenAt = -1;
  #endpoints: readonly Endpoint[] | undefined;
  #policy: TrafficPolicy | undefined;
  #missing = false;
  #equal = true;

  constructor(runtime: Runtime, target: Target) {
    this.#runtime = runtime;
    this.target = target;
  }

  /** The service or the subset is not known. */
  get missing(): boolean {
    return this.#missing;
  }

  /** Its service's port speaks HTTP/2. */
  get speaksH2(): boolean {
    const protocol = this.service === undefined ? undefined : portOf(this.service, this.target.port)?.appProtocol;
    return protocol === 'http2' || protocol === 'grpc';
  }

  /** Follows the mesh; cheap while nothing has changed. */
  refresh(): void {
    const { l7, mesh } = this.#runtime;
    const version = l7.version;
    if (version === this.#seenAt) return;
    this.#seenAt = version;
    const { port, service: key, subset } = this.target;
    const service = mesh.service(key);
    const policy = l7.trafficPolicy(key);
    this.service = service;
    const settings = service === undefined ? undefined : upstreamOf(policy, subset, port);
    this.#missing = settings === undefined;
    if (service === undefined || settings === undefined) {
      this.#replace(new Map());
      this.#endpoints = undefined;
      return;
    }
    this.settings = settings;
    const endpoints = mesh.endpoints(service);
    if (endpoints === this.#endpoints && policy === this.#policy && subset === '') return;
    this.#endpoints = endpoints;
    this.#policy = policy;
    this.#replace(this.#membersOf(service, endpoints, policy));
  }

  /** One member; those in `tried` only when there is no other. undefined: there is none. */
  pick(tried: readonly Member[]): Member | undefined {
    const { members } = this;
    const count = members.length;
    if (count === 0) return undefined;
    if (count === 1) return members[0];
    const random = this.#runtime.random;
    for (let look = 0; look < 5; look++) {
      const one = this.#drawn(random());
      const other = this.#drawn(random());
      const better = other.active * one.weight < one.active * other.weight ? other : one;
      if (tried.length === 0 || !tried.includes(better)) return better;
    }
    return members.find((member) => !tried.includes(member)) ?? members[0];
  }

  sweep(now: number): void {
    for (const member of this.members) member.sweep(now);
  }

  #drawn(chance: number): Member {
    const { members } = this;
    if (this.#equal) return members[Math.floor(chance * members.length)]!;
    let total = 0;
    for (const { weight } of members) total += weight;
    let ticket = chance * total;
    for (const member of members) {
      ticket -= member.weight;
      if (ticket < 0) return member;
    }
    return members[members.length - 1]!;
  }

  #membersOf(service: Service, endpoints: readonly Endpoint[], policy: TrafficPolicy | undefined): Map<string, Member> {
    const { l7, settings: own } = this.#runtime;
    const { port, subset } = this.target;
    const labels = policy?.subsets.find(({ name }) => name === subset)?.labels;
    const next = new Map<string, Member>();
    for (const endpoint of endpoints) {
      const { workload } = endpoint;
      if ((!workload.healthy && !service.loadBalancing.allowUnhealthy) || workload.capacity <= 0) continue;
      if (workload.network !== own.network && workload.network !== '') continue;
      const ip = workload.addresses[0];
      const targetPort = targetPortOf(service, endpoint, port);
      if (ip === undefined || targetPort === 0) continue;
      if (labels !== undefined && !hasLabels(l7.labels(workload.uid), labels)) continue;
      const key = `${workload.uid} ${ip.text} ${targetPort} ${workload.protocol} ${workload.serviceAccount}`;
      const pool = this.settings.pool ?? DEFAULT_POOL;
      const known = this.#known.get(key);
      if (known !== undefined) {
        known.pool = pool;
        known.weight = workload.capacity;
      }
      next.set(key, known ?? new Member(this.#runtime, workload, ip, targetPort, service.subjectAltNames, pool));
    }
    return next;
  }

  #replace(next: Map<string, Member>): void {
    for (const [key, member] of this.#known) if (!next.has(key)) member.close();
    this.#known = next;
    this.members = [...next.values()];
    this.#equal = this.members.every(({ weight }) => weight === this.members[0]!.weight);
  }
}

function hasLabels(labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
  return Object.entries(wanted).every(([key, value]) => labels[key] === value);
}
