// SPDX-License-Identifier: Apache-2.0
// Defaults of a pod spec, as the API reference documents them. Templates get the same ones.
import { ensureObject, isObject, type Json, type JsonObject, listAt, objectAt } from '../json.ts';

/** Sets a member that is missing. */
export function defaulted(object: JsonObject, key: string, value: Json): void {
  if (object[key] === undefined) object[key] = value;
}

const objects = (value: JsonObject, key: string): JsonObject[] => listAt(value, key).filter(isObject);

export function defaultPodSpec(spec: JsonObject): void {
  defaulted(spec, 'restartPolicy', 'Always');
  defaulted(spec, 'terminationGracePeriodSeconds', 30);
  defaulted(spec, 'dnsPolicy', 'ClusterFirst');
  defaulted(spec, 'securityContext', {});
  defaulted(spec, 'schedulerName', 'default-scheduler');
  if (spec['serviceAccountName'] === undefined && spec['serviceAccount'] !== undefined)
    spec['serviceAccountName'] = spec['serviceAccount'];
  if (spec['serviceAccountName'] !== undefined) spec['serviceAccount'] = spec['serviceAccountName'];
  for (const list of ['initContainers', 'containers'])
    for (const container of objects(spec, list)) defaultContainer(container, spec['hostNetwork'] === true);
  for (const volume of objects(spec, 'volumes')) defaultVolume(volume);
}

function defaultContainer(container: JsonObject, hostNetwork: boolean): void {
  defaulted(container, 'resources', {});
  defaulted(container, 'terminationMessagePath', '/dev/termination-log');
  defaulted(container, 'terminationMessagePolicy', 'File');
  const image = String(container['image'] ?? '');
  const tag = /:([^/]+)$/.exec(image.split('@')[0]!)?.[1];
  const latest = tag === 'latest' || (tag === undefined && !image.includes('@'));
  defaulted(container, 'imagePullPolicy', latest ? 'Always' : 'IfNotPresent');
  for (const port of objects(container, 'ports')) {
    defaulted(port, 'protocol', 'TCP');
    if (hostNetwork) defaulted(port, 'hostPort', port['containerPort'] ?? null);
  }
  for (const env of objects(container, 'env')) {
    const field = objectAt(env, 'valueFrom')['fieldRef'];
    if (isObject(field)) defaulted(field, 'apiVersion', 'v1');
  }
  for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    const found = container[probe];
    if (isObject(found)) defaultProbe(found);
  }
  const resources = objectAt(container, 'resources');
  if (isObject(resources['limits'])) {
    const requests = ensureObject(resources, 'requests');
    for (const [name, limit] of Object.entries(resources['limits'])) defaulted(requests, name, limit ?? null);
  }
  for (const hook of ['postStart', 'preStop']) defaultHttpGet(objectAt(container, 'lifecycle', hook)['httpGet']);
}

function defaultProbe(probe: JsonObject): void {
  defaulted(probe, 'timeoutSeconds', 1);
  defaulted(probe, 'periodSeconds', 10);
  defaulted(probe, 'successThreshold', 1);
  defaulted(probe, 'failureThreshold', 3);
  defaultHttpGet(probe['httpGet']);
  if (isObject(probe['grpc'])) defaulted(probe['grpc'], 'service', '');
}

function defaultHttpGet(action: Json | undefined): void {
  if (!isObject(action)) return;
  defaulted(action, 'path', '/');
  defaulted(action, 'scheme', 'HTTP');
}

const FILE_MODE = 0o644;

function defaultVolume(volume: JsonObject): void {
  const sources = Object.keys(volume).filter((key) => key !== 'name');
  if (sources.length === 0) volume['emptyDir'] = {};
  for (const kind of ['configMap', 'secret', 'projected', 'downwardAPI']) {
    const source = volume[kind];
    if (isObject(source)) defaulted(source, 'defaultMode', FILE_MODE);
  }
  if (isObject(volume['hostPath'])) defaulted(volume['hostPath'], 'type', '');
  const items = [...listAt(volume, 'downwardAPI', 'items')];
  for (const part of listAt(volume, 'projected', 'sources')) {
    const token = objectAt(part)['serviceAccountToken'];
    if (isObject(token)) defaulted(token, 'expirationSeconds', 3600);
    items.push(...listAt(part, 'downwardAPI', 'items'));
  }
  for (const item of items) {
    const field = objectAt(item)['fieldRef'];
    if (isObject(field)) defaulted(field, 'apiVersion', 'v1');
  }
}

/** The quality-of-service class of a pod, from its requests and limits. */
export function qosClass(spec: JsonObject): string {
  const containers = [...objects(spec, 'containers'), ...objects(spec, 'initContainers')];
  const of = (container: JsonObject, part: string): JsonObject => objectAt(container, 'resources', part);
  const names = ['cpu', 'memory'];
  if (
    containers.every((item) =>
      names.every((name) => of(item, 'requests')[name] === undefined && of(item, 'limits')[name] === undefined),
    )
  )
    return 'BestEffort';
  const guaranteed = containers.every((item) =>
    names.every(
      (name) => of(item, 'limits')[name] !== undefined && of(item, 'limits')[name] === of(item, 'requests')[name],
    ),
  );
  return guaranteed ? 'Guaranteed' : 'Burstable';
}
