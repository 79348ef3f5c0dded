// SPDX-License-Identifier: Apache-2.0
// A node with a real node proxy and one pod on it, and the node's way to the control plane: a door that leads to
// whichever replica accepts, as a Service does.
import { Loop } from '#lib/loop/loop.ts';
import { Door, type Place } from '#lib/testkit/door.ts';
import type { PodNetwork, TestPod } from '#lib/testkit/pod-network.ts';
import { Ztunnel } from '#lib/testkit/ztunnel.ts';
import { ISTIOD_NAME } from './replica.ts';

/** Of certificates: renewed at half of it, so while a test runs; and long enough that even a starved machine renews in time. */
const LIFE = '50s';
const START_MS = 120_000;

interface Dump {
  readonly workloads: readonly { readonly name: string }[];
  readonly certificates: readonly {
    readonly state: string;
    readonly certChain: readonly { readonly serialNumber: string; readonly expirationTime: string }[];
  }[];
}

export interface MeshNodeOptions {
  readonly name: string;
  readonly network: PodNetwork;
  /** Runs as an account of its name in `shop`. */
  readonly pod: TestPod;
  /** Where doors are opened. */
  readonly host: string;
  /** The node proxy's. */
  readonly token: string;
  readonly rootFile: string;
}

export class MeshNode implements AsyncDisposable {
  readonly door: Door;
  readonly #loop: Loop;
  readonly #ztunnel: Ztunnel;

  private constructor(door: Door, loop: Loop, ztunnel: Ztunnel) {
    this.door = door;
    this.#loop = loop;
    this.#ztunnel = ztunnel;
  }

  /** Ready once the pod is captured. */
  static async start({ host, name, network, pod, rootFile, token }: MeshNodeOptions, ...replicas: Place[]) {
    const door = await Door.openAt(host, ...replicas);
    const home = network.pod(`home-${name}`, { captured: false });
    const loop = new Loop({ spin: false });
    const server = `https://${host}:${door.port}`;
    const ztunnel = new Ztunnel(loop, home, network.netnsName(home), {
      FAKE_CA: 'false',
      NODE_NAME: name,
      POD_NAME: `zt-${name}`,
      POD_NAMESPACE: 'istio-system',
      SERVICE_ACCOUNT: 'ztunnel',
      INSTANCE_IP: home.ip,
      XDS_ADDRESS: server,
      CA_ADDRESS: server,
      XDS_ROOT_CA: rootFile,
      CA_ROOT_CA: rootFile,
      ALT_XDS_HOSTNAME: ISTIOD_NAME,
      ALT_CA_HOSTNAME: ISTIOD_NAME,
      AUTH_TOKEN: token,
      SECRET_TTL: LIFE,
      ZTUNNEL_WORKER_THREADS: '1',
      ISTIO_META_DNS_CAPTURE: 'false',
    });
    const node = new MeshNode(door, loop, ztunnel);
    try {
      const info = { uid: `uid-${pod.name}`, name: pod.name, namespace: 'shop', serviceAccount: pod.name };
      await ztunnel.agent.announce([{ ...info, netns: network.netnsName(pod) }], START_MS);
      return node;
    } catch (error) {
      const { output } = ztunnel;
      await node[Symbol.asyncDispose]();
      throw new Error(`the node proxy of ${name} did not start:\n${output.slice(-2_000)}`, { cause: error });
    }
  }

  /** Names of the workloads that the proxy knows, in order. */
  async workloads(): Promise<string[]> {
    return (await this.#dump()).workloads.map(({ name }) => name).sort();
  }

  /** Serial numbers of the certificates in use. */
  async serials(): Promise<string[]> {
    const { certificates } = await this.#dump();
    return certificates.flatMap(({ certChain, state }) => (state === 'Available' ? certChain[0]!.serialNumber : []));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ztunnel[Symbol.asyncDispose]();
    this.#loop.dispose();
    await this.door[Symbol.asyncDispose]();
  }

  async #dump(): Promise<Dump> {
    return JSON.parse(await this.#ztunnel.get(15_000, '/config_dump')) as Dump;
  }
}
