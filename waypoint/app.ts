// SPDX-License-Identifier: Apache-2.0
// The one room where the waypoint's main process is put together: every part is made here and handed what it needs.
//
//   control plane or file --> MeshState, L7State --> shared store --> data-plane processes
//   authority --> SecretManager ------------------------------------------^
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
import { createIssuer, type Issuer } from '#lib/proxy/identity/issuer.ts';
import { MeshState } from '#lib/proxy/state/mesh-state.ts';
import { Exposition } from '#lib/proxy/telemetry/exposition.ts';
import { LogSink } from '#lib/proxy/telemetry/log-sink.ts';
import { XdsCounts } from '#lib/proxy/telemetry/xds-counts.ts';
import { configDump } from './admin/config-dump.ts';
import { explain } from './admin/explain.ts';
import { serveAdmin } from './admin/servers.ts';
import { type Config, issuerSettings, printableConfig } from './config.ts';
import { DataPlane } from './data-plane.ts';
import { L7State } from './source/l7-state.ts';
import { openSources, type Sources } from './source/sources.ts';
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
  readonly fields: Record<string, unknown>;
}

const WORKER_SCRIPT = join(import.meta.dirname, 'worker/main.ts');

export class App {
  readonly readiness = new Readiness();
  readonly mesh: MeshState;
  readonly l7: L7State;
  readonly dataPlane: DataPlane;
  readonly secrets: SecretManager;
  /** Ports of open listeners by name. */
  readonly listening = new Map<string, number>();
  readonly #options: AppOptions;
  readonly #issuer: Issuer;
  readonly #watch = new FdWatch();
  readonly #sink = new LogSink();
  readonly #workerLog: Logger;
  readonly #exposition = new Exposition(FAMILIES);
  readonly #store: StoreWriter;
  readonly #ended = Promise.withResolvers<number>();
  #servers: AdminServer[] = [];
  #sources: Sources | undefined;
  #stopping = false;

  private constructor(options: AppOptions, issuer: Issuer) {
    const { clock, config, log, random } = options;
    this.#options = options;
    this.#issuer = issuer;
    this.#workerLog = log.child('proxy');
    this.#store = new StoreWriter({ maxRecords: config.storeRecords, dataBytes: config.storeBytes });
    this.secrets = new SecretManager({
      issue: issuer.issue,
      clock,
      random,
      log: log.child('identity'),
      onIssued: (certificate) => this.dataPlane.giveCertificate(certificate),
      onUnavailable: (identity, reason) => this.dataPlane.certificateFailed(identity, reason),
    });
    const onCommit = (version: number): void => this.dataPlane.configChanged(version);
    this.mesh = new MeshState({
      nodeName: config.worker.nodeName,
      store: this.#store,
      log: log.child('state'),
      onCommit,
      onIdentity: () => {},
      onIdentityGone: () => {},
    });
    this.l7 = new L7State({ store: this.#store, log: log.child('state'), onCommit });
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
      storeVersion: () => this.#store.version,
      onLine: (kind, line) => this.#line(kind, line),
      onListening: (listener, port) => {
        if (!this.listening.has(listener)) log.info('listening', { listener, port });
        this.listening.set(listener, port);
      },
    });
  }

  static async create(options: AppOptions): Promise<App> {
    const { clock, config, log } = options;
    return new App(options, await createIssuer(issuerSettings(config), log.child('identity'), clock));
  }

  /** Starts everything; resolves when the admin servers listen and the first work is under way. Throws what makes a start impossible. */
  async start(): Promise<void> {
    const { clock, config, log, version } = this.#options;
    log.info('starting', () => ({ version, config: printableConfig(config) }));
    raiseFileLimit();
    this.#describeSelf();
    const synced = this.readiness.hold('configuration');
    const certified = this.readiness.hold('certificate');
    this.#servers = await serveAdmin(config, {
      readiness: this.readiness,
      exposition: this.#exposition,
      dump: () => this.dump(),
      explain: (query) => explain(query, { mesh: this.mesh.mesh, l7: this.l7, network: config.worker.network }),
      quit: () => this.stop('asked to quit'),
    });
    this.dataPlane.start();
    const counts = new XdsCounts(this.#exposition);
    this.#sources = await openSources(config, { mesh: this.mesh, l7: this.l7, log, clock, counts });
    void this.#serve(this.#sources, synced, certified);
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
  dump(): unknown {
    const { config, version } = this.#options;
    return configDump({
      mesh: this.mesh,
      l7: this.l7,
      secrets: this.secrets.states(),
      listening: this.listening,
      config: printableConfig(config),
      version,
    });
  }

  async #serve(sources: Sources, synced: () => void, certified: () => void): Promise<void> {
    const { config, log } = this.#options;
    try {
      const hasIdentity = config.fakeCa || config.xds !== undefined;
      if (hasIdentity) this.secrets.prefetch(config.identity);
      await sources.synced;
      await this.dataPlane.whenReady();
      synced();
      if (hasIdentity) await this.secrets.get(config.identity);
      certified();
      log.info('ready');
    } catch (error) {
      log.error('cannot go on', { reason: describeError(error) });
      if (!this.#stopping) this.stop('failed to start');
    }
  }

  // Access lines are whole already; what a process says of itself becomes a line of this log.
  #line(kind: LineKind, line: string): void {
    if (kind !== LINE_KINDS.message) {
      this.#sink.line(line);
      return;
    }
    const { level, message, fields } = JSON.parse(line) as WorkerMessage;
    this.#workerLog[level](message, fields);
  }

  async #shutDown(): Promise<void> {
    await this.dataPlane.stop(this.#options.config.drainMs);
    await this.#sources?.close();
    this.secrets.stop();
    this.#issuer.close();
    await Promise.all(this.#servers.map((server) => server.close()));
    this.#watch.close();
    this.#sink.flush();
  }

  #describeSelf(): void {
    const { config, version } = this.#options;
    const value = (name: string, read: () => number, labels: Readonly<Record<string, string>> = {}): void =>
      this.#exposition.value(name, labels, read);
    const tag = String(config.nodeMetadata['ISTIO_VERSION'] ?? version);
    value('istio_build', () => 1, { component: 'proxy', tag });
    value('ambit_worker_restarts_total', () => this.dataPlane.restarts);
    value('ambit_mesh_store_bytes', () => this.#store.usedBytes);
    value('ambit_mesh_store_records', () => this.#store.records);
    const all = (read: (worker: ReturnType<DataPlane['processes']>[number]) => number): number =>
      this.dataPlane.processes().reduce((sum, worker) => sum + read(worker), 0);
    value('ambit_worker_connections', () => all(({ vitals }) => vitals.connections));
    value(
      'ambit_access_log_dropped_total',
      () => this.#sink.dropped + all(({ log }) => log.droppedAccess + log.droppedDeny),
    );
  }
}
