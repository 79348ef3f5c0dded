// SPDX-License-Identifier: Apache-2.0
// Keeps the ValidatingWebhookConfigurations of our revision right: the bundle that verifies this istiod's certificate,
// and, once the webhook is proven to be reached, the failure policy. Until then it stays `Ignore` as installed, so that
// a mesh that is coming up can be configured. Every replica does this; nothing is written while it is right.

import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import { Informer } from '#lib/kube/informer.ts';
import { VALIDATING_WEBHOOK_CONFIGURATION } from '#lib/kube/kind.ts';
import type { WebhookConfiguration } from '#lib/kube/object.ts';
import { WorkQueue } from '#lib/kube/work-queue.ts';
import { ALWAYS_REJECT } from './review.ts';

const FIRST_RETRY_MS = 100;
/** Until it is reached, objects pass unseen. */
const MAX_RETRY_MS = 5_000;

export type FailurePolicy = 'Fail' | 'Ignore';

export interface WebhookKeeperOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  /** The namespace istiod runs in: the question is asked there. */
  readonly namespace: string;
  readonly revision: string;
  /** What verifies the webhook's certificate; PEM. */
  readonly rootPem: () => string;
  /** What is to happen to objects while no webhook answers. */
  readonly failurePolicy: FailurePolicy;
}

export class WebhookKeeper {
  readonly #options: WebhookKeeperOptions;
  readonly #informer: Informer<WebhookConfiguration>;
  readonly #queue: WorkQueue;
  #proven = false;

  constructor(options: WebhookKeeperOptions) {
    this.#options = options;
    const { client, clock, log, random, revision } = options;
    const selection = { labelSelector: `istio.io/rev=${revision === '' ? 'default' : revision}` };
    this.#informer = new Informer<WebhookConfiguration>({
      client,
      kind: VALIDATING_WEBHOOK_CONFIGURATION,
      clock,
      random,
      log,
      selection,
    });
    this.#queue = new WorkQueue({
      name: 'a validating webhook configuration',
      clock,
      log,
      concurrency: 1,
      reconcile: (name) => this.#reconcile(name),
    });
  }

  start(signal: AbortSignal): void {
    this.#informer.subscribe((changes) => {
      for (const { key } of changes) this.#queue.add(key);
    });
    this.#informer.start();
    signal.addEventListener('abort', () => {
      this.#informer.stop();
      this.#queue.stop();
    });
    if (this.#options.failurePolicy === 'Fail') void this.#prove(signal);
  }

  /** The root has changed. */
  refresh(): void {
    for (const { metadata } of this.#informer.values()) this.#queue.add(metadata.name);
  }

  async #reconcile(name: string): Promise<void> {
    const { client, failurePolicy, rootPem } = this.#options;
    const found = this.#informer.get(name);
    if (found === undefined) return;
    const caBundle = Buffer.from(rootPem()).toString('base64');
    const policy = failurePolicy === 'Ignore' ? 'Ignore' : this.#proven ? 'Fail' : undefined;
    const webhooks = (found.webhooks ?? []).map((webhook) => ({
      ...webhook,
      ...(policy === undefined ? {} : { failurePolicy: policy }),
      clientConfig: { ...webhook.clientConfig, caBundle },
    }));
    const right = (found.webhooks ?? []).every(
      ({ clientConfig, failurePolicy: is }) =>
        clientConfig?.caBundle === caBundle && (policy === undefined || is === policy),
    );
    if (!right) await client.update(VALIDATING_WEBHOOK_CONFIGURATION, { ...found, webhooks });
  }

  /** Asks the API server to store, without storing it, an object that the webhook always refuses, until it is refused. */
  async #prove(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    let waitMs = FIRST_RETRY_MS;
    while (!signal.aborted) {
      const verdict = await this.#ask();
      if (verdict === 'reached') {
        this.#proven = true;
        log.info('the validating webhook is reached; from now on objects wait for its word', { policy: 'Fail' });
        this.refresh();
        return;
      }
      await clock.sleep(waitMs, signal).catch(() => undefined);
      waitMs = Math.min(MAX_RETRY_MS, waitMs * 2);
    }
  }

  async #ask(): Promise<'reached' | 'not yet'> {
    const { client, log, namespace, revision } = this.#options;
    const object = {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata: {
        name: 'invalid-gateway',
        namespace,
        annotations: { [ALWAYS_REJECT]: 'true' },
        labels: { 'istio.io/rev': revision === '' ? 'default' : revision },
      },
      spec: {},
    };
    try {
      const path = `/apis/networking.istio.io/v1/namespaces/${namespace}/gateways`;
      await client.text(path, { query: { dryRun: 'All' }, body: object });
    } catch (error) {
      // Without the CRD there is nothing this object could be refused as; the webhook itself may be fine.
      if (isKubeError(error, 'KUBE_NOT_FOUND')) return 'reached';
      const reason = describeError(error);
      if (/denied the request|always refused/.test(reason)) return 'reached';
      log.debug('the validating webhook is not reached yet', { reason });
    }
    return 'not yet';
  }
}
