// SPDX-License-Identifier: Apache-2.0
// A service of a wildcard and no endpoints (a ServiceEntry with resolution DYNAMIC_DNS): each host under the wildcard that requests ask for
// is an endpoint, as long as it is among those that were asked for last.
import type { Service } from '#lib/mesh/service.ts';
import { NO_LOCALITY, type Workload } from '#lib/mesh/workload.ts';
import { Member } from './member.ts';
import type { UpstreamRuntime } from './runtime.ts';
import { reachOf } from './ways.ts';

/** Hosts with connections of their own; beyond it the first that came is forgotten. */
const MAX_HOSTS = 1024;

export class NamedHosts {
  readonly #runtime: UpstreamRuntime;
  readonly #members = new Map<string, Member>();

  constructor(runtime: UpstreamRuntime) {
    this.#runtime = runtime;
  }

  /** undefined for a host that is not under the wildcard. `equip` is told of those that are made. */
  of(
    service: Service,
    port: number,
    servicePort: number,
    name: string,
    equip: (member: Member) => void,
  ): Member | undefined {
    const host = name.toLowerCase();
    const known = this.#members.get(host);
    if (known !== undefined) return known;
    const suffix = service.hostname.slice(1).toLowerCase();
    if (!host.endsWith(suffix) || host.length === suffix.length) return undefined;
    const workload = this.#workload(service, host);
    const reach = reachOf(this.#runtime, { workload, port, service, servicePort });
    if (reach === undefined) return undefined;
    if (this.#members.size >= MAX_HOSTS) this.#forgetFirst();
    const member = new Member(this.#runtime, workload, reach);
    equip(member);
    this.#members.set(host, member);
    return member;
  }

  sweep(now: number): void {
    for (const member of this.#members.values()) member.sweep(now);
  }

  /** Requests under way end as they may. */
  close(): void {
    for (const member of this.#members.values()) member.close();
    this.#members.clear();
  }

  #forgetFirst(): void {
    for (const [host, member] of this.#members) {
      this.#members.delete(host);
      member.close();
      return;
    }
  }

  /** What is known of somebody outside: no more than that nothing of ours is there. */
  #workload({ key, namespace }: Service, hostname: string): Workload {
    return {
      ...this.#runtime.self(),
      ...{ uid: `${key}@${hostname}`, name: hostname, namespace, hostname, serviceAccount: '', addresses: [] },
      ...{ protocol: 'none', waypoint: undefined, networkGateway: undefined, applicationTunnel: undefined },
      ...{ node: '', locality: NO_LOCALITY, canonicalName: '', canonicalRevision: '', workloadName: '' },
      ...{ services: new Map(), authorizationPolicies: [], healthy: true, capacity: 1 },
    };
  }
}
