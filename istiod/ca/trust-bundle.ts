// SPDX-License-Identifier: Apache-2.0
// The root as a ClusterTrustBundle (certificates.k8s.io), from which pods of any namespace may mount it by a projected
// volume, without a ConfigMap in each. Written when asked for, by one of several replicas, put back when somebody
// changes or deletes it, and left alone while it is right.

import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { Informer } from '#lib/kube/informer.ts';
import { CLUSTER_TRUST_BUNDLE } from '#lib/kube/kind.ts';
import { Leader } from '#lib/kube/leader.ts';
import type { GenericObject } from '#lib/kube/object.ts';
import { WorkQueue } from '#lib/kube/work-queue.ts';

/** As Istio's: `<signer with a colon for the slash>:root-cert`. */
export const TRUST_BUNDLE = 'istio.io:istiod-ca:root-cert';
const SIGNER = 'istio.io/istiod-ca';
const LEASE = 'ambit-clustertrustbundle-controller';
const FIELD_MANAGER = 'ambit-istiod-root';

export interface TrustBundleOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** Where the lease lies, by which replicas agree, and the name of this replica in it. */
  readonly namespace: string;
  readonly identity: string;
  readonly leaseSeconds: number;
  /** Whether this replica's revision goes first: one writes for all. */
  readonly goesFirst: () => boolean;
  /** The root's certificates, PEM. */
  readonly content: () => string;
}

export class TrustBundle {
  readonly #options: TrustBundleOptions;
  readonly #informer: Informer<GenericObject>;
  readonly #queue: WorkQueue;
  readonly #leader: Leader;

  constructor(options: TrustBundleOptions) {
    this.#options = options;
    const { client, clock, goesFirst, identity, leaseSeconds, log, namespace, random } = options;
    const selection = { fieldSelector: `metadata.name=${TRUST_BUNDLE}` };
    this.#informer = new Informer({ client, clock, random, log, kind: CLUSTER_TRUST_BUNDLE, selection });
    const reconcile = (): Promise<void> => this.#reconcile();
    this.#queue = new WorkQueue({ name: 'the bundle of roots', clock, log, concurrency: 1, reconcile });
    const lead = (): void => this.refresh();
    this.#leader = new Leader({ client, clock, log, namespace, name: LEASE, identity, leaseSeconds, goesFirst, lead });
  }

  start(): void {
    this.#informer.subscribe(() => this.refresh());
    this.#informer.start();
    void this.#informer.whenSynced().then(() => this.refresh());
    this.#leader.start();
  }

  /** The root may have changed. */
  refresh(): void {
    this.#queue.add(TRUST_BUNDLE);
  }

  async stop(): Promise<void> {
    this.#informer.stop();
    this.#queue.stop();
    await this.#leader.stop();
  }

  async #reconcile(): Promise<void> {
    const { client, content } = this.#options;
    // Before the copy is there nobody knows whether something is to be written.
    if (!this.#leader.leading || !this.#informer.synced) return;
    const spec = { signerName: SIGNER, trustBundle: content() };
    const found = this.#informer.get(TRUST_BUNDLE)?.spec;
    if (found?.['trustBundle'] === spec.trustBundle && found['signerName'] === SIGNER) return;
    const wanted = { metadata: { name: TRUST_BUNDLE, labels: { 'istio.io/config': 'true' } }, spec };
    await client.apply(CLUSTER_TRUST_BUNDLE, wanted, { fieldManager: FIELD_MANAGER, force: true });
  }
}
