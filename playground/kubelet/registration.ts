// SPDX-License-Identifier: Apache-2.0
// The node as an object of the API: registered at start, its state told when it changes, a Lease renewed as its heartbeat.
import { readdirSync } from 'node:fs';
import { arch, cpus, release, totalmem } from 'node:os';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import { kindOf, LEASE } from '#lib/kube/kind.ts';
import type { GenericObject } from '#lib/kube/object.ts';

export const NODE = kindOf<GenericObject>('', 'v1', 'Node', 'nodes', false);
export const KUBELET_PORT = 10250;

const LEASE_SECONDS = 40;
const RENEW_MS = 10_000;
/** The whole status is told this often even when nothing changed. */
const STATUS_MS = 60_000;
const CHECK_MS = 1_000;

export interface RegistrationOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly nodeName: string;
  readonly nodeIps: readonly string[];
  readonly podCidrs: readonly string[];
  readonly nodeLabels: Readonly<Record<string, string>>;
  readonly cniConfDir: string;
}

/** What a node of this machine offers to pods. */
export function nodeResources(): Record<string, string> {
  return {
    cpu: String(cpus().length),
    memory: `${Math.floor(totalmem() / 1024)}Ki`,
    pods: '110',
    'ephemeral-storage': '10Gi',
  };
}

export class Registration {
  readonly #options: RegistrationOptions;
  readonly #stop = new AbortController();
  #networkReady: boolean | undefined;
  #since = '';

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  /** Registers the node, tried until the API server takes it, then keeps telling that it is alive. */
  async start(): Promise<void> {
    const { clock, log } = this.#options;
    for (;;) {
      try {
        await this.#register();
        await this.#tellStatus();
        break;
      } catch (error) {
        log.debug('not registered yet', { error: describeError(error) });
        await clock.sleep(200, this.#stop.signal);
      }
    }
    void this.#forever(RENEW_MS, () => this.#renew());
    void this.#forever(STATUS_MS, () => this.#tellStatus());
    void this.#forever(CHECK_MS, async () => {
      if (this.#hasNetwork() !== this.#networkReady) await this.#tellStatus();
    });
  }

  stop(): void {
    this.#stop.abort();
  }

  async #forever(everyMs: number, step: () => Promise<void>): Promise<void> {
    const { clock, log } = this.#options;
    while (!this.#stop.signal.aborted) {
      await step().catch((error: unknown) => log.debug('node not told', { error: describeError(error) }));
      await clock.sleep(everyMs, this.#stop.signal).catch(() => undefined);
    }
  }

  async #register(): Promise<void> {
    const { client, nodeLabels, nodeName, podCidrs } = this.#options;
    const machine = arch() === 'x64' ? 'amd64' : arch();
    const labels = {
      'kubernetes.io/hostname': nodeName,
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': machine,
      'beta.kubernetes.io/os': 'linux',
      'beta.kubernetes.io/arch': machine,
      ...nodeLabels,
    };
    const spec = { podCIDR: podCidrs[0], podCIDRs: podCidrs, providerID: `ambit://playground/${nodeName}` };
    try {
      await client.create(NODE, { metadata: { name: nodeName, labels }, spec });
    } catch (error) {
      // It is there from before a reboot; an operator's labels and taints on it stay.
      if (!isKubeError(error, 'KUBE_CONFLICT')) throw error;
      await client.mergePatch(NODE, { name: nodeName }, { metadata: { labels } });
    }
  }

  #hasNetwork(): boolean {
    try {
      return readdirSync(this.#options.cniConfDir).some((file) => /\.(conf|conflist)$/.test(file));
    } catch {
      return false;
    }
  }

  async #tellStatus(): Promise<void> {
    const { client, nodeName, nodeIps } = this.#options;
    const ready = this.#hasNetwork();
    const now = this.#stamp();
    if (ready !== this.#networkReady) this.#since = now;
    this.#networkReady = ready;
    const condition = (type: string, status: boolean, reason: string, message: string) => ({
      ...{ type, status: status ? 'True' : 'False', reason, message },
      ...{ lastHeartbeatTime: now, lastTransitionTime: this.#since },
    });
    const resources = nodeResources();
    await client.mergePatch(
      NODE,
      { name: nodeName, subresource: 'status' },
      {
        status: {
          addresses: [
            ...nodeIps.map((address) => ({ type: 'InternalIP', address })),
            { type: 'Hostname', address: nodeName },
          ],
          capacity: resources,
          allocatable: resources,
          conditions: [
            condition('MemoryPressure', false, 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
            condition('DiskPressure', false, 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
            condition('PIDPressure', false, 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
            ready
              ? condition('Ready', true, 'KubeletReady', 'kubelet is posting ready status')
              : condition('Ready', false, 'KubeletNotReady', 'no CNI configuration in /etc/cni/net.d'),
          ],
          daemonEndpoints: { kubeletEndpoint: { Port: KUBELET_PORT } },
          nodeInfo: {
            architecture: arch() === 'x64' ? 'amd64' : arch(),
            operatingSystem: 'linux',
            osImage: 'Ambit playground',
            kernelVersion: release(),
            kubeletVersion: 'v1.35.2',
            kubeProxyVersion: 'v1.35.2',
            containerRuntimeVersion: 'ambit://0.1.0',
            machineID: '',
            systemUUID: '',
            bootID: '',
          },
        },
      },
    );
  }

  async #renew(): Promise<void> {
    const { client, nodeName } = this.#options;
    const namespace = 'kube-node-lease';
    const renewTime = new Date(this.#options.clock.now()).toISOString().replace('Z', '000Z');
    const spec = { holderIdentity: nodeName, leaseDurationSeconds: LEASE_SECONDS, renewTime };
    try {
      await client.mergePatch(LEASE, { namespace, name: nodeName }, { spec });
    } catch (error) {
      if (!isKubeError(error, 'KUBE_NOT_FOUND')) throw error;
      await client.create(LEASE, { metadata: { name: nodeName, namespace }, spec });
    }
  }

  #stamp(): string {
    return new Date(this.#options.clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
  }
}
