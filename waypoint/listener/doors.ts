// SPDX-License-Identifier: Apache-2.0
// From an address that a client dialled to the door it is: a service by its virtual address, or a workload by its own.
import type { Ip } from '#lib/mesh/ip.ts';
import type { Workload } from '#lib/mesh/workload.ts';
import { Door } from '../path/door.ts';
import { Member } from '../upstream/member.ts';
import { reachAt } from '../upstream/ways.ts';
import type { Runtime } from '../worker/runtime.ts';

/** Beyond this doors are forgotten; connections keep theirs. */
const MAX_REMEMBERED = 10_000;

export class Doors {
  readonly #runtime: Runtime;
  readonly #known = new Map<string, Door>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** undefined: nothing of this mesh is there. */
  byAddress(ip: Ip, port: number, clientNamespace: string): Door | undefined {
    const { mesh, settings } = this.#runtime;
    const service = mesh.serviceByAddress(settings.network, ip, clientNamespace);
    if (service !== undefined) return this.#of(`s ${service.key} ${port}`, () => ({ kind: 'service', service, port }));
    const workload = mesh.workloadByAddress(settings.network, ip);
    if (workload === undefined) return undefined;
    return this.#of(`w ${workload.uid} ${ip.text} ${port} ${workload.protocol}`, () => ({
      kind: 'workload',
      member: this.#member(workload, ip, port),
      port,
    }));
  }

  /** Across networks a service goes by its name. */
  byHostname(hostname: string, port: number, clientNamespace: string): Door | undefined {
    const service = this.#runtime.mesh.serviceByHostname(hostname, clientNamespace);
    if (service === undefined) return undefined;
    return this.#of(`s ${service.key} ${port}`, () => ({ kind: 'service', service, port }));
  }

  byListener(table: string, port: number): Door {
    return this.#of(`l ${table} ${port}`, () => ({ kind: 'listener', table, port }));
  }

  #member(workload: Workload, ip: Ip, port: number): Member {
    const reach = reachAt(this.#runtime, { workload, port, service: null, servicePort: 0 }, ip);
    return new Member(this.#runtime, workload, reach);
  }

  #of(name: string, behind: () => Door['behind']): Door {
    let door = this.#known.get(name);
    if (door === undefined) {
      if (this.#known.size >= MAX_REMEMBERED) this.#known.clear();
      door = new Door(this.#runtime, behind());
      this.#known.set(name, door);
    }
    return door;
  }
}
