// SPDX-License-Identifier: Apache-2.0
// The one room where ztunnel's main process is put together: every part is made here and handed what it needs.
//
//   control plane or file --> MeshState --> shared store --> data-plane processes <-- pods <-- node agent
//   authority --> SecretManager ----------------------------------^
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SecretManager } from '#lib/identity/secret-manager.ts';
import type { AdminServer } from '#lib/kit/admin.ts';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { Readiness } from '#lib/kit/readiness.ts';
import { raiseFileLimit } from '#lib/linux/process.ts';
import { FdWatch } from '#lib/loop/fd-watch.ts';
import { LINE_KINDS, type LineKind } from '#lib/loop/shared/log-ring.ts';
import { StoreWriter } from '#lib/loop/shared/store-writer.ts';
import { parseCidr } from '#lib/mesh/cidr.ts';
import { createIssuer, type Issuer } from '#lib/proxy/identity/issuer.ts';
import { RevocationFile } from '#lib/proxy/identity/revocation-file.ts';
import { MeshState } from '#lib/proxy/state/mesh-state.ts';
import { Exposition } from '#lib/proxy/telemetry/exposition.ts';
import { LogSink } from '#lib/proxy/telemetry/log-sink.ts';
import { XdsCounts } from '#lib/proxy/telemetry/xds-counts.ts';
import { configDump } from './admin/config-dump.ts';
import { drainPlan } from './admin/drain-plan.ts';
import type { ExplainOptions } from './admin/explain.ts';
import { LogControl } from './admin/logging.ts';
import { type Connections, serveAdmin } from './admin/servers.ts';
import { type Config, issuerSettings, printableConfig } from './config.ts';
import { DataPlane } from './data-plane.ts';
import { PodManager } from './inpod/pod-manager.ts';
import { ZdsClient } from './inpod/zds-client.ts';
import { openSources, type Sources } from './source/sources.ts';
import { levelOf } from './telemetry/access-line.ts';
import { FAMILIES } from './telemetry/families.ts';

export interface AppOptions {
  readonly config: Config;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly version: string;
  /** Environment for the data-plane processes. */
  readonly workerEnv: Readonly<Record<string, string>>;
}

/** What a data-plane process says through its log ring. */
interface WorkerMessage {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly scope: 'proxy' | 'dns';
  readonly fields: Record<string, unknown>;
}

/** Uid of the one captured workload in dedicated mode. */
const DEDICATED_UID = 'dedicated';
/** Uid of this proxy as a workload. */
const SELF_UID = 'self';
const WORKER_SCRIPT = join(import.meta.dirname, 'worker/main.ts');

export class App {
  readonly readiness = new Readiness();
  readonly state: MeshState;
  readonly dataPlane: DataPlane;
  readonly secrets: SecretManager;
  readonly #options: AppOptions;
  readonly #issuer: Issuer;
  readonly #watch = new FdWatch();
  readonly #sink = new LogSink();
  readonly #accessLog: Logger;
  readonly #workerLogs: Readonly<Record<WorkerMessage['scope'], Logger>>;
  readonly #exposition = new Exposition(FAMILIES);
  readonly #store: StoreWriter;
  readonly #ended = Promise.withResolvers<number>();
  readonly #logControl: LogControl;
  readonly #revocations: RevocationFile | undefined;
  #servers: AdminServer[] = [];
  #sources: Sources | undefined;
  #zds: ZdsClient | undefined;
  #pods: PodManager | undefined;
  #stopping = false;

  private constructor(options: AppOptions, issuer: Issuer) {
    const { config, clock, random, log } = options;
    this.#options = options;
    this.#issuer = issuer;
    this.#accessLog = log.child('access');
    this.#workerLogs = { proxy: log.child('proxy'), dns: log.child('dns') };
    this.#store = new StoreWriter({ maxRecords: config.storeRecords, dataBytes: config.storeBytes });
    this.secrets = new SecretManager({
      issue: issuer.issue,
      clock,
      random,
      log: log.child('identity'),
      onIssued: (certificate) => this.dataPlane.giveCertificate(certificate),
      onUnavailable: (identity, reason) => this.dataPlane.certificateFailed(identity, reason),
    });
    this.state = new MeshState({
      nodeName: config.worker.nodeName,
      store: this.#store,
      log: log.child('state'),
      onCommit: (version, policies) => this.dataPlane.meshChanged(version, policies),
      onIdentity: (identity) => {
        if (config.mode === 'shared') this.secrets.prefetch(identity);
      },
      onIdentityGone: (identity) => {
        this.secrets.forget(identity);
        this.dataPlane.forgetCertificate(identity);
      },
    });
    this.dataPlane = new DataPlane({
      count: config.workers,
      script: WORKER_SCRIPT,
      env: options.workerEnv,
      settings: config.worker,
      drainMs: config.drainMs,
      storeFd: this.#store.fd,
      watch: this.#watch,
      log: log.child('data-plane'),
      exposition: this.#exposition,
      certificate: (identity) => this.secrets.get(identity),
      certificates: () =>
        [...this.secrets.states().values()].flatMap((state) => (state.kind === 'available' ? [state.certificate] : [])),
      meshVersion: () => this.#store.version,
      onWanted: (name) => this.#sources?.want(name),
      onLine: (kind, line) => this.#line(kind, line),
    });
    this.#revocations =
      config.crlPath === undefined
        ? undefined
        : new RevocationFile({
            ...{ path: config.crlPath, clock, log: log.child('identity') },
            onLists: (lists) => this.dataPlane.setRevocations(lists),
          });
    this.#logControl = new LogControl(log, config.log, (access) => this.dataPlane.setAccessLog(access));
  }

  static async create(options: AppOptions): Promise<App> {
    const { config, clock, log } = options;
    return new App(options, await createIssuer(issuerSettings(config), log.child('identity'), clock));
  }

  /** Starts everything; resolves when the admin servers listen and the first work is under way. Throws what makes a start impossible. */
  async start(): Promise<void> {
    const { config, log, clock } = this.#options;
    log.info('starting', () => ({ version: this.#options.version, config: printableConfig(config) }));
    const limit = raiseFileLimit();
    this.#describeSelf(limit);
    const stateReady = this.readiness.hold('state manager');
    const proxyReady = this.readiness.hold('proxy');
    const podsReady = config.mode === 'shared' ? this.readiness.hold('workload proxy manager') : undefined;
    this.#servers = await serveAdmin(config, {
      state: this.state,
      readiness: this.readiness,
      exposition: this.#exposition,
      explainOptions: explainOptions(config),
      dump: () => this.dump(),
      logging: this.#logControl.handle,
      quit: () => this.stop('asked to quit'),
      connections: async () => ({ live: await this.#live(), recent: await this.dataPlane.recent() }),
      profiles: { clock, ofProcess: (...asked) => this.dataPlane.profile(...asked) },
      drainPlan: async () => drainPlan(await this.#live(), config.drainMs),
    });
    await this.#revocations?.start();
    this.dataPlane.start();
    const counts = new XdsCounts(this.#exposition);
    this.#sources = await openSources(config, {
      state: this.state,
      log,
      clock,
      counts,
      onAbsent: (name) => this.dataPlane.absent(name),
    });
    void this.#serveWhenSynced(this.#sources, { stateReady, proxyReady, podsReady });
  }

  /** Begins to end: gracefully, within the drain deadline. Later calls change nothing. */
  stop(reason: string): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.readiness.hold('drain');
    this.#options.log.info('draining', { reason, deadlineMs: this.#options.config.drainMs });
    this.#shutDown().then(
      () => this.#ended.resolve(0),
      (error: unknown) => this.#ended.reject(error),
    );
  }

  /** Resolves with the exit code when everything has ended. */
  whenEnded(): Promise<number> {
    return this.#ended.promise;
  }

  /** The body of `/config_dump`. */
  async dump(): Promise<unknown> {
    const { config, version } = this.#options;
    const captured = this.dataPlane.pods.list().filter(({ info }) => !info.self);
    const up = captured.map(({ info }) => ({ info, up: this.#isUp(info.uid) }));
    const pending = (this.#pods?.pendingPods() ?? []).map((info) => ({ info, up: false }));
    return configDump({
      state: this.state,
      secrets: this.secrets.states(),
      pods: config.mode === 'shared' ? [...up, ...pending] : undefined,
      connections: await this.dataPlane.connections(),
      config: printableConfig(config),
      version: {
        version,
        gitRevision: 'unknown',
        buildStatus: 'unknown',
        buildProfile: 'release',
        rustVersion: 'none',
        nodeVersion: process.version,
        istioVersion: String(config.nodeMetadata['ISTIO_VERSION'] ?? 'unknown'),
        cryptoProvider: `OpenSSL ${process.versions.openssl}`,
      },
    });
  }

  /** Live connections, with the pod that each was captured for. */
  async #live(): Promise<Connections['live']> {
    const connections = await this.dataPlane.connections();
    return connections.map((one) => {
      const info = this.dataPlane.pods.get(one.pod)?.info;
      return { ...one, workload: info === undefined ? one.pod : `${info.namespace}/${info.name}` };
    });
  }

  // Access lines are whole already; what a process says of itself becomes a line of this log.
  #line(kind: LineKind, line: string): void {
    if (kind !== LINE_KINDS.message) {
      if (this.#accessLog.enabled(levelOf(line))) this.#sink.line(line);
      return;
    }
    const { level, scope, message, fields } = JSON.parse(line) as WorkerMessage;
    this.#workerLogs[scope][level](message, fields);
  }

  #isUp(uid: string): boolean {
    return this.dataPlane.pods.isUp(
      uid,
      this.dataPlane.processes().map(({ index }) => index),
    );
  }

  async #serveWhenSynced(
    sources: Sources,
    holds: {
      readonly stateReady: () => void;
      readonly proxyReady: () => void;
      readonly podsReady: (() => void) | undefined;
    },
  ): Promise<void> {
    try {
      await sources.synced;
      holds.stateReady();
      await this.dataPlane.whenReady();
      if (this.#stopping) return;
      const { dedicated } = this.#options.config;
      if (dedicated !== undefined) {
        const reason = await this.dataPlane.addPod({ uid: DEDICATED_UID, ...dedicated }, undefined, 'own');
        if (reason !== '' && !this.#stopping) return this.#fatal(`the listeners cannot be opened: ${reason}`);
      } else {
        await this.#serveSelf();
        this.#enrol(holds.podsReady!);
      }
      holds.proxyReady();
    } catch (error) {
      this.#fatal(describeError(error));
    }
  }

  /** This proxy is a workload too: whoever scrapes it through the mesh comes by a tunnel, under policy. */
  async #serveSelf(): Promise<void> {
    const { config, log } = this.#options;
    const { name, namespace, serviceAccount } = config.pod;
    if (name === '' || namespace === '' || serviceAccount === '') return;
    const info = { uid: SELF_UID, name, namespace, serviceAccount, self: true };
    const reason = await this.dataPlane.addPod(info, undefined, 'own');
    if (reason !== '') log.warn('tunnels to this proxy itself are not served', { reason });
  }

  #enrol(release: () => void): void {
    const { config, clock, random, log } = this.#options;
    let held: (() => void) | undefined = release;
    this.#pods = new PodManager({
      capture: this.dataPlane,
      clock,
      log: log.child('inpod'),
      onReadiness: (ready) => {
        if (ready) {
          held?.();
          held = undefined;
        } else held ??= this.readiness.hold('workload proxy manager');
      },
      onFatal: (reason) => this.#fatal(reason),
    });
    this.#zds = new ZdsClient({
      path: config.inpodSocket,
      watch: this.#watch,
      clock,
      random,
      log: log.child('inpod'),
      handler: this.#pods,
    });
    this.#zds.start();
  }

  #fatal(reason: string): void {
    this.#options.log.error('cannot go on', { reason });
    if (this.#stopping) return;
    this.#stopping = true;
    this.#shutDown().then(
      () => this.#ended.resolve(1),
      () => this.#ended.resolve(1),
    );
  }

  async #shutDown(): Promise<void> {
    await this.#zds?.close();
    this.#pods?.close();
    await this.dataPlane.stop('graceful', this.#options.config.drainMs);
    await this.#sources?.close();
    this.#revocations?.close();
    this.secrets.stop();
    this.#issuer.close();
    await Promise.all(this.#servers.map((server) => server.close()));
    this.#watch.close();
    this.#sink.flush();
  }

  #describeSelf(fileLimit: number): void {
    const { config } = this.#options;
    const value = (name: string, read: () => number, labels: Readonly<Record<string, string>> = {}): void =>
      this.#exposition.value(name, labels, read);
    const tag = String(config.nodeMetadata['ISTIO_VERSION'] ?? 'unknown');
    value('istio_build', () => 1, { component: 'ztunnel', tag });
    value('process_open_fds', () => readdirSync('/proc/self/fd').length);
    value('process_max_fds', () => fileLimit);
    value(
      'workload_manager_active_proxy_count',
      () => this.dataPlane.pods.list().filter(({ info }) => !info.self).length,
    );
    value('workload_manager_pending_proxy_count', () => this.#pods?.pending ?? 0);
    value('workload_manager_proxies_started_total', () => this.dataPlane.pods.started);
    value('workload_manager_proxies_stopped_total', () => this.dataPlane.pods.stopped);
    // Every tunnel's chain is kept, so that none escapes a list that comes later.
    for (const reporter of ['source', 'destination'])
      value('istio_crl_untracked_connections_total', () => 0, { reporter });
    value('ambit_worker_restarts_total', () => this.dataPlane.restarts);
    value('ambit_mesh_store_bytes', () => this.#store.usedBytes);
    value('ambit_mesh_store_records', () => this.#store.records);
    const all = (read: (worker: ReturnType<DataPlane['processes']>[number]) => number): number =>
      this.dataPlane.processes().reduce((sum, worker) => sum + read(worker), 0);
    value('ambit_worker_connections', () => all(({ vitals }) => vitals.connections));
    value('ambit_worker_tunnels', () => all(({ vitals }) => vitals.tunnels));
    value(
      'ambit_access_log_dropped_total',
      () => this.#sink.dropped + all(({ log }) => log.droppedAccess + log.droppedDeny),
    );
  }
}

function explainOptions({ worker }: Config): ExplainOptions {
  const { network, unknownAddress, dns, clusterDomain, ipv6 } = worker;
  return {
    outbound: {
      network,
      clusterRanges: unknownAddress.clusterRanges.flatMap((range) => parseCidr(range) ?? []),
      unknownCluster: unknownAddress.outcome,
    },
    dns: {
      clusterDomain,
      network,
      ipv6,
      preferredNamespace: dns.preferredServiceNamespace ?? undefined,
      searchDomains: dns.searchDomains ?? undefined,
    },
  };
}
