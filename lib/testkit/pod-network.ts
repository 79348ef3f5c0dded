// SPDX-License-Identifier: Apache-2.0
// Pods for tests of the node proxy: network namespaces on one bridge, with the redirection a captured pod has (the contract in
// short, IPv4 and IPv6: what leaves goes to 15001, what arrives to 15006, the proxy's own mark is left alone).
import { execFileSync } from 'node:child_process';
import type { Netns } from '#lib/linux/netns.ts';
import { Netns as NetnsHandle } from '#lib/linux/netns.ts';

export interface TestPod {
  readonly name: string;
  readonly netns: Netns;
  readonly ip: string;
  readonly ip6: string;
}

const RULES = `
table inet ambit_test {
  chain mark_in {
    type filter hook prerouting priority -150;
    meta mark & 0xfff == 0x539 ct mark set 0x111
  }
  chain mark_out {
    type route hook output priority -150;
    ct mark & 0xfff == 0x111 meta mark set 0x111
  }
  chain pre {
    type nat hook prerouting priority -100;
    tcp dport != 15008 meta mark & 0xfff != 0x539 fib daddr type local ip daddr != 127.0.0.0/8 redirect to :15006
    tcp dport != 15008 meta mark & 0xfff != 0x539 fib daddr type local ip6 daddr != ::1 redirect to :15006
  }
  chain out {
    type nat hook output priority -100;
    meta mark & 0xfff == 0x111 accept
    oifname "lo" accept
    meta l4proto tcp meta mark & 0xfff != 0x539 ip daddr != 127.0.0.0/8 redirect to :15001
    meta l4proto tcp meta mark & 0xfff != 0x539 ip6 daddr != ::1 redirect to :15001
  }
}
`;

let made = 0;

/** A bridge in a namespace of its own, and pods on it. Dispose of it whatever happened. */
export class PodNetwork {
  readonly #id: string;
  readonly #subnet: string;
  readonly #names: string[] = [];
  readonly #pods: TestPod[] = [];

  /** @param subnet the first three numbers of its addresses; one of its own where the host joins in */
  constructor(subnet = '10.91.0') {
    this.#subnet = subnet;
    this.#id = `ambit-net-${process.pid}-${++made}`;
    this.#make('fabric');
    this.#ip('fabric', 'link add br0 type bridge', 'link set br0 up');
  }

  /** `captured: false` leaves out the redirection: a client outside the mesh. */
  pod(name: string, options: { readonly captured?: boolean } = {}): TestPod {
    const number = this.#names.length;
    const ns = this.#make(name);
    const ip = `${this.#subnet}.${number + 1}`;
    const ip6 = `fd91::${number + 1}`;
    const fabric = `${this.#id}-fabric`;
    this.#ip(name, `link add eth0 type veth peer name p${number} netns ${fabric}`);
    this.#ip('fabric', `link set p${number} master br0`, `link set p${number} up`);
    this.#ip(
      name,
      'link set lo up',
      `addr add ${ip}/24 dev eth0`,
      `addr add ${ip6}/64 dev eth0 nodad`,
      'link set eth0 up',
    );
    this.#ip(name, `route add default via ${this.#subnet}.254 dev eth0`, '-6 route add default via fd91::fe dev eth0');
    if (options.captured !== false) {
      this.#ip(name, 'rule add fwmark 0x111/0xfff pref 32764 lookup 100', 'route add local default dev lo table 100');
      this.#ip(
        name,
        '-6 rule add fwmark 0x111/0xfff pref 32764 lookup 100',
        '-6 route add local default dev lo table 100',
      );
      execFileSync('ip', ['netns', 'exec', ns, 'nft', '-f', '-'], { input: RULES });
    }
    const pod = { name, netns: NetnsHandle.open(`/run/netns/${ns}`), ip, ip6 };
    this.#pods.push(pod);
    return pod;
  }

  /** Puts this process's own namespace on the bridge, and gives its address there. */
  joinHost(): string {
    const [device, ip] = [`ambit-${process.pid}`, `${this.#subnet}.253`];
    const onHost = (words: string): Buffer => execFileSync('ip', words.split(' '));
    onHost(`link add ${device} type veth peer name host netns ${this.#id}-fabric`);
    this.#ip('fabric', 'link set host master br0', 'link set host up');
    onHost(`addr add ${ip}/24 dev ${device}`);
    onHost(`link set ${device} up`);
    return ip;
  }

  /** Name for `ip netns exec`. */
  netnsName(pod: TestPod): string {
    return `${this.#id}-${pod.name}`;
  }

  [Symbol.dispose](): void {
    for (const { netns } of this.#pods) netns.close();
    for (const name of this.#names.splice(0)) execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
  }

  #make(name: string): string {
    const full = `${this.#id}-${name}`;
    execFileSync('ip', ['netns', 'add', full]);
    this.#names.push(full);
    return full;
  }

  #ip(name: string, ...commands: readonly string[]): void {
    for (const command of commands) execFileSync('ip', ['-n', `${this.#id}-${name}`, ...command.split(' ')]);
  }
}
