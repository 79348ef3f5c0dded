// SPDX-License-Identifier: Apache-2.0
// The waypoint program with a configuration file, as a process of its own, for tests on real sockets.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEFAULT_POOL } from '#lib/mesh/http/traffic-policy.ts';
import { until } from './until.ts';

const CONFIG_FILE = 'waypoint.yaml';
const BIN = join(import.meta.dirname, '../../bin/waypoint');
const SUFFIX = 'default.svc.cluster.local';

/** Where a service's requests end up. */
export interface TestService {
  readonly name: string;
  /** Port on loopback of each endpoint; none: the service has no endpoints. */
  readonly ports: readonly number[];
  /** Its virtual address, for clients that come by HBONE. */
  readonly vip?: string;
}

/** Key of a test service. */
export const serviceOf = (name: string): string => `default/${name}.${SUFFIX}`;

/** A backend of a rule. */
export const backendOf = (name: string, weight = 1, more: object = {}): object => ({
  weight,
  target: { service: serviceOf(name), port: 80, ...more },
});

/** What a service without a DestinationRule has, in the words of the file. */
export const POOL = { ...DEFAULT_POOL, h2Upgrade: 'UPGRADE_DEFAULT' };

/** A rule with its only match; what `rule` does not say is left out. */
export interface TestRoute {
  readonly match?: object;
  readonly rule: object;
}

export interface TestConfig {
  readonly services: readonly TestService[];
  readonly routes: readonly TestRoute[];
  /** Service to which all streams of listener `mesh` go, which speaks no HBONE then. */
  readonly stream?: string;
  /** Further messages by the parts of the file. */
  readonly more?: Readonly<Record<string, unknown>>;
  readonly settings?: object;
}

function fileOf({ more = {}, routes, services, settings = {}, stream }: TestConfig): string {
  const host = {
    hosts: ['*'],
    entries: routes.map(({ match }, rule) => ({ rule, match: match ?? { path: { kind: 'KIND_ANY' } } })),
  };
  const http = [
    { hosts: [host], rules: routes.map(({ rule }, i) => ({ name: `r${i}`, origin: 'HTTPRoute t/r', ...rule })) },
  ];
  const streams =
    stream === undefined ? [] : [{ name: 'stream', tcp: [{ origin: 'TCPRoute t/s', backends: [backendOf(stream)] }] }];
  return JSON.stringify({
    workloads: services.flatMap(({ name, ports }) =>
      ports.map((port, i) => ({
        uid: `${name}-${i}`,
        name: `${name}-${i}`,
        workloadName: name,
        namespace: 'default',
        workloadIps: [`127.0.0.${i + 1}`],
        services: { [serviceOf(name)]: { 80: port } },
      })),
    ),
    services: services.map(({ name, vip }) => ({
      name,
      namespace: 'default',
      hostname: `${name}.${SUFFIX}`,
      vips: vip === undefined ? [] : [`/${vip}`],
      ports: { 80: 0 },
    })),
    waypoint: {
      name: 'default/waypoint',
      listeners: [
        { name: 'http', port: 80, protocol: 'HTTP', routeTable: 'routes' },
        stream === undefined
          ? { name: 'mesh', port: 15008, protocol: 'HBONE' }
          : { name: 'mesh', port: 81, protocol: 'TCP', routeTable: 'stream' },
      ],
      ...settings,
    },
    routeTables: [{ name: 'routes', http }, ...streams],
    ...more,
  });
}

export class WaypointProgram implements AsyncDisposable {
  /** Lines of the access log, parsed. */
  readonly records: Record<string, unknown>[] = [];
  output = '';
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #file: string;
  #statsPort = 0;
  readonly #ports = new Map<string, number>();
  readonly #exited: Promise<number | null>;

  private constructor(child: ChildProcess, folder: string) {
    this.#child = child;
    this.#folder = folder;
    this.#file = join(folder, CONFIG_FILE);
    this.#exited = new Promise((resolve) => child.once('exit', resolve));
    let rest = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#line(line);
    });
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
    });
  }

  /** Starts it; resolves once it is ready and listens. `inside` are words put before its command line. */
  static async start(
    config: TestConfig,
    env: Readonly<Record<string, string>> = {},
    inside: readonly string[] = [],
  ): Promise<WaypointProgram> {
    const folder = mkdtempSync(join(tmpdir(), 'ambit-waypoint-'));
    const file = join(folder, CONFIG_FILE);
    writeFileSync(file, fileOf(config));
    const [command = BIN, ...args] = [...inside, BIN];
    const child = spawn(command, args, {
      env: {
        PATH: process.env['PATH'] ?? '',
        HOME: process.env['HOME'] ?? '',
        AMBIT_WAYPOINT_FILE: file,
        AMBIT_BIND: '127.0.0.1',
        AMBIT_ANY_PORT: 'true',
        AMBIT_HBONE_PORT: '0',
        AMBIT_WORKERS: '1',
        AMBIT_ACCESS_LOG: 'json',
        AMBIT_ADMIN_PORT: '0',
        AMBIT_STATS_PORT: '0',
        AMBIT_READY_PORT: '0',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const program = new WaypointProgram(child, folder);
    try {
      await until('the waypoint to listen', () => program.#ports.size === 2 && program.output.includes('\tready'));
      return program;
    } catch (error) {
      await program.stop();
      throw new Error(`the waypoint did not start:\n${program.output}`, { cause: error });
    }
  }

  get pid(): number {
    return this.#child.pid!;
  }

  port(listener: 'http' | 'mesh' = 'http'): number {
    return this.#ports.get(listener)!;
  }

  url(path = '/'): string {
    return `http://127.0.0.1:${this.port()}${path}`;
  }

  /** Replaces its configuration; of the mesh nothing is taken away. */
  reconfigure(config: TestConfig): void {
    writeFileSync(`${this.#file}.new`, fileOf(config));
    renameSync(`${this.#file}.new`, this.#file);
  }

  /** The exposition text. */
  metrics(): Promise<string> {
    return new Promise((resolve, reject) => {
      get(`http://127.0.0.1:${this.#statsPort}/metrics`, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        answer.on('end', () => resolve(text));
      }).on('error', reject);
    });
  }

  /** Waits for the record of the request with that path. */
  record(path: string): Promise<Record<string, unknown>> {
    return until(`a record of ${path}`, () => this.records.find((record) => record['path'] === path));
  }

  /** Asks it to end; resolves with its exit code. */
  async end(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    return await this.#exited;
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #line(line: string): void {
    const listening = /\tlistening\tlistener="(\w+)" port=(\d+)/.exec(line);
    if (listening !== null) this.#ports.set(listening[1]!, Number(listening[2]));
    const serving = /\tserving\t.*\bstats=(\d+)/.exec(line);
    if (serving !== null) this.#statsPort = Number(serving[1]);
    if (line.startsWith('{')) this.records.push(JSON.parse(line) as Record<string, unknown>);
  }
}
