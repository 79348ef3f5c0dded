// SPDX-License-Identifier: Apache-2.0
//
// All Gateways that are ours, as collections: what is to run for each, and what its status says.

import type { Collection, Fetch } from '#lib/collections/collection.ts';
import type { Graph } from '#lib/collections/graph.ts';
import type { Problem } from '#lib/kit/result.ts';
import { own as ownValue } from '#lib/kit/table.ts';
import type { EffectiveSettings, ModelInputs, SettingsCollection } from '../inputs.ts';
import { GATEWAY_CONTROLLER_VERSION, GATEWAY_NAME, REVISION } from '../object/names.ts';
import {
  annotation,
  byAge,
  type CustomObject,
  keyBeside,
  label,
  namespaceOf,
  type Pod,
  type Service,
} from '../object/object.ts';

import { isOwn, type OwnershipCollection, ownershipIn } from '../revision.ts';
import { settingsIn } from '../scope.ts';
import type { Gateway } from '../waypoint/gateway.ts';
import { classOf, type GatewayProfile, profiles } from './classes.ts';
import { condition, type GatewayStatus, gatewayStatus, isSupplied, type StatusCondition } from './gateway-status.ts';
import type { ListenerSet } from './listener-set.ts';
import { createOtherGateways, type ListenerSetStatus } from './other-gateways.ts';
import { type ConfigMap, defaultsOfClass, type Overlays, parametersOf, readOverlays } from './parameters.ts';
import { annotatedValues, mergeValues, type ProxyConfigObject, type ProxyValues, valuesOf } from './proxy-config.ts';
import { type PlannedObject, renderGateway, templateLabels } from './render.ts';
import { objectName } from './render-metadata.ts';

export interface GatewaySources {
  readonly inputs: ModelInputs;
  readonly settings: SettingsCollection;
  readonly ownership: OwnershipCollection;
  readonly gateways: Collection<Gateway>;
  readonly listenerSets: Collection<ListenerSet>;
  readonly pods: Collection<Pod>;
  readonly services: Collection<Service>;
  readonly proxyConfigs: Collection<ProxyConfigObject>;
}

/** What is to run for a Gateway. */
export interface GatewayPlan {
  readonly namespace: string;
  readonly gateway: string;
  readonly uid: string;
  readonly profile: GatewayProfile;
  /** Empty when the parameters cannot be used: what runs then goes on as it is. */
  readonly objects: readonly PlannedObject[];
  readonly problems: readonly Problem[];
}

export interface GatewayCollections {
  /** By key. */
  readonly own: Collection<OwnGateway>;
  /** Gateways whose proxies istiod runs, by key. */
  readonly plans: Collection<GatewayPlan>;
  /** By the Gateway's key. */
  readonly statuses: Collection<GatewayStatus>;
  /** Of Gateways that we answer for and run nothing for, by key. */
  readonly others: Collection<GatewayStatus>;
  /** By the ListenerSet's key; all refused. */
  readonly listenerSets: Collection<ListenerSetStatus>;
  /** By the GatewayClass's name. */
  readonly classStatuses: Collection<readonly StatusCondition[]>;
}

/** A Gateway that is ours to answer for. */
export interface OwnGateway {
  readonly gateway: Gateway;
  readonly profile: GatewayProfile;
}

export function createGateways(graph: Graph, sources: GatewaySources): GatewayCollections {
  const { gateways, inputs, pods, services, settings } = sources;
  const own = graph.map('own gateways', gateways, (gateway, _key, fetch): OwnGateway | undefined => {
    // Another cluster's Gateways have a controller there.
    if (gateway.cluster !== undefined) return undefined;
    const mesh = settingsIn(settings, fetch);
    const gatewayClass = fetch.get(inputs.gatewayClasses, gateway.spec?.gatewayClassName ?? '');
    const profile = classOf(gateway, gatewayClass, profiles(mesh.ownClassesOnly));
    return profile !== undefined && isOfRevision(gateway, sources, fetch) ? { gateway, profile } : undefined;
  });
  const configs = graph.index('proxy configs by namespace', sources.proxyConfigs, (config) => [namespaceOf(config)]);
  /** The root namespace's, the namespace's, the Gateway's own annotation, and what selects its pods: the oldest of each. */
  const proxyValues = (gateway: Gateway, labels: Readonly<Record<string, string>>, fetch: Fetch): ProxyValues[] => {
    const { rootNamespace } = settingsIn(settings, fetch);
    const within = (namespace: string, selecting: boolean): ProxyValues[] =>
      [...fetch.lookup(configs, namespace)]
        .sort(byAge)
        .filter(({ spec }) => {
          const wanted = Object.entries(spec?.selector?.matchLabels ?? {});
          return wanted.length > 0 === selecting && wanted.every(([key, value]) => ownValue(labels, key) === value);
        })
        .slice(0, 1)
        .map(valuesOf);
    const namespace = namespaceOf(gateway);
    return [
      ...within(rootNamespace, false),
      ...(namespace === rootNamespace ? [] : within(namespace, false)),
      annotatedValues(gateway),
      ...within(namespace, true),
    ];
  };
  const plans = graph.map('gateway plans', own, ({ gateway, profile }, _key, fetch): GatewayPlan | undefined => {
    if (isSupplied(gateway) || isOfNewer(gateway)) return undefined;
    const overlays = overlaysFor(gateway, inputs, settings, fetch);
    const { name: gatewayName, uid = '' } = gateway.metadata;
    const common = { namespace: namespaceOf(gateway), gateway: gatewayName, uid, profile };
    if (!overlays.ok) return { ...common, objects: [], problems: overlays.problems };
    const mesh = settingsIn(settings, fetch);
    const rendering = renderSettings(mesh);
    const labels = templateLabels(gateway, profile, rendering);
    const proxy = mergeValues([mesh.proxy, ...proxyValues(gateway, labels, fetch)]);
    const objects = renderGateway(gateway, profile, overlays.value, { ...rendering, proxy });
    return { ...common, objects, problems: [] };
  });
  const podsOf = graph.index('pods by gateway', pods, (pod) => {
    const name = label(pod, GATEWAY_NAME);
    return name === undefined ? [] : [keyBeside(pod, `${namespaceOf(pod)}/${name}`)];
  });
  const ownStatuses = graph.map(
    'own gateway statuses',
    own,
    ({ gateway }, key, fetch): GatewayStatus =>
      gatewayStatus(gateway, {
        service: fetch.get(services, `${namespaceOf(gateway)}/${objectName(gateway)}`),
        serving: fetch.lookup(podsOf, key).some(isReady),
        problems: fetch.get(plans, key)?.problems ?? [],
        domain: settingsIn(settings, fetch).domain,
      }),
  );
  const ownClasses = graph.map('own gateway class statuses', inputs.gatewayClasses, (object, _key, fetch) =>
    isOwnClass(object, settingsIn(settings, fetch)) ? CLASS_CONDITIONS : undefined,
  );
  const others = createOtherGateways(graph, {
    ...{ inputs, settings, gateways, own, listenerSets: sources.listenerSets },
    isOurs: (gateway, fetch) => isOfRevision(gateway, sources, fetch),
  });
  const statuses = graph.union('gateway statuses', [ownStatuses, others.statuses]);
  const classStatuses = graph.union('gateway class statuses', [ownClasses, others.classStatuses]);
  return { own, plans, statuses, classStatuses, others: others.statuses, listenerSets: others.listenerSets };
}

const CLASS_CONDITIONS: readonly StatusCondition[] = [
  condition('Accepted', true, 'Accepted', 'Handled by Ambit controller'),
];

function isOwnClass(object: CustomObject, { ownClassesOnly }: EffectiveSettings): boolean {
  return profiles(ownClassesOnly).some(({ controllerName }) => controllerName === object.spec?.['controllerName']);
}

/** Generation of controllers that Istio's of today is, too. */
const CONTROLLER_VERSION = 5;

/** A newer controller has taken it, in an upgrade that is under way or that was taken back: it knows better what runs. */
function isOfNewer(gateway: Gateway): boolean {
  const version = annotation(gateway, GATEWAY_CONTROLLER_VERSION);
  return version !== undefined && !(Number(version) <= CONTROLLER_VERSION);
}

/** Whether the Gateway, or else its Namespace, names us. */
function isOfRevision(gateway: Gateway, { inputs, ownership }: GatewaySources, fetch: Fetch): boolean {
  const space = fetch.get(inputs.namespaces, namespaceOf(gateway));
  return isOwn(ownershipIn(ownership, fetch), label(gateway, REVISION), space && label(space, REVISION));
}

function overlaysFor(
  gateway: Gateway,
  inputs: ModelInputs,
  settings: SettingsCollection,
  fetch: Fetch,
): { readonly ok: true; readonly value: Overlays } | { readonly ok: false; readonly problems: readonly Problem[] } {
  const ref = parametersOf(gateway);
  if (!ref.ok) return ref;
  const named = ref.value === undefined ? undefined : parametersNamed(ref.value, inputs, fetch);
  if (ref.value !== undefined && named === undefined) {
    const problem = { field: 'spec.infrastructure.parametersRef', message: `ConfigMap ${ref.value} does not exist` };
    return { ok: false, problems: [{ ...problem, fix: 'create it, or leave the reference out' }] };
  }
  const { systemNamespace } = settingsIn(settings, fetch);
  const shared = [...fetch.all(inputs.gatewayDefaults).values()].filter((map) => namespaceOf(map) === systemNamespace);
  return readOverlays([defaultsOfClass(shared, gateway.spec?.gatewayClassName ?? ''), named]);
}

function parametersNamed(key: string, inputs: ModelInputs, fetch: Fetch): ConfigMap | undefined {
  return fetch.get(inputs.gatewayParameters, key) ?? fetch.get(inputs.gatewayDefaults, key);
}

function renderSettings(mesh: EffectiveSettings) {
  const { clusterId, domain, istiodService, network, proxyImage, revision, systemNamespace, trustDomain } = mesh;
  return {
    image: proxyImage,
    systemNamespace,
    istiod: istiodService,
    domain,
    trustDomain,
    clusterId,
    network,
    revision,
  };
}

function isReady(pod: Pod): boolean {
  return (
    pod.metadata.deletionTimestamp === undefined &&
    pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
  );
}
