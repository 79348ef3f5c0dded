// SPDX-License-Identifier: Apache-2.0
//
// Defaults and list keys of the Gateway API that the API server must apply, as its specification gives them. The
// package's validators cannot carry them: validating never fills in. `[]` in a path goes into a list's items.

import type { Schema } from './schema.ts';

type DefaultTable = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

const GATEWAY_GROUP = 'gateway.networking.k8s.io';
const PREFIX_MATCH = { type: 'PathPrefix', value: '/' };
const SAME_NAMESPACE = { from: 'Same' };

function unknownCondition(type: string): object {
  return {
    type,
    status: 'Unknown',
    reason: 'Pending',
    message: 'Waiting for controller',
    lastTransitionTime: '1970-01-01T00:00:00Z',
  };
}

const PARENT = { 'spec.parentRefs[].group': GATEWAY_GROUP, 'spec.parentRefs[].kind': 'Gateway' };

/** Fields shared by the rules of every route. */
function backend(at: string): Record<string, unknown> {
  return { [`${at}.group`]: '', [`${at}.kind`]: 'Service' };
}

const RULE_BACKENDS = { ...backend('spec.rules[].backendRefs[]'), 'spec.rules[].backendRefs[].weight': 1 };

function filters(at: string): Record<string, unknown> {
  return {
    ...backend(`${at}.requestMirror.backendRef`),
    [`${at}.requestMirror.fraction.denominator`]: 100,
    [`${at}.cors.maxAge`]: 5,
  };
}

const SESSION = {
  'spec.rules[].sessionPersistence.type': 'Cookie',
  'spec.rules[].sessionPersistence.cookieConfig.lifetimeType': 'Session',
};

function listeners(at: string): Record<string, unknown> {
  return {
    [`${at}.allowedRoutes`]: { namespaces: SAME_NAMESPACE },
    [`${at}.allowedRoutes.namespaces`]: SAME_NAMESPACE,
    [`${at}.allowedRoutes.namespaces.from`]: 'Same',
    [`${at}.allowedRoutes.kinds[].group`]: GATEWAY_GROUP,
    [`${at}.tls.mode`]: 'Terminate',
    [`${at}.tls.certificateRefs[].group`]: '',
    [`${at}.tls.certificateRefs[].kind`]: 'Secret',
  };
}

const DEFAULTS: DefaultTable = {
  GatewayClass: { status: { conditions: [unknownCondition('Accepted')] } },
  Gateway: {
    ...listeners('spec.listeners[]'),
    'spec.addresses[].type': 'IPAddress',
    'spec.allowedListeners.namespaces': { from: 'None' },
    'spec.allowedListeners.namespaces.from': 'None',
    'status.addresses[].type': 'IPAddress',
    status: { conditions: [unknownCondition('Accepted'), unknownCondition('Programmed')] },
  },
  ListenerSet: {
    ...listeners('spec.listeners[]'),
    'spec.parentRef.group': GATEWAY_GROUP,
    'spec.parentRef.kind': 'Gateway',
    status: { conditions: [unknownCondition('Accepted'), unknownCondition('Programmed')] },
  },
  HTTPRoute: {
    ...PARENT,
    ...RULE_BACKENDS,
    ...SESSION,
    ...filters('spec.rules[].filters[]'),
    ...filters('spec.rules[].backendRefs[].filters[]'),
    'spec.rules': [{ matches: [{ path: PREFIX_MATCH }] }],
    'spec.rules[].matches': [{ path: PREFIX_MATCH }],
    'spec.rules[].matches[].path': PREFIX_MATCH,
    'spec.rules[].matches[].path.type': 'PathPrefix',
    'spec.rules[].matches[].path.value': '/',
    'spec.rules[].matches[].headers[].type': 'Exact',
    'spec.rules[].matches[].queryParams[].type': 'Exact',
  },
  GRPCRoute: {
    ...PARENT,
    ...RULE_BACKENDS,
    ...SESSION,
    ...filters('spec.rules[].filters[]'),
    ...filters('spec.rules[].backendRefs[].filters[]'),
    'spec.rules[].matches[].method.type': 'Exact',
    'spec.rules[].matches[].headers[].type': 'Exact',
  },
  TCPRoute: { ...PARENT, ...RULE_BACKENDS },
  TLSRoute: { ...PARENT, ...RULE_BACKENDS },
  UDPRoute: { ...PARENT, ...RULE_BACKENDS },
};

/** Lists that server-side apply merges by key: [path, keys]. */
const KEYED_LISTS: Readonly<Record<string, readonly (readonly [string, readonly string[]])[]>> = {
  Gateway: [
    ['spec.listeners', ['name']],
    ['status.listeners', ['name']],
    ['status.listeners[].conditions', ['type']],
  ],
  ListenerSet: [
    ['spec.listeners', ['name']],
    ['status.listeners', ['name']],
    ['status.listeners[].conditions', ['type']],
  ],
};

/** The node at a path, undefined when the schema has no such field. */
function nodeAt(schema: Schema, path: string): Schema | undefined {
  let node: Schema | undefined = schema;
  for (const part of path.split('.')) {
    const lists = part.match(/\[\]/g)?.length ?? 0;
    node = node?.properties?.[part.replaceAll('[]', '')];
    for (let i = 0; i < lists; i++) node = node?.items;
  }
  return node;
}

/** Writes defaults and list keys into the schema of a kind. */
export function addDefaults(kind: string, group: string, schema: Schema): void {
  if (group === GATEWAY_GROUP) {
    for (const [path, value] of Object.entries(DEFAULTS[kind] ?? {})) {
      const node = nodeAt(schema, path);
      if (node !== undefined) node.default = value;
    }
    for (const [path, keys] of KEYED_LISTS[kind] ?? []) keyed(nodeAt(schema, path), keys);
  }
  keyed(nodeAt(schema, 'status.conditions'), ['type']);
}

function keyed(node: Schema | undefined, keys: readonly string[]): void {
  if (node?.type !== 'array' || node.items?.properties === undefined) return;
  const { items } = node;
  // A key must be present or have a default in every item.
  for (const key of keys) {
    if (items.properties?.[key] === undefined) return;
    items.required = [...new Set([...(items.required ?? []), key])];
  }
  node['x-kubernetes-list-type'] = 'map';
  node['x-kubernetes-list-map-keys'] = [...keys];
}
