// SPDX-License-Identifier: Apache-2.0
// The one room where the waypoint's main process is put together: every part is made here and handed what it needs.
//
//   control plane or file --> MeshState, L7State --> shared store --> data-plane processes
//   authority --> Certificates -------------------------------------------^
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
import { configDump } from './admin/config-dump.ts';
import { explain } from './admin/explain.ts';
import { adminPages } from './admin/pages.ts';
import { type Config, issuerSettings, printableConfig } from './config.ts';
import { DataPlane } from './data-plane.ts';
import { Exporter } from './export/exporter.ts';
import { L7State } from './source/l7-state.ts';
import { openSources, type Sources } from './source/sources.ts';
import { FAMILIES } from './telemetry/families.ts';
import { selfOf } from './worker/self.ts';

export class App implements ProxyApp {
  readonly #options: AppOptions<Config>;
  readonly #life: Life;
  readonly #certificates: Certificates;
  readonly #exposition = new Exposition(FAMILIES);
  readonly #store: StoreWriter;
  readonly #mesh: MeshState;
  readonly #l7: L7State;
  readonly #exporter: Exporter;
  readonly #lines: WorkerLines;
  readonly #dataPlane: DataPlane;
  #servers: readonly AdminServer[] = [];
  readonly #revocations: RevocationFile | undefined;
  #sources: Sources | undefined;

  private constructor(options: AppOptions<Config>, certificates: Certificates) {
    const { clock, config, log, random, version, workerEnv } = options;
    const { drainMs, storeBytes, storeRecords, worker: settings, workers } = config;
    this.#options = options;
    this.#life = new Life({ log, drainMs, close: () => this.#close() });
    this.#certificates = certificates;
    this.#store = new StoreWriter({ maxRecords: storeRecords, dataBytes: storeBytes });
    const state = {
      store: this.#store,
      log: log.child('state'),
      onCommit: (version: number) => this.#dataPlane.configChanged(version),
    };
    this.#mesh = new MeshState({
      ...state,
      nodeName: settings.nodeName,
      clusterId: settings.clusterId,
      onIdentity: () => {},
      onIdentityGone: () => {},
    });
    this.#exporter = new Exporter({
      ...{ clock, random, log: log.child('export'), mesh: this.#mesh.mesh, exposition: this.#exposition },
      facts: { gateway: settings.gateway, podName: config.pod.name, version, env: config.environment },
    });
    this.#l7 = new L7State({
      ...state,
      env: config.environment,
      onSettings: ({ providers }) => this.#exporter.configure(providers),
    });
    const onLists = (lists: readonly Uint8Array[]): void => this.#dataPlane.pool.setRevocations(lists);
    this.#revocations =
      config.crlPath === undefined
        ? undefined
        : new RevocationFile({ path: config.crlPath, clock, log: log.child('identity'), onLists });
    this.#lines = new WorkerLines({ log, onExport: (line) => this.#exporter.take(line) });
    this.#dataPlane = new DataPlane({
      ...{ count: workers, env: workerEnv, settings, drainMs, certificates, exposition: this.#exposition },
      storeFd: this.#store.fd,
      storeVersion: () => this.#store.version,
      log: log.child('data-plane'),
      onLine: this.#lines.onLine,
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
    raiseFileLimit();
    const { readiness } = this.#life;
    const synced = readiness.hold('configuration');
    const certified = readiness.hold('certificate');
    this.#expose();
    await this.#serveAdmin();
    await this.#revocations?.start();
    this.#dataPlane.pool.start();
    const counts = new XdsCounts(this.#exposition);
    this.#sources = await openSources(config, {
      ...{ mesh: this.#mesh, l7: this.#l7, log, clock, counts },
      onConnected: () => this.#certificates.retry(),
    });
    void this.#becomeReady(this.#sources, synced, certified);
  }

  stop(reason: string): void {
    this.#life.stop(reason);
  }

  whenEnded(): Promise<number> {
    return this.#life.whenEnded();
  }

  #expose(): void {
    const { config, version } = this.#options;
    exposeSelf(this.#exposition, {
      component: 'proxy',
      tag: String(config.nodeMetadata['ISTIO_VERSION'] ?? version),
      pool: this.#dataPlane.pool,
      store: this.#store,
      lines: this.#lines,
    });
    const lost = (): number =>
      this.#dataPlane.pool.processes().reduce((sum, worker) => sum + worker.log.droppedExports, 0);
    this.#exposition.value('ambit_telemetry_dropped_total', { reason: 'ring_full' }, lost);
  }

  async #serveAdmin(): Promise<void> {
    const { config, log, version } = this.#options;
    const [mesh, l7] = [this.#mesh, this.#l7];
    const { network } = config.worker;
    const self = selfOf(mesh.mesh, config.worker);
    const { listening, pool } = this.#dataPlane;
    this.#servers = await serveProxy({
      ports: config.admin,
      ipv6: true,
      exposition: this.#exposition,
      readiness: this.#life.readiness,
      log,
      notReady: 503,
      quit: () => this.stop('asked to quit'),
      pages: adminPages({
        dump: () => {
          const secrets = this.#certificates.states();
          return configDump({
            ...{ mesh, l7, secrets, listening, version },
            held: pool.held(),
            config: printableConfig(config),
          });
        },
        explain: (query) => explain(query, { mesh: mesh.mesh, l7, network, self, held: () => pool.held() }),
      }),
    });
  }

  async #becomeReady(sources: Sources, synced: () => void, certified: () => void): Promise<void> {
    const { config, log } = this.#options;
    try {
      const hasIdentity = config.fakeCa || config.xds !== undefined;
      if (hasIdentity) this.#certificates.prefetch(config.identity);
      await sources.synced;
      await this.#dataPlane.pool.whenReady();
      synced();
      if (hasIdentity) await this.#certificates.get(config.identity);
      certified();
      log.info('ready');
    } catch (error) {
      this.#life.fatal(describeError(error));
    }
  }

  async #close(): Promise<void> {
    await this.#dataPlane.stop(this.#options.config.drainMs);
    await this.#sources?.close();
    this.#certificates.close();
    this.#revocations?.close();
    await Promise.all(this.#servers.map((server) => server.close()));
    this.#dataPlane.pool.watch.close();
    await this.#exporter.close();
    this.#lines.flush();
  }
}
