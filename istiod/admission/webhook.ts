// SPDX-License-Identifier: Apache-2.0
// Admission as a part of the app: the webhook's HTTPS port with its metrics, and the keeper of its configurations. The
// decision is in review.ts.

import { type AdminServer, serveHttps, text } from '#lib/kit/admin.ts';
import type { Clock } from '#lib/kit/clock.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { SchemaChecker } from '#lib/model/validate/schema.ts';
import type { RunningAuthority } from '../ca/authority.ts';
import type { ServingCertificate } from '../ca/serving-certificate.ts';
import type { IstiodConfig } from '../config.ts';
import type { IstiodMetrics } from '../metrics.ts';
import { reviewAdmission } from './review.ts';
import { WebhookKeeper } from './webhook-keeper.ts';

export interface AdmissionOptions {
  readonly config: IstiodConfig;
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Logger;
  readonly metrics: IstiodMetrics;
  readonly authority: RunningAuthority;
}

/** Serves the webhook and keeps its configurations right until `signal` aborts; close the server yourself. */
export async function startAdmission(options: AdmissionOptions, signal: AbortSignal): Promise<AdminServer | undefined> {
  const { authority, client, clock, config, log, metrics, random } = options;
  if (config.webhookAddress === undefined) return undefined;
  const schemas = new SchemaChecker();
  const server = await serveHttps({
    ...config.webhookAddress,
    ...tlsOf(authority.serving()),
    routes: {
      '/ready': () => text('ready\n'),
      '/validate': ({ body, headers }) => {
        const answer = reviewAdmission(headers['content-type'] ?? '', body, schemas);
        const { outcome } = answer;
        if (outcome.kind === 'broken') {
          metrics.validationHttpErrors.inc({ status: String(outcome.status) });
          return { status: answer.status, body: answer.body };
        }
        const { apiVersion = '', kind = '', metadata } = outcome.object ?? {};
        const [group = '', version = ''] = apiVersion.split('/');
        const labels = { group, version, resource: kind };
        if (outcome.kind === 'passed') metrics.validationPassed.inc(labels);
        else {
          metrics.validationFailed.inc({ ...labels, reason: outcome.reason });
          log.info('refused an object', { object: `${kind} ${metadata?.namespace ?? ''}/${metadata?.name ?? ''}` });
        }
        return { status: 200, type: 'application/json', body: answer.body };
      },
    },
  });
  authority.onServingChange((certificate) => server.renew(tlsOf(certificate)));
  const keeper = new WebhookKeeper({
    client,
    clock,
    random,
    log,
    namespace: config.namespace,
    revision: config.revision,
    rootPem: () => authority.signer.rootPem,
    failurePolicy: config.failurePolicy,
  });
  authority.onRootChange(() => keeper.refresh());
  keeper.start(signal);
  return server;
}

function tlsOf({ chainPem, keyPem }: ServingCertificate) {
  return { cert: chainPem, key: keyPem };
}
