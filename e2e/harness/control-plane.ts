// SPDX-License-Identifier: Apache-2.0
// A control plane on machines of their own, all real programs: an API server that keeps its objects on disk, two
// replicas of istiod, and two nodes with node proxies, between whose pods there is traffic. All on one network, from
// which each machine can be cut off; this process is on it, too.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Place } from '#lib/testkit/door.ts';
import { PodNetwork } from '#lib/testkit/pod-network.ts';
import { until } from '#lib/testkit/until.ts';
import { kubeconfig, Pki } from '../../playground/api/auth/pki.ts';
import { MASTERS } from '../../playground/api/auth/user.ts';
import { ApiProcess } from './api-server.ts';
import { intruders } from './audit.ts';
import { CertificateCaller } from './certificate-caller.ts';
import { ClusterObjects } from './cluster-objects.ts';
import { Island } from './island.ts';
import { Leadership } from './leadership.ts';
import { MeshNode } from './mesh-node.ts';
import { Replica } from './replica.ts';
import { Traffic } from './traffic.ts';

/** Everything is to be well again 10 s after a part's return; half as long again is for a machine that runs other things. */
const RECOVERY_MS = 15_000;
/** Nothing is said about how soon the rest comes, on a machine that may be busy. */
const PATIENCE_MS = 120_000;
const NODES = ['one', 'two'] as const;
const CART = 'spiffe://cluster.local/ns/shop/sa/cart';
/** Of the replica that writes root certificates. */
const LEASE = 'ambit-namespace-controller';
const TOKENS = 100;

/** A pod that node proxies are to hear of, and a namespace that the leader is to write to. */
export interface Change {
  readonly pod: string;
  readonly namespace: string;
}

export class ControlPlane implements AsyncDisposable {
  readonly api: ApiProcess;
  readonly apiIsland: Island;
  /** This process's address, from which the API server may be seen even when it is cut off. */
  readonly host: string;
  /** Ends all, last things first. */
  readonly #stack = new AsyncDisposableStack();
  readonly #network: PodNetwork;
  #objects: ClusterObjects | undefined;
  #replicas: readonly Replica[] = [];
  #nodes: readonly MeshNode[] = [];
  #traffic: Traffic | undefined;
  #caller: CertificateCaller | undefined;
  /** Of a node proxy, for istiod's pages. */
  #reader = '';
  #root = '';
  #made = 0;

  /** Nothing runs yet. */
  private constructor() {
    this.#network = this.#stack.use(new PodNetwork(`10.213.${process.pid % 250}`));
    this.host = this.#network.joinHost();
    this.apiIsland = new Island(this.#network, 'api');
    this.api = new ApiProcess(this.apiIsland);
    this.#stack.defer(() => this.api.stop());
  }

  /** Everything runs, and there is traffic. */
  static async start(): Promise<ControlPlane> {
    const plane = new ControlPlane();
    try {
      await plane.api.start();
      await plane.#startReplicas();
      await plane.#startNodes();
      return plane;
    } catch (error) {
      await plane[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** Something new, which a control plane that is well tells and writes of. */
  async change(): Promise<Change> {
    const change = { pod: `cart-${++this.#made}`, namespace: `made-${this.#made}` };
    const facts = { namespace: 'shop', account: 'cart', node: 'one', ip: `10.1.0.${this.#made}` };
    await Promise.all([this.#kube.namespace(change.namespace), this.#kube.pod(change.pod, facts)]);
    return change;
  }

  /**
   * Waits until a change is known everywhere and each replica signs, and throws when that was not so soon after a part's
   * return as it is to be. What it gives tells how long it took.
   *
   * @param since the return, by performance.now()
   */
  async recovered({ namespace, pod }: Change, since: number): Promise<string> {
    const soon = (what: string, condition: () => Promise<boolean>): Promise<boolean> =>
      until(what, () => condition().catch(() => false), PATIENCE_MS);
    await Promise.all([
      soon(`the root in ${namespace}`, async () => (await this.#kube.root(namespace)) !== undefined),
      ...this.#nodes.map((node, i) =>
        soon(`${pod} on ${NODES[i]}`, async () => (await node.workloads()).includes(pod)),
      ),
      ...this.#replicas.flatMap((replica) => [
        soon(`${pod} in ${replica.name}`, () => replica.knows(pod, this.#reader)),
        soon(`a certificate of ${replica.name}`, () => this.#signed.ask(replica)),
      ]),
    ]);
    const took = performance.now() - since;
    const text = `all was well ${(took / 1000).toFixed(1)} s after its return`;
    if (took > RECOVERY_MS) throw new Error(text);
    return text;
  }

  /** A certificate for a pod, asked for again until it comes. */
  async certificate(replica: Replica): Promise<void> {
    await this.#signed.insist(replica);
  }

  /** Resolves when the leader has written what there is to write of a change. */
  async written({ namespace }: Change): Promise<void> {
    await until(`the root in ${namespace}`, async () => (await this.#kube.root(namespace)) !== undefined, PATIENCE_MS);
  }

  /** A certificate of every replica. */
  async certificates(): Promise<void> {
    await Promise.all(this.#replicas.map((replica) => this.certificate(replica)));
  }

  /** Names of what each node proxy knows. */
  async known(): Promise<string[][]> {
    return await Promise.all(this.#nodes.map((node) => node.workloads()));
  }

  /** Resolves when every certificate that is in use now has given way to another. */
  async renewed(): Promise<void> {
    const serials = async (): Promise<string[]> =>
      (await Promise.all(this.#nodes.map((node) => node.serials()))).flat();
    const before = new Set(await serials());
    await until(
      'new certificates',
      async () => {
        const now = await serials();
        return now.length >= before.size && now.every((serial) => !before.has(serial));
      },
      PATIENCE_MS,
    );
  }

  /** Throws when a connection was ever cut, or could not be opened. */
  async calm(): Promise<void> {
    const now = Date.now();
    await until('traffic', () => this.#traffic!.succeeded(now) > 3, PATIENCE_MS);
    const trouble = this.#traffic!.trouble();
    if (trouble.length > 0) throw new Error(`${trouble.length} times trouble: ${JSON.stringify(trouble.slice(0, 5))}`);
  }

  /** Who leads, and the other one. */
  roles(): ReturnType<Leadership['roles']> {
    return this.leadership.roles(this.#replicas);
  }

  /** Among the replicas that write root certificates. */
  get leadership(): Leadership {
    return new Leadership(this.#kube, LEASE, PATIENCE_MS);
  }

  /** Root certificates that somebody else than the leader wrote, at any time. */
  intruders(): string[] {
    return intruders(this.api.auditLog, LEASE, 'istio-ca-root-cert');
  }

  /** Starts a replica that has ended; new connections find it. */
  async restart(replica: Replica): Promise<void> {
    await replica.start();
    this.#nodes.forEach((node, i) => {
      node.door.lead(...this.#places(i));
    });
  }

  get #signed(): CertificateCaller {
    if (this.#caller === undefined) throw new Error('no node runs yet');
    return this.#caller;
  }

  get #kube(): ClusterObjects {
    if (this.#objects === undefined) throw new Error('the API server does not run yet');
    return this.#objects;
  }

  /** Each node prefers a replica of its own. */
  #places(node: number): Place[] {
    const order = node === 0 ? this.#replicas : this.#replicas.toReversed();
    return order.flatMap(({ island, running }) =>
      running === undefined ? [] : { host: island.host, port: running.securePort },
    );
  }

  async #startReplicas(): Promise<void> {
    const { api } = this;
    const objects = new ClusterObjects(api.kubeconfig);
    this.#stack.defer(() => objects.close());
    this.#objects = objects;
    const pki = await Pki.open(api.dir, Date.now);
    this.#replicas = ['istiod-a', 'istiod-b'].map(
      (name) => new Replica(name, new Island(this.#network, name), api.dir),
    );
    for (const replica of this.#replicas) {
      const { name } = replica;
      const user = await pki.issueClient(name, [MASTERS], Date.now());
      writeFileSync(join(api.dir, name), kubeconfig(api.url, pki.caCert, name, user), { mode: 0o600 });
      this.#stack.defer(() => replica.end('SIGKILL'));
    }
    for (const name of ['istio-system', 'shop']) await objects.namespace(name);
    await objects.account('istio-system', 'ztunnel');
    for (const account of ['cart', 'orders']) await objects.account('shop', account);
    await Promise.all(this.#replicas.map((replica) => replica.start()));
    this.#root = await until('the root', () => objects.root('istio-system'));
  }

  async #startNodes(): Promise<void> {
    const rootFile = join(this.api.dir, 'root.pem');
    writeFileSync(rootFile, this.#root);
    const proxy = { namespace: 'istio-system', account: 'ztunnel' };
    const pods = [this.#network.pod('cart'), this.#network.pod('orders')] as const;
    const tokens: string[] = [];
    for (const [i, node] of NODES.entries()) {
      const { ip, name } = pods[i]!;
      await this.#kube.pod(name, { namespace: 'shop', account: name, node, ip });
      await this.#kube.pod(`zt-${node}`, { ...proxy, node, ip: `10.1.1.${i + 1}` });
      tokens.push(await this.#kube.token(proxy.namespace, proxy.account, `zt-${node}`));
    }
    this.#reader = tokens[0]!;
    const common = { network: this.#network, host: this.host, rootFile };
    const stock: string[] = [];
    for (let k = 0; k < TOKENS; k++) {
      stock.push(await this.#kube.token(proxy.namespace, proxy.account, `zt-${NODES[0]}`));
    }
    this.#caller = new CertificateCaller({ identity: CART, tokens: stock, root: this.#root, patienceMs: PATIENCE_MS });
    this.#nodes = await Promise.all(
      NODES.map(async (name, i) => {
        const own = { name, pod: pods[i]!, token: tokens[i]! };
        return this.#stack.use(await MeshNode.start({ ...common, ...own }, ...this.#places(i)));
      }),
    );
    this.#traffic = this.#stack.use(await Traffic.start(this.#network, ...pods));
  }
}
