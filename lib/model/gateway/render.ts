// SPDX-License-Identifier: Apache-2.0
//
// The objects that run a Gateway, as istiod applies them: who it is, what runs, how it is reached, and, when asked for
// by a ConfigMap, how it scales and how few of it may be left.

import * as names from '../object/names.ts';
import { annotation, type KubeObject } from '../object/object.ts';
import type { Gateway } from '../waypoint/gateway.ts';
import { type GatewayProfile, managedBy } from './classes.ts';
import { type OverlayKind, type Overlays, withOverlays } from './parameters.ts';
import {
  accountName,
  copiedAnnotations,
  copiedLabels,
  identifyingLabels,
  objectName,
  type PlannedMeta,
  plannedMeta,
  SERVICE_TYPE,
  selectorOf,
} from './render-metadata.ts';
import { METRICS_PORT, podSpec, READY_PORT, type RenderSettings } from './render-pod.ts';

/** An object as it should be: only the fields that are ours. */
export interface PlannedObject {
  readonly apiVersion: string;
  readonly kind: OverlayKind;
  readonly metadata: PlannedMeta;
  readonly spec?: Readonly<Record<string, unknown>>;
}

const SERVICE_TYPES = ['ClusterIP', 'NodePort', 'LoadBalancer'];

/** In the order in which they are to be applied. */
export function renderGateway(
  gateway: Gateway,
  profile: GatewayProfile,
  overlays: Overlays,
  settings: RenderSettings,
): PlannedObject[] {
  const objects = [serviceAccount(gateway, profile), deployment(gateway, profile, settings), service(gateway, profile)];
  if (overlays.HorizontalPodAutoscaler !== undefined) objects.push(autoscaler(gateway, profile));
  if (overlays.PodDisruptionBudget !== undefined) objects.push(disruptionBudget(gateway, profile));
  return objects.map((object): PlannedObject => withOverlays(object, overlays, object.kind));
}

function serviceAccount(gateway: Gateway, profile: GatewayProfile): PlannedObject {
  return { apiVersion: 'v1', kind: 'ServiceAccount', metadata: plannedMeta(gateway, profile, accountName(gateway)) };
}

function deployment(gateway: Gateway, profile: GatewayProfile, settings: RenderSettings): PlannedObject {
  const name = objectName(gateway);
  const selector = selectorOf(gateway);
  const spec = {
    // How many is for others to say: a hand, an autoscaler, or a ConfigMap of the Gateway; one where nobody does.
    selector: { matchLabels: selector },
    template: {
      metadata: {
        labels: templateLabels(gateway, profile, settings),
        annotations: {
          ...copiedAnnotations(gateway),
          'prometheus.io/scrape': 'true',
          'prometheus.io/port': String(METRICS_PORT),
          'prometheus.io/path': '/stats/prometheus',
          [names.REVISION]: settings.revision === '' ? 'default' : settings.revision,
        },
      },
      spec: podSpec(gateway, settings),
    },
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: plannedMeta(gateway, profile, name),
    spec,
  };
}

/** Labels of the pods. */
export function templateLabels(
  gateway: Gateway,
  profile: GatewayProfile,
  settings: Pick<RenderSettings, 'network' | 'revision'>,
): Readonly<Record<string, string>> {
  return {
    ...copiedLabels(gateway),
    'sidecar.istio.io/inject': 'false',
    [names.DATAPLANE_MODE]: 'none',
    [names.CANONICAL_NAME]: objectName(gateway),
    [names.CANONICAL_REVISION]: 'latest',
    [names.REVISION]: settings.revision === '' ? 'default' : settings.revision,
    ...(settings.network === '' ? {} : { [names.NETWORK]: settings.network }),
    ...identifyingLabels(gateway, profile),
  };
}

function service(gateway: Gateway, profile: GatewayProfile): PlannedObject {
  const metadata = plannedMeta(gateway, profile, objectName(gateway));
  const wished = annotation(gateway, SERVICE_TYPE);
  const ports = new Map<number, { name: string; port: number; protocol: string; appProtocol: string }>();
  ports.set(READY_PORT, { name: 'status-port', port: READY_PORT, protocol: 'TCP', appProtocol: 'tcp' });
  for (const { name = '', port = 0, protocol = '' } of gateway.spec?.listeners ?? []) {
    if (!ports.has(port)) ports.set(port, { name, port, protocol: 'TCP', appProtocol: protocol.toLowerCase() });
  }
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      ...metadata,
      annotations: { [names.TRAFFIC_DISTRIBUTION]: 'PreferClose', ...metadata.annotations },
    },
    spec: {
      type: wished !== undefined && SERVICE_TYPES.includes(wished) ? wished : profile.serviceType,
      ipFamilyPolicy: 'PreferDualStack',
      selector: selectorOf(gateway),
      ports: [...ports.values()],
    },
  };
}

function autoscaler(gateway: Gateway, profile: GatewayProfile): PlannedObject {
  const name = objectName(gateway);
  return {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: plannedMeta(gateway, profile, name),
    spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name }, maxReplicas: 1 },
  };
}

function disruptionBudget(gateway: Gateway, profile: GatewayProfile): PlannedObject {
  return {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: plannedMeta(gateway, profile, objectName(gateway)),
    spec: { selector: { matchLabels: selectorOf(gateway) } },
  };
}

/** Whether a live object bears the mark of this controller, so that it may be changed or removed. */
export function isManaged(object: KubeObject, profile: GatewayProfile): boolean {
  return object.metadata.labels?.[names.GATEWAY_MANAGED] === managedBy(profile);
}
