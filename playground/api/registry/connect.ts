// SPDX-License-Identifier: Apache-2.0
// Where a connecting subresource leads: pods/log, exec, attach and port-forward to the kubelet of the pod's node,
// pods/proxy to the pod, services/proxy to a ready endpoint, nodes/proxy to the kubelet.
import type { ResourceRequest } from '../http/request-info.ts';
import type { Upstream } from '../http/upstream.ts';
import { isObject, type Json, type KubeObject, listAt, numberAt, objectAt, textAt } from '../json.ts';
import { badRequest, notFound, unavailable } from '../status.ts';
import type { Store } from '../store/store.ts';

const KUBELET_PORT = 10_250;
const PATHS: Readonly<Record<string, string>> = {
  log: 'containerLogs',
  exec: 'exec',
  attach: 'attach',
  portforward: 'portForward',
};

/** Subresources whose requests are passed on. */
export const CONNECTING = new Set(['log', 'exec', 'attach', 'portforward', 'proxy']);

export class Connector {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  upstreamOf(request: ResourceRequest, search: URLSearchParams): Upstream {
    if (request.subresource === 'proxy') {
      const path = `/${request.rest}${search.size > 0 ? `?${search}` : ''}`;
      if (request.resource === 'nodes') return { ...this.#kubelet(request.name), path };
      if (request.resource === 'services') return { ...this.#service(request), path };
      return { ...this.#pod(request), path };
    }
    const pod = this.#get('pods', request.namespace, request.name);
    const node = textAt(pod, 'spec', 'nodeName');
    if (!node) throw badRequest(`pod ${request.name} does not have a host assigned`);
    const query = new URLSearchParams(search);
    query.delete('container');
    let path = `/${PATHS[request.subresource]}/${encodeURIComponent(request.namespace)}/${encodeURIComponent(request.name)}`;
    if (request.subresource !== 'portforward')
      path += `/${encodeURIComponent(containerOf(pod, search.get('container')))}`;
    // The kubelet names the streams of exec and attach differently from the API.
    if (request.subresource === 'exec' || request.subresource === 'attach')
      for (const [api, kubelet] of [
        ['stdin', 'input'],
        ['stdout', 'output'],
        ['stderr', 'error'],
      ] as const) {
        const value = query.get(api);
        query.delete(api);
        if (value === 'true' || value === '1') query.set(kubelet, '1');
      }
    if (query.get('tty') === 'true') query.set('tty', '1');
    return { ...this.#kubelet(node), path: `${path}${query.size > 0 ? `?${query}` : ''}` };
  }

  /** A ready address behind a Service's port, for webhooks and the service proxy. */
  endpoint(namespace: string, name: string, port: Json): { host: string; port: number } | undefined {
    const service = this.#store.collection('services').get(namespace, name)?.object;
    const ports = listAt(service, 'spec', 'ports');
    const wanted =
      port === ''
        ? ports[0]
        : ports.find((item) => numberAt(item, 'port') === Number(port) || textAt(item, 'name') === port);
    const portName = textAt(wanted, 'name') ?? '';
    for (const entry of this.#store.collection('endpointslices.discovery.k8s.io').list(namespace)) {
      if (entry.object.metadata.labels?.['kubernetes.io/service-name'] !== name) continue;
      const target = listAt(entry.object, 'ports').find((item) => (textAt(item, 'name') ?? '') === portName);
      const ready = listAt(entry.object, 'endpoints').find((item) => objectAt(item, 'conditions')['ready'] !== false);
      const address = listAt(ready, 'addresses')[0];
      if (target && typeof address === 'string') return { host: address, port: numberAt(target, 'port') ?? 0 };
    }
    return undefined;
  }

  #get(resource: string, namespace: string, name: string): KubeObject {
    const found = this.#store.collection(resource).get(namespace, name)?.object;
    if (!found) throw notFound({ group: '', resource }, name);
    return found;
  }

  #kubelet(name: string): Omit<Upstream, 'path'> {
    const node = this.#get('nodes', '', name);
    const addresses = listAt(node, 'status', 'addresses').filter(isObject);
    const address = addresses.find((item) => item['type'] === 'InternalIP') ?? addresses[0];
    const host = textAt(address, 'address');
    if (!host) throw unavailable(`node ${name} has no address`);
    const port = numberAt(node, 'status', 'daemonEndpoints', 'kubeletEndpoint', 'Port') ?? KUBELET_PORT;
    return { tls: true, host, port };
  }

  #service({ namespace, name: text }: ResourceRequest): Omit<Upstream, 'path'> {
    const { tls, name, port } = splitName(text);
    const found = this.endpoint(namespace, name, port);
    if (!found) throw unavailable(`no endpoints available for service "${name}"`);
    return { tls, ...found };
  }

  #pod({ namespace, name: text }: ResourceRequest): Omit<Upstream, 'path'> {
    const { tls, name, port } = splitName(text);
    const pod = this.#get('pods', namespace, name);
    const host = textAt(pod, 'status', 'podIP');
    if (!host) throw unavailable(`pod ${name} has no address`);
    const ports = listAt(pod, 'spec', 'containers').flatMap((container) => listAt(container, 'ports'));
    const named = port === '' ? ports[0] : ports.find((item) => textAt(item, 'name') === port);
    return { tls, host, port: numberAt(named, 'containerPort') ?? (Number(port) || (tls ? 443 : 80)) };
  }
}

/** `[https:]name[:port]`. */
function splitName(text: string): { tls: boolean; name: string; port: string } {
  const parts = text.split(':');
  const scheme = parts.length === 3 ? parts.shift() : '';
  return { tls: scheme === 'https', name: parts[0] ?? '', port: parts[1] ?? '' };
}

function containerOf(pod: KubeObject, asked: string | null): string {
  const all = ['containers', 'initContainers', 'ephemeralContainers'].flatMap((list) =>
    listAt(pod, 'spec', list).map((item) => textAt(item, 'name') ?? ''),
  );
  const name = pod.metadata.name ?? '';
  if (asked) {
    if (!all.includes(asked)) throw badRequest(`container ${asked} is not valid for pod ${name}`);
    return asked;
  }
  const main = listAt(pod, 'spec', 'containers').map((item) => textAt(item, 'name') ?? '');
  const preferred = pod.metadata.annotations?.['kubectl.kubernetes.io/default-container'];
  if (preferred && all.includes(preferred)) return preferred;
  if (main.length !== 1)
    throw badRequest(`a container name must be specified for pod ${name}, choose one of: [${main.join(' ')}]`);
  return main[0]!;
}
