// SPDX-License-Identifier: Apache-2.0
// The one room where ztunnel's main process is put together: every part is made here and handed what it needs.
//
//   control plane or file --> MeshState --> shared store --> data-plane processes <-- pods <-- node agent
//   authority --> Certificates -----------------------------------^
import type { AdminServer } from '#lib/kit/admin.ts';
import { describeError } from '#lib/kit/error.ts';
import { raiseFileLimit } from '#lib/linux/process.ts';
import { StoreWriter } from '#lib/loop/shared/store-writer.ts';
import { serveProxy } from '#lib/proxy/admin/servers.ts';
import { Certificates } from '#lib/proxy/identity/certificates.ts';
import { RevocationFile } from '#lib/proxy/identity/revocation-file.ts';
import { Life } from '#lib/proxy/life.ts';
import type { AppOptions, ProxyApp } from '#lib/proxy/program.ts';
import { MeshState } from '#lib/proxy/state/mesh-state.ts';
import { Exposition } from '#lib/proxy/telemetry/exposition.ts';
import { exposeSelf } from '#lib/proxy/telemetry/self.ts';
import { WorkerLines } from '#lib/proxy/telemetry/worker-lines.ts';
import { XdsCounts } from '#lib/proxy/telemetry/xds-counts.ts';
import { configDump, versionOf } from './admin/config-dump.ts';
import { drainPlan } from './admin/drain-plan.ts';
import { LogControl } from './admin/logging.ts';
import { adminPages } from './admin/pages.ts';
import { type Config, issuerSettings, printableConfig } from './config.ts';
import { DataPlane } from './data-plane.ts';
import { probeOnce } from './health/probe.ts';
import { Prober } from './health/prober.ts';
import { Enrolment } from './inpod/enrolment.ts';
import { openSources, type Sources } from './source/sources.ts';
import { FAMILIES } from './telemetry/families.ts';
import { levelOf } from './telemetry/line-format.ts';
import { exposeNode } from './telemetry/self.ts';

export class App implements ProxyApp {
  readonly #options: AppOptions<Config>;
  readonly #life: Life;
  readonly #certificates: Certificates;
  readonly #exposition = new Exposition(FAMILIES);
  readonly #store: StoreWriter;
  readonly #state: MeshState;
  readonly #lines: WorkerLines;
  readonly #dataPlane: DataPlane;
  readonly #revocations: RevocationFile | undefined;
  readonly #logControl: LogControl;
  readonly #enrolment: Enrolment;
  #servers: readonly AdminServer[] = [];
  #sources: Sources | undefined;
  #prober: Prober | undefined;

  private constructor(options: AppOptions<Config>, certificates: Certificates) {
    const { clock, config, log, random, workerEnv } = options;
    const { crlPath, drainMs, mode, storeBytes, storeRecords, worker: settings, workers } = config;
    this.#options = options;
    this.#life = new Life({ log, drainMs, close: () => this.#close() });
    this.#certificates = certificates;
    this.#store = new StoreWriter({ maxRecords: storeRecords, dataBytes: storeBytes });
    this.#state = new MeshState({
      nodeName: settings.nodeName,
      clusterId: settings.clusterId,
      store: this.#store,
      log: log.child('state'),
      onCommit: (version, policies) => this.#dataPlane.meshChanged(version, policies),
      onIdentity: (identity) => {
        if (mode === 'shared') certificates.prefetch(identity);
      },
      onIdentityGone: (identity) => {
        certificates.forget(identity);
        this.#dataPlane.forgetCertificate(identity);
      },
    });
    const accessLog = log.child('access');
    this.#lines = new WorkerLines({ log, wanted: (line) => accessLog.enabled(levelOf(line)) });
    this.#dataPlane = new DataPlane({
      ...{ count: workers, env: workerEnv, settings, drainMs, certificates, exposition: this.#exposition },
      storeFd: this.#store.fd,
      meshVersion: () => this.#store.version,
      log: log.child('data-plane'),
      onLine: this.#lines.onLine,
      onWanted: (name) => this.#sources?.want(name),
    });
    const { pool } = this.#dataPlane;
    const onLists = (lists: readonly Uint8Array[]): void => this.#dataPlane.pool.setRevocations(lists);
    this.#revocations =
      crlPath === undefined
        ? undefined
        : new RevocationFile({ path: crlPath, clock, log: log.child('identity'), onLists });
    this.#logControl = new LogControl(log, config.log, (access) => this.#dataPlane.setAccessLog(access));
    this.#enrolment = new Enrolment({
      ...{ config, clock, random, log, capture: this.#dataPlane, watch: pool.watch },
      readiness: this.#life.readiness,
      onFatal: (reason) => this.#life.fatal(reason),
    });
  }

  static async create(options: AppOptions<Config>): Promise<App> {
    const { clock, config, log, random } = options;
    const given = { clock, random, log: log.child('identity') };
    return new App(options, await Certificates.create(issuerSettings(config), given));
  }

  /** Starts everything; resolves when the admin servers listen and the first work is under way. Throws what makes a start impossible. */
  async start(): Promise<void> {
    const { clock, config, log, version } = this.#options;
    log.info('starting', () => ({ version, config: printableConfig(config) }));
    const { readiness } = this.#life;
    const stateReady = readiness.hold('state manager');
    const proxyReady = readiness.hold('proxy');
    this.#enrolment.expect();
    this.#expose(raiseFileLimit());
    await this.#serveAdmin();
    await this.#revocations?.start();
    this.#dataPlane.pool.start();
    this.#sources = await openSources(config, {
      ...{ state: this.#state, log, clock, counts: new XdsCounts(this.#exposition) },
      onAbsent: (name) => this.#dataPlane.absent(name),
      onConnected: () => this.#certificates.retry(),
    });
    this.#probe(this.#sources);
    void this.#becomeReady(this.#sources, stateReady, proxyReady);
  }

  stop(reason: string): void {
    this.#life.stop(reason);
  }

  whenEnded(): Promise<number> {
    return this.#life.whenEnded();
  }

  #expose(fileLimit: number): void {
    const { pods, pool } = this.#dataPlane;
    exposeSelf(this.#exposition, {
      component: 'ztunnel',
      tag: String(this.#options.config.nodeMetadata['ISTIO_VERSION'] ?? 'unknown'),
      ...{ pool, store: this.#store, lines: this.#lines },
    });
    const pending = (): number => this.#enrolment.pending().length;
    exposeNode(this.#exposition, { fileLimit, pods, pending });
  }

  async #serveAdmin(): Promise<void> {
    const { clock, config, log } = this.#options;
    const dataPlane = this.#dataPlane;
    this.#servers = await serveProxy({
      ports: config.admin,
      ipv6: config.worker.ipv6,
      exposition: this.#exposition,
      readiness: this.#life.readiness,
      log,
      notReady: 500,
      quit: () => this.stop('asked to quit'),
      pages: adminPages({
        state: this.#state,
        dump: () => this.#dump(),
        logging: this.#logControl.handle,
        settings: config.worker,
        connections: async () => ({
          live: await dataPlane.connections(),
          recent: await dataPlane.recent(),
        }),
        held: () => dataPlane.pool.held(),
        drainPlan: async () => drainPlan(await dataPlane.connections(), config.drainMs),
        profiles: { clock, ofProcess: (...asked) => dataPlane.profile(...asked) },
      }),
    });
  }

  async #dump(): Promise<unknown> {
    const { config, version } = this.#options;
    const captured = this.#dataPlane.pods.list().filter(({ info }) => !info.self);
    const up = captured.map(({ info }) => ({ info, up: this.#dataPlane.isUp(info.uid) }));
    const pending = this.#enrolment.pending().map((info) => ({ info, up: false }));
    return configDump({
      state: this.#state,
      secrets: this.#certificates.states(),
      pods: config.mode === 'shared' ? [...up, ...pending] : undefined,
      connections: await this.#dataPlane.connections(),
      held: this.#dataPlane.pool.held(),
      config: printableConfig(config),
      version: versionOf(version, config.nodeMetadata),
    });
  }

  async #becomeReady(sources: Sources, stateReady: () => void, proxyReady: () => void): Promise<void> {
    try {
      await sources.synced;
      stateReady();
      await this.#dataPlane.pool.whenReady();
      if (this.#life.ending) return;
      await this.#enrolment.start();
      if (!this.#life.ending) proxyReady();
    } catch (error) {
      this.#life.fatal(describeError(error));
    }
  }

  /** The application's health is the control plane's to know: what is not well gets no traffic. */
  #probe(sources: Sources): void {
    const { clock, config, log } = this.#options;
    if (config.probe === undefined) return;
    const onChange = (error: string | undefined): void => sources.report(error);
    this.#prober = new Prober({ settings: config.probe, clock, log: log.child('health'), once: probeOnce, onChange });
    this.#prober.start();
  }

  async #close(): Promise<void> {
    this.#prober?.stop();
    await this.#enrolment.close();
    await this.#dataPlane.stop(this.#options.config.drainMs);
    await this.#sources?.close();
    this.#revocations?.close();
    this.#certificates.close();
    await Promise.all(this.#servers.map((server) => server.close()));
    this.#dataPlane.pool.watch.close();
    this.#lines.flush();
  }
}
