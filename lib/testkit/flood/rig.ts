// SPDX-License-Identifier: Apache-2.0
// A node proxy and a waypoint on one host, an attacker and a well-behaved client on another, and an application behind both
// programs. Each victim has one data-plane process, which friend and foe share.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { Endpoint } from '#lib/linux/address.ts';
import { writeSysctl } from '#lib/linux/sysctl.ts';
import { Loop } from '#lib/loop/loop.ts';
import { App } from '../plain-app.ts';
import { PodNetwork, type TestPod } from '../pod-network.ts';
import { until } from '../until.ts';
import { backendOf, WaypointProgram } from '../waypoint.ts';
import type { Order, Outcome } from './attacker.ts';
import type { Period } from './good-client.ts';
import type { Target } from './target.ts';

const ROOT = join(import.meta.dirname, '../../..');
const APP_PORT = 8080;
/** Within which a helper program answers. */
const ANSWER_MS = 60_000;
/** Last numbers of the addresses that attackers have. */
const FIRST_ATTACKER = 100;
const LAST_ATTACKER = 250;

/** How programs are placed on the processors: word lists put before their command lines. */
export interface Placement {
  readonly victims: readonly string[];
  readonly client: readonly string[];
  readonly attacker: readonly string[];
}

const ANYWHERE: Placement = { victims: [], client: [], attacker: [] };

export interface GoodClient {
  /** Figures since the call before. */
  period(): Promise<Period>;
  /** The first figures with anything in them. */
  answered(): Promise<Period>;
  end(): void;
}

/** A program under attack. */
export interface Victim {
  readonly name: string;
  readonly pid: number;
  readonly target: Target;
  readonly output: () => string;
}

export class FloodRig implements AsyncDisposable {
  readonly victims: Victim[] = [];
  readonly #stack = new AsyncDisposableStack();
  readonly #place: Placement;
  #network!: PodNetwork;
  #client!: TestPod;
  #server!: TestPod;
  #attacker!: Conversation;
  #burner: Conversation | undefined;
  #attackers = FIRST_ATTACKER;

  private constructor(place: Placement) {
    this.#place = place;
  }

  static async start(place: Placement = ANYWHERE): Promise<FloodRig> {
    const rig = new FloodRig(place);
    try {
      await rig.#start();
      return rig;
    } catch (error) {
      await rig[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A well-behaved client of a victim. Ends with the rig. */
  async goodClient({ target }: Victim): Promise<GoodClient> {
    const talk = this.#converse(this.#client, 'good-client.ts', this.#place.client);
    talk.say(JSON.stringify(target));
    await talk.heard();
    const period = async (): Promise<Period> => {
      talk.say('period');
      return JSON.parse(await talk.heard()) as Period;
    };
    const answered = () =>
      until('requests to be answered', async () => {
        const one = await period();
        return one.requests > 0 || one.failures > 0 ? one : undefined;
      });
    return { period, answered, end: () => talk.end() };
  }

  /** Each attack comes from an address that has done nothing yet. */
  async attack(order: Omit<Order, 'from'>): Promise<Outcome> {
    this.#attacker.say(JSON.stringify({ ...order, from: this.#unknownAddress() }));
    return JSON.parse(await this.#attacker.heard()) as Outcome;
  }

  /** Has a process spin where the attacker would, for `ms`; how many ms of processor it got. */
  async burn(ms: number): Promise<number> {
    this.#burner ??= this.#converse(this.#client, 'burner.ts', this.#place.attacker);
    this.#burner.say(String(ms));
    return JSON.parse(await this.#burner.heard()) as number;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  #unknownAddress(): string {
    const number = this.#attackers++;
    if (number > LAST_ATTACKER) throw new Error('the rig has no further address for an attacker');
    const address = this.#client.ip.replace(/\d+$/, String(number));
    const words = ['addr', 'add', `${address}/24`, 'dev', 'eth0'];
    execFileSync('ip', ['-n', this.#network.netnsName(this.#client), ...words]);
    return address;
  }

  async #start(): Promise<void> {
    this.#network = this.#stack.use(new PodNetwork());
    this.#client = this.#network.pod('client', { captured: false });
    this.#server = this.#network.pod('server', { captured: false });
    // A minute of connections between one pair of addresses takes all ports otherwise, and connect(2) then searches for milliseconds.
    for (const { netns } of [this.#client, this.#server]) writeSysctl('net/ipv4/tcp_max_tw_buckets', '1000', netns);
    this.#program(
      this.#server,
      [...node(join(ROOT, 'e2e/load/server.ts')), '0.0.0.0', String(APP_PORT)],
      {},
      this.#place.client,
    );
    const [ztunnel, waypoint] = await Promise.all([this.#ztunnel(), this.#waypoint()]);
    this.victims.push(ztunnel, ...waypoint);
    this.#attacker = this.#converse(this.#client, 'attacker.ts', this.#place.attacker);
  }

  async #ztunnel(): Promise<Victim> {
    const { ip } = this.#server;
    const workload = {
      ...{ uid: 'server', name: 'server', namespace: 'flood', serviceAccount: 'server', trustDomain: 'cluster.local' },
      ...{ workloadIps: [ip], protocol: 'HBONE', node: 'node', network: '', services: {} },
    };
    const env = {
      ...{
        FAKE_CA: 'true',
        XDS_ADDRESS: '',
        LOCAL_XDS: JSON.stringify({ workloads: [workload], policies: [], services: [] }),
      },
      ...{ PROXY_MODE: 'dedicated', PROXY_WORKLOAD_INFO: 'flood/server/server', NODE_NAME: 'node', INSTANCE_IP: ip },
      ...{ ENABLE_ORIG_SRC: 'false', ZTUNNEL_WORKER_THREADS: '1', RUST_LOG: 'info,access=off', DNS_CAPTURE: 'false' },
    };
    const { child, output } = this.#program(
      this.#server,
      [join(ROOT, 'bin/ztunnel'), 'proxy', 'ztunnel'],
      env,
      this.#place.victims,
    );
    await this.#listening('the node proxy', 15021, () => {
      if (child.exitCode !== null) throw new Error(`the node proxy ended:\n${output()}`);
    });
    const request = [
      [':method', 'CONNECT'],
      [':authority', `${ip}:${APP_PORT}`],
    ] as const;
    return { name: 'ztunnel', pid: child.pid!, output, target: { host: ip, port: 15008, tls: true, request } };
  }

  /** Resolves once a program on the server's host says on `port` that it is ready. */
  async #listening(what: string, port: number, check: () => void): Promise<void> {
    const loop = new Loop({ spin: false });
    const door = Endpoint.parse('127.0.0.1', port)!;
    let app: App | undefined;
    await until(`${what} to be ready`, () => {
      check();
      if (app === undefined || app.end !== '') {
        app = App.dial(loop, door, this.#server.netns);
        app.send('GET /healthz/ready HTTP/1.0\r\n\r\n');
      }
      loop.turn(5);
      return / 200 /.test(app.text);
    });
    loop.dispose();
  }

  /** Its plain door, where HTTP/2 is spoken with prior knowledge, and its door for tunnels. */
  async #waypoint(): Promise<Victim[]> {
    const { ip } = this.#server;
    const config = {
      services: [{ name: 'app', ports: [APP_PORT], vip: '10.96.0.1' }],
      routes: [{ rule: { backends: [backendOf('app')] } }],
    };
    const inside = ['ip', 'netns', 'exec', this.#network.netnsName(this.#server), ...this.#place.victims];
    const env = { AMBIT_BIND: '0.0.0.0', AMBIT_ACCESS_LOG: 'off', FAKE_CA: 'true' };
    const program = this.#stack.use(await WaypointProgram.start(config, env, inside));
    const get = [
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 'app'],
      [':path', '/'],
    ] as const;
    const connect = [
      [':method', 'CONNECT'],
      [':authority', '10.96.0.1:80'],
    ] as const;
    const more = { pid: program.pid, output: () => program.output };
    return [
      { name: 'waypoint', ...more, target: { host: ip, port: program.port('http'), tls: false, request: get } },
      {
        name: 'waypoint, tunnels',
        ...more,
        target: { host: ip, port: program.port('mesh'), tls: true, request: connect },
      },
    ];
  }

  #program(pod: TestPod, words: readonly string[], env: Readonly<Record<string, string>>, place: readonly string[]) {
    const netns = this.#network.netnsName(pod);
    const child = spawn('ip', ['netns', 'exec', netns, ...place, ...words], {
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
    }
    this.#stack.defer(async () => {
      child.kill('SIGKILL');
      await exited;
    });
    return { child, output: () => text };
  }

  #converse(pod: TestPod, script: string, place: readonly string[]): Conversation {
    const { child, output } = this.#program(pod, node(join(import.meta.dirname, script)), {}, place);
    return new Conversation(child, output);
  }
}

const node = (script: string): string[] => [process.execPath, '--disable-warning=ExperimentalWarning', script];

/** A program that answers each line with a line. Waiting for it costs nothing: whoever polls takes from those who are measured. */
class Conversation {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #output: () => string;

  constructor(child: ChildProcess, output: () => string) {
    this.#child = child;
    this.#output = output;
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  say(line: string): void {
    this.#child.stdin!.write(`${line}\n`);
  }

  async heard(): Promise<string> {
    const late = delay(ANSWER_MS, undefined, { ref: false }).then(() => {
      throw new Error(`a helper program does not answer:\n${this.#output()}`);
    });
    const line = await Promise.race([this.#lines.next(), late]);
    if (line.done === true) throw new Error(`a helper program ended:\n${this.#output()}`);
    return line.value;
  }

  end(): void {
    this.#child.stdin!.end();
  }
}
