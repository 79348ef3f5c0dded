// SPDX-License-Identifier: Apache-2.0
// Who speaks in what is exported: this proxy, and what its environment adds (OpenTelemetry's resource variables).
import type { Provider } from '#lib/mesh/http/waypoint.ts';
import type { Attribute } from './record.ts';

export interface ProxyFacts {
  /** `<namespace>/<name>` of the Gateway. */
  readonly gateway: string;
  readonly podName: string;
  readonly version: string;
  readonly env: (name: string) => string | undefined;
}

/** Attributes of the resource, later ones having replaced earlier ones of the same key. */
export function resourceOf(provider: Provider, { env, gateway, podName, version }: ProxyFacts): readonly Attribute[] {
  const slash = gateway.indexOf('/');
  const [namespace, name] = [gateway.slice(0, slash), gateway.slice(slash + 1)];
  const found = new Map<string, string>();
  if (provider.otelConventions) {
    found.set('service.name', name);
    found.set('service.namespace', namespace);
    found.set('service.version', version);
    found.set('service.instance.id', `${namespace}.${podName}.istio-proxy`);
  } else found.set('service.name', `${name}.${namespace}`);
  if (provider.resourceDetectors.includes('environment')) {
    for (const pair of (env('OTEL_RESOURCE_ATTRIBUTES') ?? '').split(',')) {
      const at = pair.indexOf('=');
      if (at > 0) found.set(pair.slice(0, at).trim(), decoded(pair.slice(at + 1).trim()));
    }
    const service = env('OTEL_SERVICE_NAME') ?? '';
    if (service !== '') found.set('service.name', service);
  }
  return [...found];
}

/** Percent-encoding, or the text itself when it is none. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
