// SPDX-License-Identifier: Apache-2.0
//
// What the model reads of Kubernetes objects: a structural subset, so that objects of any client fit. Everything an
// API server may leave out is optional.

export interface Meta {
  readonly name: string;
  readonly namespace?: string;
  readonly uid?: string;
  readonly generation?: number;
  readonly generateName?: string;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly {
    readonly apiVersion: string;
    readonly kind: string;
    readonly name: string;
    readonly controller?: boolean;
  }[];
}

export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: Meta;
  /** Id of the remote cluster it was read from; absent for the cluster whose configuration counts. */
  readonly cluster?: string;
}

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

export type Namespace = KubeObject;
export type Node = KubeObject;
export type ServiceAccount = KubeObject;

export interface Container {
  readonly name: string;
  readonly restartPolicy?: string;
  readonly ports?: readonly {
    readonly name?: string;
    readonly containerPort: number;
    readonly protocol?: string;
  }[];
}

export interface Pod extends KubeObject {
  readonly spec?: {
    readonly nodeName?: string;
    readonly serviceAccountName?: string;
    readonly hostNetwork?: boolean;
    readonly containers?: readonly Container[];
    readonly initContainers?: readonly Container[];
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip?: string }[];
    readonly conditions?: readonly Condition[];
  };
}

export interface ServicePort {
  readonly name?: string;
  readonly port: number;
  readonly protocol?: string;
  readonly appProtocol?: string;
  readonly targetPort?: number | string;
}

export interface Service extends KubeObject {
  readonly spec?: {
    readonly type?: string;
    readonly selector?: Readonly<Record<string, string>>;
    readonly clusterIP?: string;
    readonly clusterIPs?: readonly string[];
    readonly ipFamilies?: readonly string[];
    readonly ports?: readonly ServicePort[];
    readonly publishNotReadyAddresses?: boolean;
    readonly internalTrafficPolicy?: string;
    readonly trafficDistribution?: string;
  };
}

export interface SliceEndpoint {
  readonly addresses?: readonly string[];
  readonly conditions?: { readonly ready?: boolean };
  readonly targetRef?: {
    readonly kind?: string;
    readonly namespace?: string;
    readonly name?: string;
    readonly uid?: string;
  };
}

export interface EndpointSlice extends KubeObject {
  readonly addressType?: string;
  readonly endpoints?: readonly SliceEndpoint[];
  readonly ports?: readonly { readonly name?: string; readonly port?: number; readonly protocol?: string }[];
}

export interface Selector {
  readonly matchLabels?: Readonly<Record<string, string>>;
}

/** A custom resource, whose spec is checked by schema before it is believed. */
export interface CustomObject extends KubeObject {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

/** A key beside `object`: the same, with the object's cluster in front when that is a remote one. */
export function keyBeside(object: KubeObject, key: string): string {
  return object.cluster === undefined ? key : clusterKey(object.cluster, key);
}

/** A key in a remote cluster: `|` stands in no name. */
export function clusterKey(cluster: string, key: string): string {
  return `${cluster}|${key}`;
}

/** `namespace/name`, or `name` of a cluster-scoped object: the key of an object within its kind. */
export function keyOf(object: KubeObject): string {
  const { namespace, name } = object.metadata;
  return keyBeside(object, namespace === undefined || namespace === '' ? name : `${namespace}/${name}`);
}

/** Key of the object's Namespace. */
export function spaceOf(object: KubeObject): string {
  return keyBeside(object, namespaceOf(object));
}

export function namespaceOf(object: KubeObject): string {
  return object.metadata.namespace ?? '';
}

export function label(object: KubeObject, name: string): string | undefined {
  return object.metadata.labels?.[name];
}

export function annotation(object: KubeObject, name: string): string | undefined {
  return object.metadata.annotations?.[name];
}

export function labelsOf(object: KubeObject): Readonly<Record<string, string>> {
  return object.metadata.labels ?? {};
}

/** Oldest first; of the same age, by name. Objects without a date, as in files, count as the oldest. */
export function byAge(a: KubeObject, b: KubeObject): number {
  const [x, y] = [a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? ''];
  if (x !== y) return x < y ? -1 : 1;
  return keyOf(a) < keyOf(b) ? -1 : 1;
}
