// SPDX-License-Identifier: Apache-2.0
//
// Kubernetes objects for tests of the model, and a model filled with them.

import { Graph } from '#lib/collections/graph.ts';
import { createInputs, INPUT_KINDS, type ModelInputs } from '#lib/model/inputs.ts';
import { DEFAULT_SETTINGS, type MeshSettings } from '#lib/model/mesh-settings.ts';
import { createModel, type Model } from '#lib/model/model.ts';
import type { ServiceEntry, WorkloadEntry, WorkloadSpec } from '#lib/model/object/entry.ts';
import {
  type EndpointSlice,
  type KubeObject,
  keyOf,
  type Meta,
  type Pod,
  type Service,
  type ServicePort,
} from '#lib/model/object/object.ts';
import type { AuthorizationPolicy, AuthorizationSpec } from '#lib/model/policy/authorization-spec.ts';
import type { PeerAuthentication } from '#lib/model/policy/peer-authentication.ts';
import type { Gateway } from '#lib/model/waypoint/gateway.ts';

type MetaText = Partial<Meta>;

function meta(name: string, namespace: string | undefined, more: MetaText = {}): Meta {
  return { name, ...(namespace !== undefined && { namespace }), ...more };
}

export function namespace(name: string, more: MetaText = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: meta(name, undefined, more) };
}

export function node(name: string, labels: Record<string, string> = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'Node', metadata: meta(name, undefined, { labels }) };
}

export function serviceAccount(name: string, within: string, more: MetaText = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: meta(name, within, more) };
}

export interface PodText {
  readonly namespace?: string;
  readonly ips?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly node?: string;
  readonly account?: string;
  readonly ready?: boolean;
  readonly phase?: string;
  /** In the mesh: the agent's annotation. Default true. */
  readonly captured?: boolean;
  readonly ports?: Readonly<Record<string, number>>;
  readonly hostNetwork?: boolean;
  readonly meta?: MetaText;
}

export function pod(name: string, text: PodText = {}): Pod {
  const { account = 'default', captured = true, ips = [], labels = {}, ports = {}, ready = true } = text;
  const annotations = captured ? { 'ambient.istio.io/redirection': 'enabled' } : {};
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: meta(name, text.namespace ?? 'shop', { labels, annotations, ...text.meta }),
    spec: {
      serviceAccountName: account,
      containers: [
        {
          name: 'main',
          ports: Object.entries(ports).map(([portName, containerPort]) => ({ name: portName, containerPort })),
        },
      ],
      ...(text.node !== undefined && { nodeName: text.node }),
      ...(text.hostNetwork !== undefined && { hostNetwork: text.hostNetwork }),
    },
    status: {
      phase: text.phase ?? 'Running',
      podIPs: ips.map((ip) => ({ ip })),
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  };
}

export function kubeService(
  name: string,
  text: {
    readonly namespace?: string;
    readonly selector?: Readonly<Record<string, string>>;
    readonly ip?: string;
    readonly ports?: readonly ServicePort[];
    readonly spec?: Service['spec'];
    readonly meta?: MetaText;
  } = {},
): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: meta(name, text.namespace ?? 'shop', text.meta),
    spec: {
      ...(text.selector !== undefined && { selector: text.selector }),
      ...(text.ip !== undefined && { clusterIP: text.ip, clusterIPs: [text.ip] }),
      ports: text.ports ?? [{ port: 80 }],
      ...text.spec,
    },
  };
}

export function slice(
  name: string,
  service: string,
  fields: Omit<EndpointSlice, 'metadata'>,
  within = 'shop',
): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    addressType: 'IPv4',
    metadata: meta(name, within, { labels: { 'kubernetes.io/service-name': service } }),
    ...fields,
  };
}

export function authorizationPolicy(
  name: string,
  spec: AuthorizationSpec,
  within = 'shop',
  more: MetaText = {},
): AuthorizationPolicy {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: meta(name, within, more),
    spec: spec as AuthorizationPolicy['spec'] & object,
  };
}

export function peerAuthentication(
  name: string,
  spec: {
    readonly mode?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly ports?: Readonly<Record<string, string>>;
  },
  within = 'shop',
  more: MetaText = {},
): PeerAuthentication {
  const ports = Object.entries(spec.ports ?? {}).map(([port, mode]) => [port, { mode }] as const);
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: meta(name, within, more),
    spec: {
      ...(spec.labels !== undefined && { selector: { matchLabels: spec.labels } }),
      ...(spec.mode !== undefined && { mtls: { mode: spec.mode } }),
      ...(ports.length > 0 && { portLevelMtls: Object.fromEntries(ports) }),
    },
  };
}

export function waypointGateway(
  name: string,
  text: {
    readonly namespace?: string;
    readonly address?: string;
    readonly hostname?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly from?: string;
  } = {},
): Gateway {
  const addresses = [
    ...(text.address === undefined ? [] : [{ type: 'IPAddress', value: text.address }]),
    ...(text.hostname === undefined ? [] : [{ type: 'Hostname', value: text.hostname }]),
  ];
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: meta(name, text.namespace ?? 'shop', { labels: text.labels ?? {}, annotations: text.annotations ?? {} }),
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [
        {
          name: 'mesh',
          port: 15008,
          protocol: 'HBONE',
          ...(text.from !== undefined && { allowedRoutes: { namespaces: { from: text.from } } }),
        },
      ],
    },
    status: { addresses },
  };
}

export function serviceEntry(
  name: string,
  spec: NonNullable<ServiceEntry['spec']>,
  within = 'shop',
  more: MetaText & { readonly status?: ServiceEntry['status'] } = {},
): ServiceEntry {
  const { status, ...rest } = more;
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: meta(name, within, rest),
    spec,
    ...(status !== undefined && { status }),
  };
}

export function workloadEntry(
  name: string,
  spec: WorkloadSpec,
  within = 'shop',
  more: MetaText & { readonly status?: WorkloadEntry['status'] } = {},
): WorkloadEntry {
  const { status, ...rest } = more;
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadEntry',
    metadata: meta(name, within, rest),
    spec: { ...spec },
    ...(status !== undefined && { status }),
  };
}

/** The object as it is read from a remote cluster. */
export function inCluster<T extends KubeObject>(cluster: string, object: T): T {
  return { ...object, cluster };
}

export interface TestModel {
  readonly graph: Graph;
  readonly inputs: ModelInputs;
  readonly model: Model;
  /** Adds or replaces objects, in one batch. */
  apply(...objects: readonly KubeObject[]): void;
  remove(object: KubeObject): void;
}

type InputName = keyof typeof INPUT_KINDS;

function inputOf(object: KubeObject): InputName {
  for (const [name, { kind }] of Object.entries(INPUT_KINDS)) if (kind === object.kind) return name as InputName;
  throw new Error(`the model has no input for ${object.kind}`);
}

/** A model that fails the test when anything in it throws. */
export function testModel(objects: readonly KubeObject[] = [], settings: Partial<MeshSettings> = {}): TestModel {
  const graph = new Graph((collection, key, error) => {
    throw new Error(`${collection}/${key} failed`, { cause: error });
  });
  const inputs = createInputs(graph, { ...DEFAULT_SETTINGS, ...settings });
  const model = createModel(graph, inputs);
  const put = (object: KubeObject): void => {
    (inputs[inputOf(object)] as { set(key: string, value: KubeObject): void }).set(keyOf(object), object);
  };
  const apply = (...list: readonly KubeObject[]): void => graph.batch(() => list.forEach(put));
  apply(...objects);
  return { graph, inputs, model, apply, remove: (object) => inputs[inputOf(object)].delete(keyOf(object)) };
}
