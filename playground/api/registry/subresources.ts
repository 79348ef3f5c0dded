// SPDX-License-Identifier: Apache-2.0
// Subresources that are neither status nor proxied: scale, binding, eviction, service-account tokens, finalize.
import type { Clock } from '#lib/kit/clock.ts';
import { ISSUER, type Tokens } from '../auth/tokens.ts';
import {
  ensureObject,
  isObject,
  type Json,
  type JsonObject,
  type KubeObject,
  listAt,
  numberAt,
  objectAt,
  textAt,
} from '../json.ts';
import type { ScalePaths } from '../kinds/resource.ts';
import { badRequest, conflict, notFound } from '../status.ts';
import type { Store } from '../store/store.ts';
import type { WriteOptions } from './options.ts';
import { patchOf } from './patcher.ts';
import { timestamp } from './prepare.ts';
import type { Reader } from './read.ts';
import { served, subjectOf, type Target } from './target.ts';
import type { Writer } from './write.ts';

export interface SubresourceParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly reader: Reader;
  readonly writer: Writer;
  readonly tokens: Tokens;
}

const MIN_TOKEN_S = 600;
const DEFAULT_TOKEN_S = 3600;
const MAX_TOKEN_S = 2 ** 31;

/** A TokenRequest for the service account: bound to a pod when `boundObjectRef` says so. */
export async function issueToken(parts: SubresourceParts, target: Target, body: JsonObject): Promise<JsonObject> {
  const account = parts.reader.get(target).object;
  const spec = objectAt(body, 'spec');
  const audiences = listAt(spec, 'audiences').map(String);
  const seconds = numberAt(spec, 'expirationSeconds') ?? DEFAULT_TOKEN_S;
  if (seconds < MIN_TOKEN_S || seconds > MAX_TOKEN_S)
    throw badRequest(
      `spec.expirationSeconds: Invalid value: ${seconds}: may not specify a duration less than 10 minutes or more than 2^32 seconds`,
    );
  const bound = spec['boundObjectRef'];
  const pod = isObject(bound) && bound['kind'] === 'Pod' ? boundPod(parts, target, bound) : undefined;
  const node = pod ? textAt(pod, 'spec', 'nodeName') : undefined;
  const nodeUid = node ? parts.store.collection('nodes').get('', node)?.object.metadata.uid : undefined;
  const { token, expires } = await parts.tokens.issue(
    {
      namespace: target.namespace,
      serviceAccount: { name: target.name, uid: account.metadata.uid ?? '' },
      ...(pod ? { pod: { name: pod.metadata.name ?? '', uid: pod.metadata.uid ?? '' } } : {}),
      ...(node && nodeUid ? { node: { name: node, uid: nodeUid } } : {}),
    },
    audiences,
    seconds,
  );
  return {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name: target.name, namespace: target.namespace, creationTimestamp: timestamp(parts.clock.now()) },
    spec: {
      audiences: audiences.length > 0 ? audiences : [ISSUER],
      expirationSeconds: seconds,
      boundObjectRef: bound ?? null,
    },
    status: { token, expirationTimestamp: timestamp(expires.getTime()) },
  };
}

function boundPod({ store }: SubresourceParts, target: Target, bound: JsonObject): KubeObject {
  const name = textAt(bound, 'name') ?? '';
  const pod = store.collection('pods').get(target.namespace, name)?.object;
  if (!pod) throw notFound({ group: '', resource: 'pods' }, name);
  const uid = textAt(bound, 'uid');
  if (uid && uid !== pod.metadata.uid)
    throw conflict(
      { group: '', resource: 'pods' },
      name,
      `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  if (textAt(pod, 'spec', 'serviceAccountName') !== target.name)
    throw badRequest(
      `cannot bind token for serviceaccount "${target.name}" to pod running with different serviceaccount name.`,
    );
  return pod;
}

/** Binds a pod to the node a scheduler chose; a pod is bound once. */
export async function bind(
  parts: SubresourceParts,
  target: Target,
  body: JsonObject,
  options: WriteOptions,
): Promise<void> {
  const node = textAt(body, 'target', 'name');
  if (!node) throw badRequest('target.name is required');
  await parts.writer.change({ ...target, subresource: '' }, options, (pod) => {
    const spec = ensureObject(pod, 'spec');
    if (spec['nodeName'])
      throw conflict(
        subjectOf(target),
        target.name,
        `pod ${target.name} is already assigned to node "${String(spec['nodeName'])}"`,
      );
    spec['nodeName'] = node;
    pod.metadata.annotations = {
      ...pod.metadata.annotations,
      ...(objectAt(body, 'metadata', 'annotations') as Record<string, string>),
    };
    return pod;
  });
  await parts.writer.change({ ...target, subresource: 'status' }, options, (pod) => {
    const status = ensureObject(pod, 'status');
    const others = listAt(status, 'conditions').filter((item) => textAt(item, 'type') !== 'PodScheduled');
    status['conditions'] = [
      ...others,
      { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: timestamp(parts.clock.now()) },
    ];
    return pod;
  });
}

/** Reads a JSON path such as `.spec.replicas`. */
const steps = (path: string): string[] => path.split('.').filter((step) => step !== '');
const read = (object: JsonObject, path: string): Json | undefined =>
  steps(path).reduce<Json | undefined>((value, step) => (isObject(value) ? value[step] : undefined), object);

export function scaleOf(parts: SubresourceParts, target: Target): JsonObject {
  const entry = parts.reader.get(target);
  return toScale(served(target.resource, target.version, entry.object), target.version.scale!);
}

function toScale(object: KubeObject, paths: ScalePaths): JsonObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const selector = paths.labelSelectorPath ? read(object, paths.labelSelectorPath) : undefined;
  const spec = read(object, paths.specReplicasPath);
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: spec === undefined ? {} : { replicas: spec },
    status: {
      replicas: read(object, paths.statusReplicasPath) ?? 0,
      ...(selector === undefined ? {} : { selector: selectorText(selector) }),
    },
  };
}

function selectorText(selector: Json): string {
  if (typeof selector === 'string') return selector;
  const labels = isObject(selector) ? (isObject(selector['matchLabels']) ? selector['matchLabels'] : selector) : {};
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(',');
}

/** Replaces or patches the scale, which changes the object's replica count. */
export async function writeScale(
  parts: SubresourceParts,
  target: Target,
  change: { readonly body: JsonObject } | { readonly patch: string; readonly contentType: string },
  options: WriteOptions,
): Promise<JsonObject> {
  const paths = target.version.scale!;
  const { entry } = await parts.writer.change({ ...target, subresource: '' }, options, (object) => {
    const current = toScale(object, paths);
    const next =
      'body' in change
        ? change.body
        : patchOf(
            { ...target, resource: { ...target.resource, custom: true } },
            change.contentType,
            change.patch,
          )(current as KubeObject);
    const replicas = numberAt(next, 'spec', 'replicas');
    if (replicas === undefined || replicas < 0) throw badRequest('spec.replicas must be a number of 0 or more');
    const path = steps(paths.specReplicasPath);
    let parent: JsonObject = object;
    for (const step of path.slice(0, -1)) parent = ensureObject(parent, step);
    parent[path.at(-1)!] = replicas;
    const wanted = textAt(next, 'metadata', 'resourceVersion');
    if (wanted) object.metadata.resourceVersion = wanted;
    return object;
  });
  return toScale(served(target.resource, target.version, entry.object), paths);
}
