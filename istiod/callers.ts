// SPDX-License-Identifier: Apache-2.0
// Who may call istiod, and as whom: pods and node proxies by their tokens or certificates, while the API server is away
// too; and machines, which register by calling.

import type { MeshSettings } from '#lib/model/mesh-settings.ts';
import type { Admission, Caller } from '#lib/xds/server.ts';
import { Registration } from './entry/registration.ts';
import { admitStream } from './serve/admission.ts';
import { Authenticator } from './serve/authenticate.ts';
import { CachedKeys } from './serve/cached-keys.ts';
import { ForwardedCertificates } from './serve/forwarded.ts';
import { OwnIssuer } from './serve/issuer-rule.ts';
import type { Sources } from './sources.ts';
import type { Surroundings } from './surroundings.ts';
import type { RemoteClusters } from './watch/remote-clusters.ts';

/** What callers are judged by, asked at each call. */
export interface Membership {
  readonly settings: () => MeshSettings;
  readonly cluster: (id: string) => ReturnType<RemoteClusters['get']>;
}

export class Callers {
  readonly authenticator: Authenticator;
  /** Undefined when machines may not register. */
  readonly machines: Registration | undefined;
  readonly #config: Surroundings['config'];
  readonly #keys: CachedKeys;

  constructor(surroundings: Surroundings, { informers, pods }: Sources, { cluster, settings }: Membership) {
    const { client, clock, config, log, metrics } = surroundings;
    const trustDomain = (): string => settings().trustDomain;
    this.#config = config;
    this.#keys = new CachedKeys({
      ...{ client, clock, log: log.child('auth'), trustDomain },
      audiences: config.tokenAudiences,
      pod: (namespace, name) => pods.get(namespace, name),
      // Half a certificate's life: what is issued by then was asked for by a caller that was known not long before.
      maxSilenceMs: config.defaultCertificateTtlMs / 2,
    });
    this.authenticator = new Authenticator({
      ...{ client, clock, trustDomain },
      remote: (id) => cluster(id)?.client,
      audiences: config.tokenAudiences,
      clusterId: config.clusterId,
      trustDomainAliases: () => settings().trustDomainAliases,
      ownIssuer: config.issuerRule && new OwnIssuer(config.issuerRule, { clock, trustDomain }),
      cachedKeys: this.#keys,
      forwarded:
        config.trustedGateways.length === 0
          ? undefined
          : new ForwardedCertificates(config.trustedGateways, () => [trustDomain(), ...settings().trustDomainAliases]),
    });
    this.machines = config.registerMachines
      ? new Registration({
          ...{ client, clock, metrics, log: log.child('entry') },
          groups: informers.workloadGroups,
          entries: informers.workloadEntries,
          instance: config.podName,
          graceMs: config.registrationGraceMs,
          maxAgeMs: config.maxConnectionAgeMs,
        })
      : undefined;
  }

  /** Keeps what tokens are judged by without the API server, until `signal` aborts. */
  run(signal: AbortSignal): void {
    void this.#keys.run(signal);
  }

  /** Decides about a stream of configuration. */
  async admit(caller: Caller): Promise<Admission> {
    const admission = await admitStream(caller, { authenticator: this.authenticator, ...this.#config });
    return this.machines === undefined ? admission : this.machines.judge(caller.peer, admission);
  }
}
