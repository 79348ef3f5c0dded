// SPDX-License-Identifier: Apache-2.0
// Brings what runs for Gateways in line with the model's plans: applies what is missing or differs, removes what is no
// longer part of a plan, and touches nothing that it did not make. What belongs to a deleted Gateway goes with it, by
// its owner reference.

import { hash } from 'node:crypto';
import type { Collection } from '#lib/collections/collection.ts';
import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import type { EventRecorder } from '#lib/kube/events.ts';
import { GATEWAY } from '#lib/kube/kind.ts';
import type { Term } from '#lib/kube/leader.ts';
import { type GenericObject, objectKey } from '#lib/kube/object.ts';
import { TermQueue } from '#lib/kube/term-queue.ts';
import type { GatewayPlan } from '#lib/model/gateway/gateways.ts';
import type { OverlayKind } from '#lib/model/gateway/parameters.ts';
import { isManaged, type PlannedObject } from '#lib/model/gateway/render.ts';
import { covers } from './covers.ts';
import type { LiveObjects } from './live-objects.ts';

export const FIELD_MANAGER = 'ambit-istiod-gateway';
/** Tells which plan an object was made from: what a newer plan leaves out shows nowhere else. */
const PLAN_HASH = 'ambit.dev/plan';

export interface DeployerOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly plans: Collection<GatewayPlan>;
  readonly live: LiveObjects;
}

export class Deployer {
  readonly #options: DeployerOptions;
  /** Our last write to each object, until the watch brings it: the version it was based on, and the plan. */
  readonly #written = new Map<string, { readonly basedOn: string; readonly plan: string }>();
  readonly #queue: TermQueue;

  constructor(options: DeployerOptions) {
    this.#options = options;
    const { clock, log } = options;
    this.#queue = new TermQueue({
      name: 'what runs for a Gateway',
      clock,
      log,
      concurrency: 2,
      reconcile: (gateway) => this.#reconcile(gateway),
    });
    options.plans.subscribe((changes) => {
      for (const { key } of changes) this.changed(key);
    });
  }

  /** Something made for this Gateway changed, by whomever. */
  changed(gateway: string): void {
    this.#queue.add(gateway);
  }

  /** Begins to write, until the term ends. */
  lead(term: Term): void {
    this.#queue.lead(
      term,
      [...this.#options.plans.entries()].map(([key]) => key),
    );
  }

  async #reconcile(key: string): Promise<void> {
    const plan = this.#options.plans.get(key);
    // Without a usable plan what runs goes on.
    if (plan === undefined || plan.objects.length === 0) return;
    const kept = new Set<string>();
    for (const object of plan.objects) {
      kept.add(idOf(object.kind, object));
      await this.#apply(plan, withHash(object));
    }
    for (const [id, object] of this.#options.live.of(key)) {
      if (!kept.has(id) && isManaged(object, plan.profile) && isOwnedBy(object, plan.uid))
        await this.#remove(id, object);
    }
  }

  async #apply(plan: GatewayPlan, object: PlannedObject): Promise<void> {
    const { client, live, log } = this.#options;
    const { kind } = object;
    const id = idOf(kind, object);
    const { name, namespace } = object.metadata;
    // The watches of some kinds show only what is marked as ours.
    const found = live.get(kind, object) ?? (await client.get(live.kind(kind), { name, namespace }));
    if (found !== undefined && !isManaged(found, plan.profile)) {
      await this.#refuse(plan, kind, name);
      return;
    }
    const basedOn = found?.metadata.resourceVersion ?? '';
    const hashed = object.metadata.annotations[PLAN_HASH] ?? '';
    const written = this.#written.get(id);
    if (written?.basedOn === basedOn && written.plan === hashed) return;
    this.#written.delete(id);
    if (found !== undefined && covers(found, object)) return;
    const result = await client.apply(live.kind(kind), object, {
      fieldManager: FIELD_MANAGER,
      force: true,
    });
    this.#written.set(id, { basedOn, plan: hashed });
    log.info('applied', {
      object: id,
      gateway: `${plan.namespace}/${plan.gateway}`,
      version: result.metadata.resourceVersion,
    });
  }

  async #remove(id: string, object: GenericObject): Promise<void> {
    const { client, live, log } = this.#options;
    const kind = id.slice(0, id.indexOf(' ')) as OverlayKind;
    const { name, namespace, uid } = object.metadata;
    await client.delete(live.kind(kind), { name, namespace }, uid === undefined ? {} : { uid });
    this.#written.delete(id);
    log.info('removed what the plan no longer has', { object: id });
  }

  async #refuse(plan: GatewayPlan, kind: OverlayKind, name: string): Promise<void> {
    const { gateway, namespace, uid } = plan;
    await this.#options.events.record(
      GATEWAY,
      { metadata: { name: gateway, namespace, uid } },
      {
        type: 'Warning',
        reason: 'ObjectNotManaged',
        message: `${kind} ${namespace}/${name} exists and was not made for this Gateway: it is left as it is. Rename it, or choose another name with the annotation gateway.istio.io/name-override`,
      },
    );
  }
}

function idOf(kind: string, object: Parameters<typeof objectKey>[0]): string {
  return `${kind} ${objectKey(object)}`;
}

function withHash(object: PlannedObject): PlannedObject {
  const plan = hash('sha1', JSON.stringify(object), 'hex');
  const { metadata } = object;
  return { ...object, metadata: { ...metadata, annotations: { ...metadata.annotations, [PLAN_HASH]: plan } } };
}

function isOwnedBy(object: GenericObject, uid: string): boolean {
  return object.metadata.ownerReferences?.some((owner) => owner.uid === uid) === true;
}
