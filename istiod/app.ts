// SPDX-License-Identifier: Apache-2.0
// istiod, put together: the parts are made here and nowhere else, in the order in which they need each other.
//
//   API server --> Sources --> Mesh --> Servers (pages, xDS, certificates, webhook) --> clients
//                     |  \       \
//                  Callers \      --> Writers --> API server
//                           --> KeptHistory

import { createMetrics } from '#lib/kit/metrics.ts';
import { Readiness } from '#lib/kit/readiness.ts';
import { VERSION } from '#lib/kit/version.ts';
import { startAuthority } from './ca/authority.ts';
import { Callers } from './callers.ts';
import { KeptHistory } from './history/kept.ts';
import { Mesh } from './mesh.ts';
import { createIstiodMetrics } from './metrics.ts';
import { type Ports, Servers } from './servers.ts';
import { Sources } from './sources.ts';
import type { Surroundings } from './surroundings.ts';
import { SourceHealth } from './watch/source-health.ts';
import { Writers } from './writers.ts';

export interface AppOptions extends Omit<Surroundings, 'metrics' | 'health'> {
  /** Given when a source of objects was started before the app. */
  readonly health?: SourceHealth;
}

const NOT_YET: Ports = { http: 0, grpc: 0, secureGrpc: 0, monitoring: 0, webhook: 0 };

export class App {
  readonly #surroundings: Surroundings;
  readonly #readiness = new Readiness();
  readonly #history = new KeptHistory();
  readonly #stopped = new AbortController();
  readonly #sources: Sources;
  readonly #callers: Callers;
  readonly #mesh: Mesh;
  readonly #writers: Writers;
  readonly #servers: Servers;
  #ports = NOT_YET;

  private constructor(options: AppOptions) {
    const exposition = createMetrics();
    const metrics = createIstiodMetrics(exposition);
    metrics.info.set({ version: VERSION }, 1);
    const surroundings = { ...options, metrics, health: options.health ?? new SourceHealth(options.clock.now) };
    const readiness = this.#readiness;
    const sources = new Sources(surroundings);
    const callers = new Callers(surroundings, sources, {
      settings: () => this.#mesh.model.settings,
      cluster: (id) => this.#mesh.clusters.get(id),
    });
    const mesh = new Mesh(surroundings, sources, { callers, ready: () => readiness.ready() });
    this.#surroundings = surroundings;
    this.#sources = sources;
    this.#callers = callers;
    this.#mesh = mesh;
    this.#writers = new Writers(surroundings, sources, mesh);
    this.#servers = new Servers(surroundings, {
      ...{ sources, callers, mesh, readiness, exposition },
      changesBetween: (from, to) => this.#history.changesBetween(from, to),
      configurationAt: (moment) => this.#history.configurationAt(moment),
    });
  }

  /** Resolves when istiod is ready; rejects when a port is taken, the root is damaged, or `signal` aborts. */
  static async start(options: AppOptions, signal: AbortSignal): Promise<App> {
    const app = new App(options);
    try {
      await app.#start(AbortSignal.any([signal, app.#stopped.signal]));
      return app;
    } catch (error) {
      await app.stop();
      throw error;
    }
  }

  get ports(): Ports {
    return this.#ports;
  }

  /** Lets another replica write, sends clients away, lets calls finish, then ends everything. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#writers.stop();
    await this.#mesh.drain();
    await this.#servers.closeMesh();
    this.#callers.machines?.stop();
    this.#mesh.stop();
    this.#sources.stop();
    await this.#servers.closePages();
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { client, clock, config, log, metrics, random } = this.#surroundings;
    const cachesFilled = this.#readiness.hold('xds caches');
    const authorityReady = this.#readiness.hold('certificate authority');
    const serving = this.#readiness.hold('servers');
    const pages = await this.#servers.openPages();

    this.#sources.start();
    this.#callers.run(signal);
    await this.#sources.settled(signal);
    const { trustDomain } = this.#mesh.model.settings;
    const signing = { config, client, clock, random, log: log.child('ca'), metrics, trustDomain, signal };
    const authority = await startAuthority(signing);
    authorityReady();

    await this.#sources.whenSynced(signal);
    await this.#mesh.complete(signal);
    this.#history.start(this.#surroundings, this.#sources, signal);
    cachesFilled();

    this.#ports = { ...pages, ...(await this.#servers.openMesh(authority, signal)) };
    serving();
    this.#writers.start(authority, signal);
    this.#callers.machines?.start();
    log.info('ready', { ...this.#ports, cluster: config.clusterId, trustDomain });
  }
}
