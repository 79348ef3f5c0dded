// SPDX-License-Identifier: Apache-2.0
// One replica of the control plane on a machine of its own: killed, paused, cut off, and back again.
import { join } from 'node:path';
import { CaClient } from '#lib/identity/ca-client.ts';
import { channelCredentials, channelOptions } from '#lib/xds/client.ts';
import { type Istiod, startIstiod } from '../load/istiod-programs.ts';
import type { Island } from './island.ts';

/** A name in every replica's certificate, whatever its address is. */
export const ISTIOD_NAME = 'istiod.istio-system.svc';
/** Short, since nobody wants to wait for the end of a long one. */
const LEASE = '3s';

export class Replica {
  /** Its pod's name, by which it holds leases and writes. */
  readonly name: string;
  readonly island: Island;
  readonly #kubeconfig: string;
  #istiod: Istiod | undefined;

  /** `folder` holds a kubeconfig for each replica, by its name. */
  constructor(name: string, island: Island, folder: string) {
    this.name = name;
    this.island = island;
    this.#kubeconfig = join(folder, name);
  }

  /** Undefined between an end and the next start. */
  get running(): Istiod | undefined {
    return this.#istiod;
  }

  get istiod(): Istiod {
    if (this.#istiod === undefined) throw new Error(`${this.name} is not running`);
    return this.#istiod;
  }

  async start(): Promise<void> {
    const env = { POD_NAME: this.name, AMBIT_LEASE_DURATION: LEASE };
    this.#istiod = await startIstiod(this.#kubeconfig, 120_000, env, this.island);
  }

  /** In good order, or at once. */
  async end(signal?: 'SIGKILL'): Promise<void> {
    await this.#istiod?.stop(signal);
    this.#istiod = undefined;
  }

  async knows(pod: string, token: string): Promise<boolean> {
    return (await this.istiod.get('/debug/ambientz', token)).includes(pod);
  }

  /** A new certificate for `identity`, asked for with `token` as a node proxy asks. */
  async certificate(identity: string, token: string, roots: string): Promise<void> {
    const target = `${this.island.host}:${this.istiod.securePort}`;
    const endpoint = { target, alternativeName: ISTIOD_NAME, rootCertificates: async () => Buffer.from(roots) };
    using client = new CaClient({
      target,
      credentials: () => channelCredentials(endpoint),
      headers: async () => ({ authorization: `Bearer ${token}`, clusterid: 'Kubernetes' }),
      channelOptions: channelOptions(endpoint),
      ttlMs: 3_600_000,
      impersonate: true,
    });
    const issued = await client.issue(identity);
    if (issued.identity !== identity) throw new Error(`a certificate for ${issued.identity}, not for ${identity}`);
  }
}
