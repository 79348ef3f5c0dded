// SPDX-License-Identifier: Apache-2.0
// istiod, put together: the parts are made here and nowhere else, in the order in which they need each other. The
// HTTP port opens first, so that `/ready` says what is still awaited; the gRPC ports open when everything is known,
// so that no client is ever told less than the truth.

import { randomUUID } from 'node:crypto';
import { ServerCredentials } from '@grpc/grpc-js';
import { type AdminServer, serveHttp } from '#lib/kit/admin.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { createMetrics } from '#lib/kit/metrics.ts';
import { Readiness } from '#lib/kit/readiness.ts';
import { VERSION } from '#lib/kit/version.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { connectKube } from '#lib/kube/connect.ts';
import type { Informer } from '#lib/kube/informer.ts';
import type { KubeObject } from '#lib/kube/object.ts';
import { IstioCertificateService } from '#lib/proto/gen/ca_pb.ts';
import { AggregatedDiscoveryService } from '#lib/proto/gen/discovery_pb.ts';
import { HEALTH_TYPE } from '#lib/xds/resource.ts';
import { startAdmission } from './admission/webhook.ts';
import { startAuthority } from './ca/authority.ts';
import { PodIndex } from './ca/pod-index.ts';
import { RateLimit } from './ca/rate-limit.ts';
import { publishRevocationList } from './ca/revocation-list.ts';
import { RootConfigMaps } from './ca/root-config-maps.ts';
import { CertificateService } from './ca/service.ts';
import { TrustBundle } from './ca/trust-bundle.ts';
import type { IstiodConfig } from './config.ts';
import { createEntryAddresses } from './entry/addresses.ts';
import { Registration } from './entry/registration.ts';
import { followGateways, GatewayController, gatewayTargets } from './gateway/gateway.ts';
import { followPolicies, policyTargets } from './gateway/policy-status.ts';
import { followRoutes, routeTargets } from './gateway/route-status.ts';
import type { History } from './history/history.ts';
import { recordHistory } from './history/recorder.ts';
import { createIstiodMetrics } from './metrics.ts';
import { Push } from './push/push.ts';
import { admitStream } from './serve/admission.ts';
import { Authenticator } from './serve/authenticate.ts';
import { CachedKeys } from './serve/cached-keys.ts';
import { type GrpcPort, serveGrpc } from './serve/grpc.ts';
import { OwnIssuer } from './serve/issuer-rule.ts';
import { httpPages, monitoringPages } from './serve/pages.ts';
import { reflection } from './serve/reflection.ts';
import { scopePages } from './serve/scopes.ts';
import { createStatus } from './status/status.ts';
import { createInformers } from './watch/informers.ts';
import { KeySets } from './watch/key-sets.ts';
import { MeshModel } from './watch/mesh-model.ts';
import { NamedDataWatch } from './watch/named-data.ts';
import { RemoteClusters } from './watch/remote-clusters.ts';
import { SourceHealth } from './watch/source-health.ts';

export interface AppOptions {
  readonly config: IstiodConfig;
  readonly client: KubeClient;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  /** How the sources of objects fare; given when one was started before the app. */
  readonly health?: SourceHealth;
}

export interface Ports {
  readonly http: number;
  readonly grpc: number;
  readonly secureGrpc: number;
  readonly monitoring: number;
  /** 0 when it is turned off. */
  readonly webhook: number;
}

/** Configuration, as people write it. */
const HISTORY_KINDS = [
  'namespaces',
  'services',
  'gateways',
  'authorizationPolicies',
  'peerAuthentications',
  'requestAuthentications',
  'telemetries',
  'proxyConfigs',
  'serviceEntries',
  'workloadEntries',
  'workloadGroups',
  'virtualServices',
  'destinationRules',
  'httpRoutes',
  'grpcRoutes',
  'tlsRoutes',
  'tcpRoutes',
  'listenerSets',
  'backendTlsPolicies',
  'referenceGrants',
  'meshConfig',
] as const;

const DISCOVERY_SERVICE = AggregatedDiscoveryService.typeName;
const CERTIFICATE_SERVICE = IstioCertificateService.typeName;

export class App {
  readonly ports: Ports;
  readonly #close: () => Promise<void>;

  private constructor(ports: Ports, close: () => Promise<void>) {
    this.ports = ports;
    this.#close = close;
  }

  /** Lets calls finish, then ends everything. */
  async stop(): Promise<void> {
    await this.#close();
  }

  /** Resolves when istiod is ready; rejects when a port is taken, the root is damaged, or `signal` aborts. */
  static async start(options: AppOptions, signal: AbortSignal): Promise<App> {
    const { client, clock, config, log, random } = options;
    const health = options.health ?? new SourceHealth(clock.now);
    const metrics = createMetrics();
    const figures = createIstiodMetrics(metrics);
    const startedAt = clock.monotonic();
    figures.info.set({ version: VERSION }, 1);
    const readiness = new Readiness();
    const cachesFilled = readiness.hold('xds caches');
    const authorityReady = readiness.hold('certificate authority');
    const serving = readiness.hold('servers');

    const informers = createInformers({
      client,
      clock,
      random,
      log: log.child('kube'),
      metrics: figures,
      health,
      clusterId: config.clusterId,
      namespace: config.namespace,
      rootConfigMap: config.rootConfigMap,
      crlConfigMap: config.crlConfigMap,
      meshConfigMap: config.meshConfigMap,
    });
    const pods = new PodIndex();
    informers.pods.subscribe((changes) => pods.apply(changes));
    const cachedKeys = new CachedKeys({
      client,
      clock,
      log: log.child('auth'),
      audiences: config.tokenAudiences,
      trustDomain: () => model.settings.trustDomain,
      pod: (namespace, name) => pods.get(namespace, name),
      // Half a certificate's life: what is issued by then was asked for by a caller that was known not long before.
      maxSilenceMs: config.defaultCertificateTtlMs / 2,
    });
    const authenticator = new Authenticator({
      client,
      remote: (cluster) => clusters.get(cluster)?.client,
      clock,
      audiences: config.tokenAudiences,
      clusterId: config.clusterId,
      trustDomain: () => model.settings.trustDomain,
      trustDomainAliases: () => model.settings.trustDomainAliases,
      ownIssuer:
        config.issuerRule && new OwnIssuer(config.issuerRule, { clock, trustDomain: () => model.settings.trustDomain }),
      cachedKeys,
    });
    const registration = new Registration({
      client,
      clock,
      log: log.child('entry'),
      metrics: figures,
      groups: informers.workloadGroups,
      entries: informers.workloadEntries,
      instance: config.podName,
      graceMs: config.registrationGraceMs,
      maxAgeMs: config.maxConnectionAgeMs,
    });
    const push = new Push({
      clock,
      log: log.child('ads'),
      metrics: figures,
      debounceAfterMs: config.debounceAfterMs,
      debounceMaxMs: config.debounceMaxMs,
      instance: config.podName,
      version: VERSION,
      nonce: randomUUID,
      admit: async (caller) => {
        const admission = await admitStream(caller, { authenticator, ...config });
        return config.registerMachines ? registration.judge(caller.peer, admission) : admission;
      },
      ready: () => readiness.ready(),
      ...(config.registerMachines && { clients: registration }),
    });
    push.server.takeReports(HEALTH_TYPE);
    const model = new MeshModel({ config, informers, push, metrics: figures, log: log.child('model') });
    const clusters = new RemoteClusters({
      secrets: informers.remoteSecrets,
      sink: model.clusters,
      connect: (text) => connectKube({ text }),
      ownClusterId: config.clusterId,
      allowedWays: new Set(config.allowedKubeconfigWays),
      patienceMs: config.remotePatienceMs,
      clock,
      random,
      log: log.child('cluster'),
      metrics: figures,
      health,
    });
    const { ownClassesOnly } = config;
    const targets = {
      ...gatewayTargets(informers, model),
      ...routeTargets(informers, model, ownClassesOnly),
      ...policyTargets(informers, model, ownClassesOnly),
    };
    const status = createStatus({
      client,
      clock,
      config,
      informers,
      targets,
      ownership: () => model.ownership,
      log: log.child('status'),
    });
    model.onReport((id, report) => status.writer.report(id, report));
    followGateways(model, status.objects);
    followRoutes(model, status.objects);
    followPolicies(model, status.objects);
    const namedData = new NamedDataWatch({
      client,
      clock,
      random,
      log: log.child('kube'),
      wanted: model.model.layer7.wantedData,
      source: model.namedData,
    });
    const keySets = new KeySets({
      clock,
      log: log.child('keys'),
      wanted: model.model.layer7.wantedKeySets,
      source: model.keySets,
      ...config.keySets,
    });
    const gateways = new GatewayController({
      client,
      clock,
      random,
      config,
      informers,
      mesh: model,
      log: log.child('gateway'),
    });
    const pages = {
      readiness,
      metrics,
      beforeMetrics: () => {
        figures.uptime.set((clock.monotonic() - startedAt) / 1000);
        for (const [source, healthy] of health.summary()) figures.sourceUp.set({ source }, healthy ? 1 : 0);
      },
      authenticator,
      namespace: config.namespace,
      version: VERSION,
      clusterId: config.clusterId,
      streams: () => push.server.streams(),
      pushAll: () => push.server.push(),
      changesBetween: (from: number, to: number) => history?.diff(from, to),
      configurationAt: (moment: number) => history?.contents(moment),
      views: { ...model.views(), sourcesz: () => health.view() },
    };
    const addresses = createEntryAddresses({
      client,
      clock,
      config,
      entries: informers.serviceEntries,
      goesFirst: () => model.ownership.unnamed,
      log: log.child('entry'),
    });
    let history: History | undefined;
    const httpPorts: AdminServer[] = [];
    const grpcPorts: GrpcPort[] = [];
    const stopped = new AbortController();
    let rootMaps: RootConfigMaps | undefined;
    let listMaps: { stop(): Promise<void> } | undefined;
    let bundle: TrustBundle | undefined;
    const close = async (): Promise<void> => {
      stopped.abort();
      await rootMaps?.stop();
      await listMaps?.stop();
      await bundle?.stop();
      if (config.writeStatus) await status.leader.stop();
      if (config.giveAddresses) await addresses.stop();
      keySets.stop();
      namedData.stop();
      await gateways.stop();
      await push.drain(config.shutdownMs / 2, random);
      push.stop();
      await Promise.all(grpcPorts.map((port) => port.close(config.shutdownMs)));
      registration.stop();
      clusters.stop();
      for (const informer of Object.values(informers)) informer.stop();
      await Promise.all(httpPorts.map((port) => port.close()));
    };
    try {
      const ending = AbortSignal.any([signal, stopped.signal]);
      const http = await serveHttp({ ...config.httpAddress, routes: httpPages(pages) });
      httpPorts.push(http);
      const monitoring = await serveHttp({ ...config.monitoringAddress, routes: monitoringPages(pages) });
      httpPorts.push(monitoring);

      const control = await serveControl(config, log);
      if (control !== undefined) httpPorts.push(control);

      for (const informer of Object.values(informers)) informer.start();
      void cachedKeys.run(ending);
      await aborted(informers.meshConfig.whenSynced(), ending);
      const { trustDomain } = model.settings;
      const authority = await startAuthority({
        config,
        client,
        clock,
        random,
        log: log.child('ca'),
        metrics: figures,
        trustDomain,
        signal: ending,
      });
      authorityReady();
      await aborted(Promise.all(Object.values(informers).map((informer) => informer.whenSynced())), ending);
      clusters.start();
      await clusters.whenSynced(ending);
      push.flush();
      if (config.historyFolder !== '') {
        const watched = HISTORY_KINDS.map((name) => informers[name] as unknown as Informer<KubeObject>);
        const { historyFolder: folder, historyVersions: maxVersions } = config;
        history = recordHistory({ clock, log: log.child('history'), folder, maxVersions, informers: watched }, ending);
      }
      cachesFilled();

      const certificates = new CertificateService({
        signer: authority.signer,
        rate: new RateLimit({ clock, perSecond: config.certificatesPerSecond, burst: config.certificateBurst }),
        authenticator,
        pods,
        remotePods: (cluster) => clusters.get(cluster)?.pods,
        trustedNodeAccounts: config.trustedNodeAccounts,
        signerDomain: config.signerDomain,
        defaultTtlMs: config.defaultCertificateTtlMs,
        maxTtlMs: config.maxCertificateTtlMs,
        clock,
        log: log.child('ca'),
        metrics: figures,
      });
      const age = config.maxConnectionAgeMs;
      const plain = await serveGrpc(
        config.grpcAddress,
        ServerCredentials.createInsecure(),
        [push.server.service('plaintext'), ...reflection([DISCOVERY_SERVICE])],
        age,
      );
      grpcPorts.push(plain);
      const secure = await serveGrpc(
        config.secureGrpcAddress,
        authority.credentials,
        [push.server.service('tls'), certificates, ...reflection([DISCOVERY_SERVICE, CERTIFICATE_SERVICE])],
        age,
      );
      grpcPorts.push(secure);
      const admission = { config, client, clock, random, log: log.child('admission'), metrics: figures, authority };
      const webhook = await startAdmission(admission, ending);
      if (webhook !== undefined) httpPorts.push(webhook);
      serving();

      const everywhere = {
        client,
        clock,
        log: log.child('ca'),
        namespace: config.namespace,
        identity: config.podName,
        leaseSeconds: config.leaseSeconds,
        namespaces: informers.namespaces,
        goesFirst: () => model.ownership.unnamed,
      };
      rootMaps = new RootConfigMaps({
        ...everywhere,
        name: config.rootConfigMap,
        configMaps: informers.rootConfigMaps,
        content: () => authority.signer.rootPem,
      });
      listMaps = publishRevocationList({ ...everywhere, config, configMaps: informers.crlConfigMaps }, ending);
      if (config.writeTrustBundle) {
        bundle = new TrustBundle({ ...everywhere, random, content: () => authority.signer.rootPem });
        bundle.start();
      }
      authority.onRootChange(() => {
        rootMaps?.refresh();
        bundle?.refresh();
      });
      rootMaps.start();
      if (config.writeStatus) status.leader.start();
      if (config.giveAddresses) addresses.start();
      if (config.registerMachines) registration.start();
      gateways.start();
      const ports = {
        http: http.port,
        grpc: plain.port,
        secureGrpc: secure.port,
        monitoring: monitoring.port,
        webhook: webhook?.port ?? 0,
      };
      log.info('ready', { ...ports, cluster: config.clusterId, trustDomain });
      return new App(ports, close);
    } catch (error) {
      await close();
      throw error;
    }
  }
}

/** The port on loopback where log levels are changed. Without it istiod does its work all the same. */
async function serveControl({ controlAddress }: IstiodConfig, log: Logger): Promise<AdminServer | undefined> {
  if (controlAddress === undefined) return undefined;
  try {
    return await serveHttp({ ...controlAddress, routes: scopePages(log) });
  } catch (error) {
    log.warn('log levels cannot be changed while it runs', { ...controlAddress, error: describeError(error) });
    return undefined;
  }
}

/** The promise, or a rejection with the signal's reason when it aborts first. */
async function aborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const { promise: cut, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, cut]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
