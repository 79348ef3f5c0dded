// SPDX-License-Identifier: Apache-2.0
// The one who writes the mesh into the shared store, for the data-plane processes and for the main process's own pages. Sources
// (control plane, file) hand in resources; listeners hear of local workloads and of commits. What is handed in is seen once it is in the
// store (`flushed`).
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { formatProblem } from '#lib/kit/result.ts';
import { nodeHeap } from '#lib/loop/housekeeping.ts';
import { feedStore, type StoreChange, type StoreWriter } from '#lib/loop/shared/store-writer.ts';
import type { Policy } from '#lib/mesh/policy.ts';
import type { Service } from '#lib/mesh/service.ts';
import { identityOf, type Workload } from '#lib/mesh/workload.ts';
import { decodeAddress, decodeAuthorization } from '#lib/model/wds/state.ts';
import type { ReceivedResource, Rejection } from '#lib/xds/client-state.ts';
import { HeapKeeper } from './heap-keeper.ts';
import { isLocal, MeshIndex, type Place } from './mesh-index.ts';
import { StoredMesh } from './stored-mesh.ts';

export interface MeshStateOptions extends Place {
  readonly store: StoreWriter;
  readonly log: Logger;
  /** The store holds a new version; `policies` tells whether authorization may have changed. */
  readonly onCommit: (version: number, policies: boolean) => void;
  /** A local workload with this identity (URI) appeared that speaks HBONE. */
  readonly onIdentity: (identity: string) => void;
  /** The last local workload with this identity is gone. */
  readonly onIdentityGone: (identity: string) => void;
}

/** What is remembered of a workload of this node. */
interface Local {
  /** URI; '' when it does not speak HBONE. */
  readonly identity: string;
  readonly policies: string;
}

export class MeshState {
  /** What the store holds. */
  readonly mesh: StoredMesh;
  readonly #options: MeshStateOptions;
  readonly #index: MeshIndex;
  readonly #heap = new HeapKeeper(nodeHeap());
  /** Workloads of this node, by uid. */
  readonly #locals = new Map<string, Local>();
  /** How many of them have that identity. */
  readonly #identities = new Map<string, number>();
  #policiesChanged = false;
  #feeding: Promise<void> | undefined;

  constructor(options: MeshStateOptions) {
    this.#options = options;
    this.mesh = new StoredMesh(options.store);
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
    const before = this.#locals.get(workload.uid);
    if (before !== undefined) this.#forgetLocal(workload.uid, before);
    this.#index.putWorkload(workload);
    if (!this.isLocal(workload)) return;
    const speaksHbone = workload.protocol === 'hbone' || workload.nativeTunnel;
    const local = {
      identity: speaksHbone ? identityOf(workload).uri : '',
      policies: workload.authorizationPolicies.join(),
    };
    // A workload's own list of policies decides about live connections, too.
    if (before !== undefined && before.policies !== local.policies) this.#policiesChanged = true;
    this.#noteLocal(workload.uid, local);
  }

  putService(service: Service): void {
    this.#index.putService(service);
  }

  putPolicy(policy: Policy): void {
    this.#index.putPolicy(policy);
    this.#policiesChanged = true;
  }

  removeWorkload(uid: string): boolean {
    if (!this.#index.removeWorkload(uid)) return false;
    const local = this.#locals.get(uid);
    if (local !== undefined) {
      // Nobody has a right to talk to what is gone.
      this.#policiesChanged = true;
      this.#forgetLocal(uid, local);
    }
    return true;
  }

  removeService(key: string): boolean {
    return this.#index.removeService(key);
  }

  removePolicy(key: string): boolean {
    this.#policiesChanged = true;
    return this.#index.removePolicy(key);
  }

  isLocal(workload: Workload): boolean {
    return isLocal(this.#options, workload);
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
      this.#heap.changed();
    }
  }

  // A record that does not fit must not keep the others out: it is left out, loudly, and what it names is not found (fails closed).
  async #write(changes: Iterator<StoreChange>): Promise<number> {
    const { store, log } = this.#options;
    let current = '';
    // Not the generator itself: it would be over with the first error.
    const rest: Iterable<StoreChange> = {
      [Symbol.iterator]: () => ({
        next: () => {
          const step = changes.next();
          if (!step.done) current = step.value.key;
          return step;
        },
      }),
    };
    for (;;) {
      try {
        return await feedStore(store, rest);
      } catch (error) {
        log.error('a record does not fit into the shared mesh store', { key: current, error: describeError(error) });
      }
    }
  }

  #removeAddress(name: string): void {
    if (this.removeWorkload(name)) return;
    const slash = name.indexOf('/');
    if (slash > 0 && !name.includes('/', slash + 1)) this.removeService(name);
  }

  #noteLocal(uid: string, local: Local): void {
    this.#locals.set(uid, local);
    const { identity } = local;
    if (identity === '') return;
    const count = this.#identities.get(identity) ?? 0;
    this.#identities.set(identity, count + 1);
    if (count === 0) this.#options.onIdentity(identity);
  }

  #forgetLocal(uid: string, { identity }: Local): void {
    this.#locals.delete(uid);
    if (identity === '') return;
    const count = this.#identities.get(identity)! - 1;
    if (count > 0) {
      this.#identities.set(identity, count);
      return;
    }
    this.#identities.delete(identity);
    // A changed workload is taken out and put back in one step: only what is gone afterwards is gone.
    queueMicrotask(() => {
      if (!this.#identities.has(identity)) this.#options.onIdentityGone(identity);
    });
  }
}
