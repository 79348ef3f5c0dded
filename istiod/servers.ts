// SPDX-License-Identifier: Apache-2.0
// istiod's ports. The pages open first, so that `/ready` says what is still awaited; clients are let in when everything
// is known, so that none is ever told less than the truth.

import { ServerCredentials } from '@grpc/grpc-js';
import { type AdminServer, serveHttp } from '#lib/kit/admin.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Metrics } from '#lib/kit/metrics.ts';
import type { Readiness } from '#lib/kit/readiness.ts';
import { VERSION } from '#lib/kit/version.ts';
import { IstioCertificateService } from '#lib/proto/gen/ca_pb.ts';
import { AggregatedDiscoveryService } from '#lib/proto/gen/discovery_pb.ts';
import { startAdmission } from './admission/webhook.ts';
import type { RunningAuthority } from './ca/authority.ts';
import { RateLimit } from './ca/rate-limit.ts';
import { CertificateService } from './ca/service.ts';
import type { Callers } from './callers.ts';
import type { Mesh } from './mesh.ts';
import { type GrpcPort, type GrpcService, serveGrpc } from './serve/grpc.ts';
import { httpPages, monitoringPages, type PagesOptions } from './serve/pages.ts';
import { reflection } from './serve/reflection.ts';
import { scopePages } from './serve/scopes.ts';
import type { HostPort } from './settings/given.ts';
import type { Sources } from './sources.ts';
import type { Surroundings } from './surroundings.ts';

const DISCOVERY = AggregatedDiscoveryService.typeName;
const CERTIFICATES = IstioCertificateService.typeName;

export interface Ports {
  readonly http: number;
  readonly grpc: number;
  readonly secureGrpc: number;
  readonly monitoring: number;
  /** 0 when it is turned off. */
  readonly webhook: number;
}

/** What the ports lead to. */
export interface ServedParts {
  readonly sources: Sources;
  readonly callers: Callers;
  readonly mesh: Mesh;
  readonly readiness: Readiness;
  readonly exposition: Metrics;
  /** Of the configuration's history. */
  readonly changesBetween: PagesOptions['changesBetween'];
  readonly configurationAt: PagesOptions['configurationAt'];
}

export class Servers {
  readonly #surroundings: Surroundings;
  readonly #parts: ServedParts;
  readonly #startedAt: number;
  readonly #http: AdminServer[] = [];
  readonly #grpc: GrpcPort[] = [];

  constructor(surroundings: Surroundings, parts: ServedParts) {
    this.#surroundings = surroundings;
    this.#parts = parts;
    this.#startedAt = surroundings.clock.monotonic();
  }

  /** Readiness, metrics, debug pages, and on loopback where log levels are changed. */
  async openPages(): Promise<Pick<Ports, 'http' | 'monitoring'>> {
    const { config } = this.#surroundings;
    const pages = this.#pages();
    const http = await this.#serve(config.httpAddress, httpPages(pages));
    const monitoring = await this.#serve(config.monitoringAddress, monitoringPages(pages));
    await this.#openControl();
    return { http, monitoring };
  }

  /** xDS, certificates and the webhook. */
  async openMesh(authority: RunningAuthority, signal: AbortSignal): Promise<Omit<Ports, 'http' | 'monitoring'>> {
    const { client, clock, config, log, metrics, random } = this.#surroundings;
    const { server } = this.#parts.mesh.push;
    const plaintext = ServerCredentials.createInsecure();
    const open = [server.service('plaintext'), ...reflection([DISCOVERY])];
    const grpc = await this.#serveGrpc(config.grpcAddress, plaintext, open);
    const secure = [server.service('tls'), this.#certificates(authority), ...reflection([DISCOVERY, CERTIFICATES])];
    const secureGrpc = await this.#serveGrpc(config.secureGrpcAddress, authority.credentials, secure);
    const admission = { config, client, clock, random, log: log.child('admission'), metrics, authority };
    const webhook = await startAdmission(admission, signal);
    if (webhook !== undefined) this.#http.push(webhook);
    return { grpc, secureGrpc, webhook: webhook?.port ?? 0 };
  }

  /** Lets calls finish. */
  async closeMesh(): Promise<void> {
    const { shutdownMs } = this.#surroundings.config;
    await Promise.all(this.#grpc.map((port) => port.close(shutdownMs)));
  }

  async closePages(): Promise<void> {
    await Promise.all(this.#http.map((port) => port.close()));
  }

  async #serve(address: HostPort, routes: ReturnType<typeof httpPages>): Promise<number> {
    const server = await serveHttp({ ...address, routes });
    this.#http.push(server);
    return server.port;
  }

  async #serveGrpc(address: HostPort, credentials: ServerCredentials, services: GrpcService[]): Promise<number> {
    const port = await serveGrpc(address, credentials, services, this.#surroundings.config.maxConnectionAgeMs);
    this.#grpc.push(port);
    return port.port;
  }

  /** Without it istiod does its work all the same. */
  async #openControl(): Promise<void> {
    const { config, log } = this.#surroundings;
    const address = config.controlAddress;
    if (address === undefined) return;
    try {
      await this.#serve(address, scopePages(log));
    } catch (error) {
      log.warn('log levels cannot be changed while it runs', { ...address, error: describeError(error) });
    }
  }

  #pages(): PagesOptions {
    const { clock, config, health, metrics } = this.#surroundings;
    const { callers, changesBetween, configurationAt, exposition, mesh, readiness } = this.#parts;
    const { model, push } = mesh;
    return {
      ...{ readiness, metrics: exposition, changesBetween, configurationAt },
      beforeMetrics: () => {
        metrics.uptime.set((clock.monotonic() - this.#startedAt) / 1000);
        for (const [source, healthy] of health.summary()) metrics.sourceUp.set({ source }, healthy ? 1 : 0);
      },
      authenticator: callers.authenticator,
      namespace: config.namespace,
      version: VERSION,
      clusterId: config.clusterId,
      streams: () => push.server.streams(),
      pushAll: () => push.server.push(),
      views: { ...model.views(), sourcesz: () => health.view(), clusterz: () => mesh.clusters.view() },
    };
  }

  #certificates({ signer }: RunningAuthority): CertificateService {
    const { clock, config, log, metrics } = this.#surroundings;
    const { callers, mesh, sources } = this.#parts;
    const { certificateBurst: burst, certificatesPerSecond: perSecond } = config;
    return new CertificateService({
      ...{ signer, clock, metrics, log: log.child('ca') },
      rate: new RateLimit({ clock, perSecond, burst }),
      authenticator: callers.authenticator,
      pods: sources.pods,
      remotePods: (cluster) => mesh.clusters.get(cluster)?.pods,
      trustedNodeAccounts: config.trustedNodeAccounts,
      signerDomain: config.signerDomain,
      defaultTtlMs: config.defaultCertificateTtlMs,
      maxTtlMs: config.maxCertificateTtlMs,
    });
  }
}
