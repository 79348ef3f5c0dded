// SPDX-License-Identifier: Apache-2.0
// What a revision tag is made of: a webhook configuration, which carries the tag and where it leads, and a Service by
// whose name the control plane of that revision is reached.

import type { GenericObject, WebhookConfiguration } from '#lib/kube/object.ts';

export const TAG = 'istio.io/tag';
export const REVISION = 'istio.io/rev';
export const DEFAULT_VALIDATOR = 'istiod-default-validator';

const PORTS = [
  { name: 'grpc-xds', port: 15010, protocol: 'TCP' },
  { name: 'https-dns', port: 15012, protocol: 'TCP' },
  { name: 'https-webhook', port: 443, targetPort: 15017, protocol: 'TCP' },
  { name: 'http-monitoring', port: 15014, protocol: 'TCP' },
] as const;

export const tagWebhook = (tag: string) => ({ name: `istio-revision-tag-${tag}` });
export const tagService = (tag: string) => ({ name: `istiod-revision-tag-${tag}` });

/** The objects of a tag, ready to be applied. */
export function tagObjects(
  tag: string,
  revision: string,
  namespace: string,
): { readonly webhook: WebhookConfiguration; readonly service: GenericObject } {
  const labels = { app: 'istiod', [TAG]: tag, [REVISION]: revision };
  return {
    webhook: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'MutatingWebhookConfiguration',
      metadata: { ...tagWebhook(tag), labels },
      // Nothing is injected: only the labels count.
      webhooks: [],
    },
    service: {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...tagService(tag), namespace, labels },
      spec: { selector: { app: 'istiod', [REVISION]: revision }, ports: PORTS },
    },
  };
}

/** The validator of objects without a revision, led to another revision: its label, and the Service that answers. */
export function withRevision(found: WebhookConfiguration, revision: string): WebhookConfiguration {
  const name = revision === 'default' ? 'istiod' : `istiod-${revision}`;
  return {
    ...found,
    metadata: { ...found.metadata, labels: { ...found.metadata.labels, [REVISION]: revision } },
    webhooks: (found.webhooks ?? []).map((webhook) => {
      const { service } = webhook.clientConfig ?? {};
      return service === undefined
        ? webhook
        : { ...webhook, clientConfig: { ...webhook.clientConfig, service: { ...service, name } } };
    }),
  };
}
