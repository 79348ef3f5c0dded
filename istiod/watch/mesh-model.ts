// SPDX-License-Identifier: Apache-2.0
// The mesh as istiod knows it: the informers fill the model's inputs, the model derives what clients are told and what
// authors of objects are told, and both go on from here.

import { readFileSync } from 'node:fs';
import type { Collection } from '#lib/collections/collection.ts';
import { Graph } from '#lib/collections/graph.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { formatProblem, ok, type Problem } from '#lib/kit/result.ts';
import type { Informer } from '#lib/kube/informer.ts';
import { type ConfigMap, type KubeObject, objectKey } from '#lib/kube/object.ts';
import { createInputs, type ModelInputs } from '#lib/model/inputs.ts';
import { DEFAULT_SETTINGS, type MeshSettings, SETTINGS } from '#lib/model/mesh-settings.ts';
import { createModel, type Model } from '#lib/model/model.ts';
import type { ObjectReport } from '#lib/model/report/report.ts';
import { EVERYTHING, type Ownership } from '#lib/model/revision.ts';
import type { IstiodConfig } from '../config.ts';
import type { IstiodMetrics } from '../metrics.ts';
import type { Push } from '../push/push.ts';
import { pushWaypointTypes } from '../push/waypoint-types.ts';
import { feedCluster, feedInputs, withdrawCluster } from './feed.ts';
import { CONFIG_KINDS, type Informers } from './informers.ts';
import { readMeshConfig } from './mesh-config.ts';
import type { ClusterSink } from './remote-clusters.ts';

export interface MeshModelOptions {
  readonly config: IstiodConfig;
  readonly informers: Informers;
  readonly push: Push;
  readonly metrics: IstiodMetrics;
  readonly log: Logger;
}

type ReportListener = (id: string, report: ObjectReport | undefined) => void;

export class MeshModel {
  readonly model: Model;
  readonly #options: MeshModelOptions;
  readonly #graph: Graph;
  readonly #inputs: ModelInputs;
  readonly #defaults: MeshSettings;
  /** In force while there is no config map. */
  readonly #fallback: MeshSettings;
  readonly #listeners: ReportListener[] = [];
  #configReport: [string, ObjectReport | undefined] | undefined;

  constructor(options: MeshModelOptions) {
    this.#options = options;
    const { config, informers, log } = options;
    this.#defaults = {
      ...DEFAULT_SETTINGS,
      clusterId: config.clusterId,
      trustDomain: config.trustDomain,
      rootNamespace: config.namespace,
      domain: config.domain,
      revision: config.revision,
      autoAllowWaypoints: config.autoAllowWaypoints,
      dryRunPolicies: config.dryRunPolicies,
      ownClassesOnly: config.ownClassesOnly,
      alphaGatewayApi: config.alphaGatewayApi,
      proxyImage: config.proxyImage,
      systemNamespace: config.namespace,
      istiodService: config.serviceName,
      entriesSelectPods: config.entriesSelectPods,
      servicesSelectEntries: config.servicesSelectEntries,
      entryHealth: config.entryHealth,
    };
    this.#fallback = this.#fromFile() ?? this.#defaults;
    this.#graph = new Graph((collection, key, error) =>
      log.error('an object could not be taken in; what was known of it stays', {
        collection,
        object: key,
        error: describeError(error),
      }),
    );
    this.#inputs = createInputs(this.#graph, this.#fallback);
    this.model = createModel(this.#graph, this.#inputs);
    this.#publish();
    informers.meshConfig.subscribe((changes) => {
      for (const change of changes) this.#configure(change.op === 'set' ? change.object : undefined);
    });
    feedInputs(this.#graph, informers, this.#inputs);
  }

  get settings(): MeshSettings {
    return this.#inputs.settings.get(SETTINGS) ?? this.#fallback;
  }

  /** What is ours to answer for. */
  get ownership(): Ownership {
    return this.model.ownership.get(SETTINGS) ?? EVERYTHING;
  }

  /** Where the ConfigMaps go that Gateways name as their parameters. */
  get gatewayParameters(): ModelInputs['gatewayParameters'] {
    return this.#inputs.gatewayParameters;
  }

  /** Where Secrets and ConfigMaps go that configuration names. */
  get namedData(): ModelInputs['namedData'] {
    return this.#inputs.namedData;
  }

  /** Where fetched key sets go. */
  get keySets(): ModelInputs['keySets'] {
    return this.#inputs.keySets;
  }

  /** Calls the listener with what is to be told about an object, by `Kind namespace/name`, now and at each change. */
  onReport(listener: ReportListener): void {
    const { reports } = this.model;
    this.#listeners.push(listener);
    if (this.#configReport !== undefined) listener(...this.#configReport);
    for (const [id, report] of reports.entries()) listener(id, report);
    reports.subscribe((changes) => {
      for (const { after, key } of changes) listener(key, after);
    });
  }

  /** Where remote clusters' objects go. */
  get clusters(): ClusterSink {
    return {
      feed: (cluster, informers) => feedCluster(this.#graph, cluster, informers, this.#inputs),
      withdraw: (cluster) => withdrawCluster(this.#graph, cluster, this.#inputs),
    };
  }

  /** Named views of the state, for the debug pages. */
  views(): Readonly<Record<string, () => unknown>> {
    const { informers } = this.#options;
    const { networkGateways, policies, reports, services, settings, workloads } = this.model;
    return {
      mesh: () => settings.get(SETTINGS),
      ambientz: () => ({
        workloads: sorted(workloads),
        services: sorted(services),
        policies: sorted(policies),
      }),
      endpointz: () => endpointView(this.model),
      registryz: () => sorted(services),
      instancesz: () => sorted(workloads),
      authorizationz: () => sorted(policies),
      ownershipz: () => ({ ...this.ownership, names: [...this.ownership.names] }),
      configz: () => CONFIG_KINDS.flatMap((name) => [...(informers[name] as Informer<KubeObject>).values()]),
      networkz: () => [...networkGateways.values()],
      statusz: () => Object.fromEntries(reports.entries()),
      krtz: () => this.#graph.stats(),
      collections: () => ({ batches: this.#graph.version, collections: this.#graph.describe() }),
      informersz: () =>
        Object.fromEntries(Object.entries(informers).map(([name, { size, state }]) => [name, { size, state }])),
    };
  }

  #publish(): void {
    const { metrics, push } = this.#options;
    const { addressResources, authorizationResources, layer7, reports, services, waypoints, workloads } = this.model;
    pushWaypointTypes(push, layer7.types, waypoints);
    workloads.subscribe((changes) => {
      for (const { after, key } of changes) {
        if (after === undefined) push.index.removeWorkload(key);
        else push.index.setWorkload(after);
      }
      metrics.inboundUpdates.inc({ type: 'eds' }, changes.length);
    });
    services.subscribe((changes) => {
      for (const { after, key } of changes) {
        if (after === undefined) push.index.removeService(key);
        else push.index.setService(after);
        metrics.inboundUpdates.inc({ type: after === undefined ? 'svcdelete' : 'svc' });
      }
      metrics.services.set(services.size);
    });
    addressResources.subscribe((changes) => {
      for (const { after, key } of changes) {
        if (after === undefined) push.addresses.remove(key);
        else push.addresses.set(after);
      }
    });
    reports.subscribe((changes) => {
      for (const { after, before, key } of changes) {
        const [type = '', name = ''] = key.split(' ');
        const wrong = after?.problems.some(({ severity }) => severity === 'error') === true;
        if (wrong) metrics.rejectedConfigs.set({ type, name }, 1);
        else if (before !== undefined) metrics.rejectedConfigs.remove({ type, name });
      }
    });
    authorizationResources.subscribe((changes) => {
      for (const { after, key } of changes) {
        if (after === undefined) push.policies.remove(key);
        else push.policies.set(after);
      }
      metrics.inboundUpdates.inc({ type: 'config' }, changes.length);
    });
  }

  /** The settings in the file that the command line names; undefined, with a word in the log, when there are none. */
  #fromFile(): MeshSettings | undefined {
    const { config, log } = this.#options;
    const file = config.meshConfigFile;
    if (file === undefined) return undefined;
    try {
      const mesh = readFileSync(file, 'utf8');
      const result = readMeshConfig({ metadata: { name: file }, data: { mesh } }, this.#defaults);
      if (result.ok) return result.value;
      for (const problem of result.problems) {
        log.error('a mesh settings file is not used', { problem: formatProblem({ ...problem, object: file }) });
      }
    } catch (error) {
      log.error('a mesh settings file cannot be read', { file, error: describeError(error) });
    }
    return undefined;
  }

  #configure(map: ConfigMap | undefined): void {
    const { log } = this.#options;
    const result = map === undefined ? ok(this.#fallback) : readMeshConfig(map, this.#defaults);
    if (map !== undefined) {
      const id = `ConfigMap ${objectKey(map)}`;
      this.#configReport = [id, result.ok ? undefined : configReport(map, result.problems)];
      for (const listener of this.#listeners) listener(...this.#configReport);
    }
    if (result.ok) {
      this.#inputs.settings.set(SETTINGS, result.value);
      log.info('mesh settings', { ...result.value });
      return;
    }
    for (const problem of result.problems) {
      log.error('the mesh settings are not used', { problem: formatProblem(problem) });
    }
  }
}

/** Problems of the mesh's settings as of any other object. */
function configReport(map: ConfigMap, problems: readonly Problem[]): ObjectReport {
  const { generation = 0, name, namespace = '', uid = '' } = map.metadata;
  return {
    object: { apiVersion: 'v1', kind: 'ConfigMap', namespace, name, uid, generation },
    problems: problems.map((problem) => ({
      object: `ConfigMap ${namespace}/${name}`,
      severity: 'error',
      code: 'InvalidValue',
      ...problem,
    })),
    conditions: [],
  };
}

function sorted<T>(collection: Collection<T>): T[] {
  return [...collection.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}

/** Services with the workloads behind them, as `endpointz` shows. */
function endpointView({ services, workloads }: Model): unknown {
  const members = new Map<string, { workload: string; addresses: string[]; healthy: boolean }[]>();
  for (const workload of workloads.values()) {
    const entry = { workload: workload.uid, addresses: workload.addresses.map(String), healthy: workload.healthy };
    for (const key of workload.services.keys()) members.set(key, [...(members.get(key) ?? []), entry]);
  }
  return sorted(services).map(({ key }) => ({ service: key, endpoints: members.get(key) ?? [] }));
}
