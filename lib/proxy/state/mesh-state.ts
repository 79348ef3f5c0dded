// SPDX-License-Identifier: Apache-2.0
// What the main process knows of the mesh: values in maps for admin pages and explanations, and the same in the shared store for
// the data-plane processes. Sources (control plane, file) hand in resources; listeners hear of local workloads and of commits.
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { formatProblem } from '#lib/kit/result.ts';
import { feedStore, type StoreChange, type StoreWriter } from '#lib/loop/shared/store-writer.ts';
import { MapMesh } from '#lib/mesh/map-mesh.ts';
import type { Policy } from '#lib/mesh/policy.ts';
import type { Service } from '#lib/mesh/service.ts';
import { identityOf, type Workload } from '#lib/mesh/workload.ts';
import { decodeAddress, decodeAuthorization } from '#lib/model/wds/state.ts';
import type { ReceivedResource, Rejection } from '#lib/xds/client-state.ts';
import { MeshIndex } from './mesh-index.ts';

export interface MeshStateOptions {
  /** This node; '' counts every workload as local. */
  readonly nodeName: string;
  readonly store: StoreWriter;
  readonly log: Logger;
  /** The store holds a new version; `policies` tells whether authorization may have changed. */
  readonly onCommit: (version: number, policies: boolean) => void;
  /** A local workload with this identity (URI) appeared that speaks HBONE. */
  readonly onIdentity: (identity: string) => void;
  /** The last local workload with this identity is gone. */
  readonly onIdentityGone: (identity: string) => void;
}

export class MeshState {
  readonly mesh = new MapMesh();
  readonly #options: MeshStateOptions;
  readonly #index: MeshIndex;
  /** Local workloads by identity. */
  readonly #locals = new Map<string, Set<string>>();
  #policiesChanged = false;
  #feeding: Promise<void> | undefined;

  constructor(options: MeshStateOptions) {
    this.#options = options;
    this.#index = new MeshIndex(options);
  }

  /** Handler of Address resources. */
  readonly applyAddresses = (updates: readonly ReceivedResource[], removed: readonly string[]): Rejection[] => {
    const rejected: Rejection[] = [];
    for (const { name, value } of updates) {
      const decoded = decodeAddress(value);
      if (!decoded.ok) rejected.push({ name, reason: decoded.problems.map(formatProblem).join(', ') });
      else if (decoded.value.kind === 'workload') this.putWorkload(decoded.value.workload);
      else this.putService(decoded.value.service);
    }
    for (const name of removed) this.#removeAddress(name);
    this.flush();
    return rejected;
  };

  /** Handler of Authorization resources. */
  readonly applyAuthorizations = (updates: readonly ReceivedResource[], removed: readonly string[]): Rejection[] => {
    const rejected: Rejection[] = [];
    for (const { name, value } of updates) {
      const decoded = decodeAuthorization(value);
      if (!decoded.ok) {
        rejected.push({ name, reason: decoded.problems.map(formatProblem).join(', ') });
        continue;
      }
      const { policy, problems } = decoded.value;
      this.putPolicy(policy);
      if (problems.length > 0) rejected.push({ name, reason: problems.map(formatProblem).join(', ') });
    }
    for (const name of removed) this.removePolicy(name);
    this.flush();
    return rejected;
  };

  putWorkload(workload: Workload): void {
    const before = this.mesh.workloadByUid(workload.uid);
    if (before !== undefined) this.#forgetLocal(before);
    // A workload's own list of policies decides about live connections, too.
    if (before !== undefined && before.authorizationPolicies.join() !== workload.authorizationPolicies.join()) {
      this.#policiesChanged = true;
    }
    this.mesh.putWorkload(workload);
    this.#index.putWorkload(workload);
    this.#noteLocal(workload);
  }

  putService(service: Service): void {
    this.mesh.putService(service);
    this.#index.putService(service);
  }

  putPolicy(policy: Policy): void {
    this.mesh.putPolicy(policy);
    this.#index.putPolicy(policy);
    this.#policiesChanged = true;
  }

  removeWorkload(uid: string): boolean {
    const before = this.mesh.workloadByUid(uid);
    if (before === undefined) return false;
    // Nobody has a right to talk to what is gone.
    if (this.isLocal(before)) this.#policiesChanged = true;
    this.mesh.removeWorkload(uid);
    this.#index.removeWorkload(uid);
    this.#forgetLocal(before);
    return true;
  }

  removeService(key: string): boolean {
    this.#index.removeService(key);
    return this.mesh.removeService(key);
  }

  removePolicy(key: string): boolean {
    this.#index.removePolicy(key);
    this.#policiesChanged = true;
    return this.mesh.removePolicy(key);
  }

  isLocal(workload: Workload): boolean {
    return this.#options.nodeName === '' || workload.node === this.#options.nodeName;
  }

  /** Starts to bring the store up to date; returns at once. */
  flush(): void {
    this.#feeding ??= this.#feed().finally(() => {
      this.#feeding = undefined;
      if (this.#index.dirty) this.flush();
    });
  }

  /** Resolves when the store holds everything handed in so far. */
  async flushed(): Promise<void> {
    while (this.#feeding !== undefined) await this.#feeding;
  }

  async #feed(): Promise<void> {
    while (this.#index.dirty) {
      const changes = this.#index.take();
      const policies = this.#policiesChanged;
      this.#policiesChanged = false;
      const version = await this.#write(changes);
      this.#options.onCommit(version, policies);
    }
  }

  // A record that does not fit must not keep the others out: it is left out, loudly, and what it names is not found (fails closed).
  async #write(changes: readonly StoreChange[]): Promise<number> {
    const { store, log } = this.#options;
    for (let rest = changes; ; ) {
      let done = 0;
      const counted = function* (): Generator<StoreChange> {
        for (const change of rest) {
          done++;
          yield change;
        }
      };
      try {
        return await feedStore(store, counted());
      } catch (error) {
        log.error('a record does not fit into the shared mesh store', {
          key: rest[done - 1]?.key,
          error: describeError(error),
        });
        rest = rest.slice(done);
      }
    }
  }

  #removeAddress(name: string): void {
    if (this.removeWorkload(name)) return;
    const slash = name.indexOf('/');
    if (slash > 0 && !name.includes('/', slash + 1)) this.removeService(name);
  }

  #noteLocal(workload: Workload): void {
    if (!this.isLocal(workload) || (workload.protocol !== 'hbone' && !workload.nativeTunnel)) return;
    const identity = identityOf(workload).uri;
    const known = this.#locals.get(identity);
    if (known !== undefined) known.add(workload.uid);
    else {
      this.#locals.set(identity, new Set([workload.uid]));
      this.#options.onIdentity(identity);
    }
  }

  #forgetLocal(workload: Workload): void {
    const identity = identityOf(workload).uri;
    const known = this.#locals.get(identity);
    if (known === undefined || !known.delete(workload.uid) || known.size > 0) return;
    this.#locals.delete(identity);
    // A changed workload is taken out and put back in one step: only what is gone afterwards is gone.
    queueMicrotask(() => {
      if (!this.#locals.has(identity)) this.#options.onIdentityGone(identity);
    });
  }
}
